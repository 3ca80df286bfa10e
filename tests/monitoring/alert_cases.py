"""What each alert's cause looks like in its series, minute by minute: for promtool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from monitoring import metrics as m
from monitoring.alerts import Alert
from monitoring.rules import rule_file

INTERVAL: Final = "1m"
_NODE: Final = 'node="node-1", instance="198.18.0.11:9441"'
_NODE_LABELS: Final = {"node": "node-1", "instance": "198.18.0.11:9441"}
_NETWORK: Final = 'namespace="shop", network="internal", family="ipv4", job="danm-ipam"'
_NETWORK_LABELS: Final = {
    "namespace": "shop",
    "network": "internal",
    "family": "ipv4",
    "job": "danm-ipam",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What is told when it fires: the cause, the series' labels and the sentence."""

    reason: str
    labels: Mapping[str, str]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Series in promtool's notation, and at which minutes what fires.

    Attributes:
        silent_at: Nothing fires: while all is well, not yet, or not any more.
        fires_at: Minutes at which ``fired`` is told; none where nothing is ever to fire.
    """

    alert: str
    series: Mapping[str, str]
    silent_at: Sequence[int]
    fires_at: int | None = None
    fired: Sequence[Fired] = field(default_factory=tuple)

    def as_test(self, alerts: Mapping[str, Alert]) -> dict[str, Any]:
        """Return it as one test of a file for ``promtool test rules``."""
        expected = [self._expected(each, alerts[self.alert]) for each in self.fired]
        checks: list[tuple[int, list[dict[str, Any]]]] = [(minute, []) for minute in self.silent_at]
        if self.fires_at is not None:
            checks.append((self.fires_at, expected))
        return {
            "interval": INTERVAL,
            "input_series": [
                {"series": series, "values": values} for series, values in self.series.items()
            ],
            "alert_rule_test": [
                {"eval_time": f"{minute}m", "alertname": self.alert, "exp_alerts": alerts_then}
                for minute, alerts_then in checks
            ],
        }

    def _expected(self, fired: Fired, alert: Alert) -> dict[str, Any]:
        (rule,) = rule_file([alert])["groups"][0]["rules"]
        return {
            "exp_labels": {**rule["labels"], **fired.labels, "reason": fired.reason},
            "exp_annotations": {**rule["annotations"], "summary": fired.summary},
        }


def _free(values: str, instance: str = "a") -> dict[str, str]:
    return {f'{m.ADDRESSES}{{{_NETWORK}, state="free", instance="{instance}"}}': values}


def _size(values: str, instance: str = "a") -> dict[str, str]:
    return {f'{m.POOL_SIZE}{{{_NETWORK}, instance="{instance}"}}': values}


def _up(job: str, values: str) -> dict[str, str]:
    return {f'{m.UP}{{job="{job}", {_NODE}}}': values}


def _ready(job: str, values: str, instance: str = "a") -> dict[str, str]:
    return {f'{m.READY}{{job="{job}", instance="{instance}"}}': values}


def _leads(job: str, values: str, instance: str = "a") -> dict[str, str]:
    labels = f'job="{job}", lease="{job}", instance="{instance}"'
    return {f"{m.LEADING}{{{labels}}}": values}


def _link_up(values: str, link: str = "ens4") -> dict[str, str]:
    return {f'{m.LINK_UP}{{link="{link}", {_NODE}}}': values}


def _losses(values: str) -> dict[str, str]:
    return {f'{m.LINK_LOSSES}{{link="vx_internal", {_NODE}}}': values}


def _heard(values: str) -> dict[str, str]:
    labels = f'job="danm-cni", resource="pods", {_NODE}'
    return {f"{m.INFORMER_HEARD}{{{labels}}}": values}


def _ends(certificate: str, values: str, up: str = "1x90") -> dict[str, str]:
    labels = f'certificate="{certificate}", {_NODE}'
    return {f"{m.CERTIFICATE_ENDS}{{{labels}}}": values} | _up("danm-ipam", up)


_POOL_FIRES: Final = Fired(
    reason="few addresses are free",
    labels=_NETWORK_LABELS,
    summary="shop/internal (ipv4) is 95% full",
)

_IPAM_FIRES: Final = Fired(
    reason="no replica of ipam-svc is ready", labels={}, summary="no replica of ipam-svc is ready"
)
_LEASE_FIRES: Final = Fired(
    reason="no replica holds the Lease",
    labels={"job": "danm-svcwatcher"},
    summary="danm-svcwatcher: no replica holds the Lease",
)
_LOST_LINKS: Final = "host links that were up today are down"
_LINKS_FIRE: Final = Fired(
    reason=_LOST_LINKS, labels=_NODE_LABELS, summary=f"{_LOST_LINKS} on node-1"
)
# Always there, and told by the same alert.
_VALIDATOR: Final[Mapping[str, str]] = _up("danm-validator", "1x90") | _leads(
    "danm-validator", "1x90"
)

CASES: Final[Mapping[str, Case]] = {
    "all replicas of ipam-svc are away": Case(
        alert="DanmIpamUnavailable",
        series=_ready("danm-ipam", "1x10 stale _x20 1x20")
        | _ready("danm-ipam", "1x5 stale _x50", "b"),
        silent_at=(10, 12, 33),
        fires_at=14,
        fired=[_IPAM_FIRES],
    ),
    "no replica of ipam-svc is ready": Case(
        alert="DanmIpamUnavailable",
        series=_ready("danm-ipam", "1x10 0x20 1x20") | _ready("danm-ipam", "0x50", "b"),
        silent_at=(10, 12, 33),
        fires_at=14,
        fired=[_IPAM_FIRES],
    ),
    "replicas of ipam-svc are replaced": Case(
        alert="DanmIpamUnavailable",
        series=_ready("danm-ipam", "1x10 stale _x5 1x30")
        | _ready("danm-ipam", "1x20 0x2 1x30", "b"),
        silent_at=(10, 14, 18, 22, 30),
    ),
    "nobody takes svcwatcher's Lease": Case(
        alert="DanmNobodyLeads",
        series={
            **_VALIDATOR,
            **_up("danm-svcwatcher", "1x60"),
            **_leads("danm-svcwatcher", "1x10 0x20 1x20"),
            **_leads("danm-svcwatcher", "0x60", "b"),
        },
        silent_at=(10, 14, 33),
        fires_at=17,
        fired=[_LEASE_FIRES],
    ),
    "replicas of svcwatcher do not answer": Case(
        alert="DanmNobodyLeads",
        series={
            **_VALIDATOR,
            **_up("danm-svcwatcher", "1x10 0x20 1x20"),
            **_leads("danm-svcwatcher", "1x10 stale _x20 1x20"),
        },
        silent_at=(10, 14, 33),
        fires_at=17,
        fired=[_LEASE_FIRES],
    ),
    "no Pod of the validator is there": Case(
        alert="DanmNobodyLeads",
        series={
            **_up("danm-validator", "1x10 stale _x20 1x20"),
            **_leads("danm-validator", "1x10 stale _x20 1x20"),
        },
        silent_at=(10, 14, 35),
        fires_at=20,
        fired=[
            Fired(
                reason="there is no validator",
                labels={"job": "danm-validator"},
                summary="danm-validator: there is no validator",
            )
        ],
    ),
    "svcwatcher is left out, and others hand over": Case(
        alert="DanmNobodyLeads",
        series={
            **_up("danm-validator", "1x90"),
            **_leads("danm-validator", "1x20 0x40"),
            **_leads("danm-validator", "0x22 1x40", "b"),
            **_up("danm-svcwatcher", "1x10 stale"),
            **_leads("danm-svcwatcher", "1x10 stale"),
        },
        silent_at=(5, 17, 22, 30, 50),
    ),
    "a pool fills and is emptied": Case(
        alert="DanmPoolNearlyFull",
        series=_size("100x90") | _free("50x10 5x29 50x30"),
        silent_at=(0, 10, 20, 42),
        fires_at=22,
        fired=[_POOL_FIRES],
    ),
    "a tenth is free": Case(
        alert="DanmPoolNearlyFull",
        series=_size("100x90") | _free("10x90"),
        silent_at=(30, 60),
    ),
    "no pool": Case(
        alert="DanmPoolNearlyFull", series=_size("0x90") | _free("0x90"), silent_at=(30, 60)
    ),
    "another replica leads, and shows the same pool": Case(
        alert="DanmPoolNearlyFull",
        series=_size("100x31 _x60")
        | _free("5x31 _x60")
        | _size("_x30 100x60", "b")
        | _free("_x30 5x60", "b"),
        silent_at=(5,),
        fires_at=32,
        fired=[_POOL_FIRES],
    ),
    "a node has an address that it does not know": Case(
        alert="DanmLeakSuspected",
        series={f"{m.UNKNOWN_ADDRESSES}{{{_NODE}}}": "0x10 2x20 0x20"},
        silent_at=(10, 14, 33),
        fires_at=17,
        fired=[
            Fired(
                reason="addresses that the node does not know",
                labels=_NODE_LABELS,
                summary="addresses that the node does not know: node-1 198.18.0.11:9441",
            )
        ],
    ),
    "one round of a comparison is under way": Case(
        alert="DanmLeakSuspected",
        series={f"{m.UNKNOWN_ADDRESSES}{{{_NODE}}}": "0x10 1x1 0x20 1x1 0x20"},
        silent_at=(12, 20, 40),
    ),
    "a sandbox cannot be removed": Case(
        alert="DanmLeakSuspected",
        series={f"{m.UNFINISHED_REMOVALS}{{{_NODE}}}": "0x10 1x20 0x20"},
        silent_at=(10, 14, 33),
        fires_at=17,
        fired=[
            Fired(
                reason="removals that do not end",
                labels=_NODE_LABELS,
                summary="removals that do not end: node-1 198.18.0.11:9441",
            )
        ],
    ),
    "the Lease holder fails again and again": Case(
        alert="DanmLeakSuspected",
        series={f"{m.RECLAIM_FAILURES}{{{_NODE}}}": "0x10 0+12x20 240x30"},
        silent_at=(10, 14, 40),
        fires_at=20,
        fired=[
            Fired(
                reason="the Lease holder cannot free what is dead",
                labels=_NODE_LABELS,
                summary="the Lease holder cannot free what is dead: node-1 198.18.0.11:9441",
            )
        ],
    ),
    "the Lease holder failed once": Case(
        alert="DanmLeakSuspected",
        series={f"{m.RECLAIM_FAILURES}{{{_NODE}}}": "0x10 1x50"},
        silent_at=(12, 15, 20, 40),
    ),
    "somebody has spoilt a block": Case(
        alert="DanmLeakSuspected",
        series={f"{m.UNREADABLE_BLOCKS}{{{_NODE}}}": "0x10 1x20 0x20"},
        silent_at=(10, 14, 33),
        fires_at=17,
        fired=[
            Fired(
                reason="blocks that cannot be read",
                labels=_NODE_LABELS,
                summary="blocks that cannot be read: node-1 198.18.0.11:9441",
            )
        ],
    ),
    "danmd is not ready": Case(
        alert="DanmNodeCannotServe",
        series=_up("danm-cni", "1x60")
        | {f'{m.READY}{{job="danm-cni", {_NODE}}}': "1x10 0x20 1x20"},
        silent_at=(10, 14, 33),
        fires_at=17,
        fired=[
            Fired(
                reason="danmd is not ready",
                labels={**_NODE_LABELS, "job": "danm-cni"},
                summary="danmd is not ready on node-1",
            )
        ],
    ),
    "another part is not ready": Case(
        alert="DanmNodeCannotServe",
        series=_up("danm-svcwatcher", "1x60")
        | {f'{m.READY}{{job="danm-svcwatcher", {_NODE}}}': "0x60"},
        silent_at=(10, 30),
    ),
    "danmd is replaced": Case(
        alert="DanmNodeCannotServe",
        series=_up("danm-cni", "1x10 0x3 1x30") | _up("danm-netwatcher", "1x60"),
        silent_at=(10, 13, 16, 20),
    ),
    "danmd does not answer": Case(
        alert="DanmNodeCannotServe",
        series=_up("danm-cni", "1x10 0x20 1x20") | _up("danm-netwatcher", "1x60"),
        silent_at=(10, 14, 33),
        fires_at=17,
        fired=[
            Fired(
                reason="danmd does not answer",
                labels={**_NODE_LABELS, "job": "danm-cni"},
                summary="danmd does not answer on node-1",
            )
        ],
    ),
    "there is no danmd": Case(
        alert="DanmNodeCannotServe",
        series=_up("danm-cni", "1x10 stale _x20 1x20") | _up("danm-netwatcher", "1x60"),
        silent_at=(10, 14, 35),
        fires_at=20,
        fired=[
            Fired(
                reason="there is no danmd",
                labels={**_NODE_LABELS, "job": "danm-netwatcher"},
                summary="there is no danmd on node-1",
            )
        ],
    ),
    "a device goes away": Case(
        alert="DanmNodeCannotServe",
        series=_link_up("1x10 0x20 1x20") | _link_up("1x60", "ens3"),
        silent_at=(10, 14, 33),
        fires_at=17,
        fired=[_LINKS_FIRE],
    ),
    "a node boots without a device that it had": Case(
        alert="DanmNodeCannotServe",
        series=_link_up("1x10 stale _x5 0x30 1x20") | _link_up("1x10 stale _x5 1x60", "ens3"),
        silent_at=(10, 18, 52),
        fires_at=25,
        fired=[_LINKS_FIRE],
    ),
    "a node never had a device, and a new DanmNet wants another": Case(
        alert="DanmNodeCannotServe",
        series=_link_up("0x90") | _link_up("_x30 0x60", "ens5"),
        silent_at=(10, 30, 40, 60),
    ),
    "netwatcher begins anew": Case(
        alert="DanmNodeCannotServe",
        series=_link_up("1x10 stale _x10 1x40"),
        silent_at=(10, 15, 25, 40),
    ),
    "nobody wants a link any more": Case(
        alert="DanmNodeCannotServe",
        series=_link_up("1x10 stale") | _link_up("1x60", "ens3"),
        silent_at=(10, 20, 40),
    ),
    "a link flaps": Case(
        alert="DanmLinkFlapping",
        series=_losses("0x10 0+1x10 10x40"),
        silent_at=(10, 12, 40),
        fires_at=20,
        fired=[
            Fired(
                reason="a host link is lost again and again",
                labels={**_NODE_LABELS, "link": "vx_internal"},
                summary="vx_internal on node-1 was lost 9 times",
            )
        ],
    ),
    "a link is mended once": Case(
        alert="DanmLinkFlapping", series=_losses("0x10 1x50"), silent_at=(12, 20, 40)
    ),
    "a watch hears nothing": Case(
        alert="DanmStaleWatch",
        series=_heard("0+60x10 600x20 1860+60x20"),
        silent_at=(5, 10, 15, 16, 33),
        fires_at=20,
        fired=[
            Fired(
                reason="nothing was heard of a kind",
                labels={**_NODE_LABELS, "job": "danm-cni", "resource": "pods"},
                summary="danm-cni on node-1 has heard nothing of pods for 10m 0s",
            )
        ],
    ),
    "a quiet watch with bookmarks": Case(
        alert="DanmStaleWatch",
        series=_heard("0x1 60x1 180x1 300x1 420x1 540x1 660x1 780x1 900x1"),
        silent_at=(4, 8, 12, 16),
    ),
    "a process does not watch any more": Case(
        alert="DanmStaleWatch",
        series=_heard("0+60x10 stale _x30"),
        silent_at=(15, 20, 30),
    ),
    "a serving certificate is not renewed": Case(
        alert="DanmCertificateNearExpiry",
        series=_ends("serving", "2592000x10 800000x29 2592000x30"),
        silent_at=(10, 20, 42),
        fires_at=22,
        fired=[
            Fired(
                reason="the serving certificate was not renewed in time",
                labels={**_NODE_LABELS, "certificate": "serving"},
                summary="the serving certificate was not renewed in time: 9d 5h 51m 20s left"
                " (198.18.0.11:9441)",
            )
        ],
    ),
    "an authority is not renewed": Case(
        alert="DanmCertificateNearExpiry",
        series=_ends("authority", "315360000x10 8640000x29 315360000x30"),
        silent_at=(10, 20, 42),
        fires_at=22,
        fired=[
            Fired(
                reason="the authority certificate was not renewed in time",
                labels={**_NODE_LABELS, "certificate": "authority"},
                summary="the authority certificate was not renewed in time: 99d 23h 38m 0s left"
                " (198.18.0.11:9441)",
            )
        ],
    ),
    "a serving certificate has ended, and nobody is told of it any more": Case(
        alert="DanmCertificateNearExpiry",
        series=_ends("serving", "3600x59 stale _x40", "1x59 0x40"),
        silent_at=(5,),
        fires_at=80,
        fired=[
            Fired(
                reason="the serving certificate was not renewed in time",
                labels={**_NODE_LABELS, "certificate": "serving"},
                summary="the serving certificate was not renewed in time: -20m 0s left"
                " (198.18.0.11:9441)",
            )
        ],
    ),
    "a replica with an old certificate goes": Case(
        alert="DanmCertificateNearExpiry",
        series=_ends("serving", "800000x5 stale _x60", "1x5 stale _x60"),
        silent_at=(5, 12, 17, 40),
    ),
    "certificates are renewed as usual": Case(
        alert="DanmCertificateNearExpiry",
        # On the day before the next one is made.
        series=_ends("serving", "1382400x60") | _ends("authority", "31622400x60"),
        silent_at=(15, 30, 60),
    ),
}
