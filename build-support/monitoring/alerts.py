"""What wakes somebody, and why. Each alert has a page in docs/runbooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ipam_svc.certificates import USUAL
from monitoring import metrics as m
from monitoring.durations import DAY_S, MINUTE_S, Durations
from monitoring.scrape import (
    DANMD_JOB,
    IPAM_JOB,
    NODE_LABEL,
    NODE_NETWATCHER_JOB,
    SVCWATCHER_JOB,
    VALIDATOR_JOB,
)

# Of a pool; the networks' dashboard shows when it will be full.
_NEARLY_FULL: Final = 0.9
# A change of a DanmNet mends its link once, and a flapping device many times.
_FLAPPING: Final = 3
# API servers send a bookmark about every minute, and a watch ends after 100 s of silence.
_STALE_S: Final = 5 * MINUTE_S
# Renewal is tried each minute from the moment on that it is due; a third of what is left then has
# passed in vain. The authority's is a matter of weeks.
_SERVING_LEFT_S: Final = (USUAL.serving - USUAL.serving_renewal).total_seconds() * 2 / 3
_AUTHORITY_LEFT_S: Final = USUAL.authority_renewal.total_seconds() * 11 / 12


class Severity(StrEnum):
    """How soon somebody has to look."""

    # Pods do not start now.
    CRITICAL = "critical"
    # Within the day.
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One way in which an alert comes about.

    Attributes:
        reason: In the alert's label ``reason``.
        measure: A query that has an answer also while all is well.
        condition: What makes the answer a cause, behind the query.
    """

    reason: str
    measure: str
    condition: str

    @property
    def expression(self) -> str:
        """Return the query that has an answer while this is a cause."""
        return (
            f'label_replace(({self.measure}) {self.condition}, "reason", "{self.reason}", "", "")'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert.

    Attributes:
        name: Also of its page in docs/runbooks.
        for_s: How long a cause lasts before the alert fires, in seconds.
        summary: One line, with labels as Prometheus' templates have them.
        description: What users notice.
    """

    name: str
    severity: Severity
    causes: Sequence[Cause]
    for_s: float
    summary: str
    description: str

    @property
    def expression(self) -> str:
        """Return the rule's query."""
        return "\nor\n".join(cause.expression for cause in self.causes)


def alerts(durations: Durations | None = None) -> tuple[Alert, ...]:
    """Return all alerts.

    Args:
        durations: How windows are written; tests shrink them.
    """
    time = durations or Durations()
    return (
        _ipam_unavailable(time),
        _nobody_leads(time),
        _pool_nearly_full(time),
        _leak_suspected(time),
        _node_cannot_serve(time),
        _link_flapping(time),
        _stale_watch(time),
        _certificate_near_expiry(time),
    )


def _ipam_unavailable(time: Durations) -> Alert:
    return Alert(
        name="DanmIpamUnavailable",
        severity=Severity.CRITICAL,
        causes=(
            # Without a replica that is scraped nobody says that none is ready.
            Cause(
                reason="no replica of ipam-svc is ready",
                measure=f'max({m.READY}{{job="{IPAM_JOB}"}}) or vector(0)',
                condition="== 0",
            ),
        ),
        for_s=time.scaled(2 * MINUTE_S),
        summary="{{ $labels.reason }}",
        description="No Pod on a DanmNet with addresses starts, on no node. What runs goes on.",
    )


def _nobody_leads(time: Durations) -> Alert:
    validator = f'count({m.UP}{{job="{VALIDATOR_JOB}"}}) or vector(0)'
    electing = f"{IPAM_JOB}|{VALIDATOR_JOB}|{SVCWATCHER_JOB}"
    return Alert(
        name="DanmNobodyLeads",
        severity=Severity.WARNING,
        causes=(
            # Of what has Pods: svcwatcher may be left out.
            Cause(
                reason="no replica holds the Lease",
                measure=f'max by (job) ({m.UP}{{job=~"{electing}"}})',
                condition=f"unless on (job) ({m.LEADING} == 1)",
            ),
            Cause(
                reason="there is no validator",
                measure=f'label_replace({validator}, "job", "{VALIDATOR_JOB}", "", "")',
                condition="== 0",
            ),
        ),
        for_s=time.scaled(5 * MINUTE_S),
        summary="{{ $labels.job }}: {{ $labels.reason }}",
        description="New DanmNets are not judged, addresses of lost nodes are not freed, or"
        " Services do not follow their Pods.",
    )


def _pool_nearly_full(time: Durations) -> Alert:
    # For a moment two replicas may show them, when one leads after the other.
    free = f'max without (state, instance, {NODE_LABEL}) ({m.ADDRESSES}{{state="free"}})'
    size = f"max without (instance, {NODE_LABEL}) ({m.POOL_SIZE})"
    return Alert(
        name="DanmPoolNearlyFull",
        severity=Severity.WARNING,
        causes=(
            Cause(
                reason="few addresses are free",
                measure=f"1 - {free} / ({size} > 0)",
                condition=f"> {_NEARLY_FULL}",
            ),
        ),
        for_s=time.scaled(10 * MINUTE_S),
        summary="{{ $labels.namespace }}/{{ $labels.network }} ({{ $labels.family }}) is"
        " {{ $value | humanizePercentage }} full",
        description="When the pool is full, new Pods on this DanmNet do not start.",
    )


def _leak_suspected(time: Durations) -> Alert:
    return Alert(
        name="DanmLeakSuspected",
        severity=Severity.WARNING,
        causes=(
            Cause(
                reason="addresses that the node does not know",
                measure=m.UNKNOWN_ADDRESSES,
                condition="> 0",
            ),
            Cause(
                reason="removals that do not end",
                measure=m.UNFINISHED_REMOVALS,
                condition="> 0",
            ),
            Cause(
                reason="the Lease holder cannot free what is dead",
                measure=f"increase({m.RECLAIM_FAILURES}[{time.text(5 * MINUTE_S)}])",
                condition="> 0",
            ),
            Cause(
                reason="blocks that cannot be read",
                measure=m.UNREADABLE_BLOCKS,
                condition="> 0",
            ),
        ),
        for_s=time.scaled(5 * MINUTE_S),
        summary="{{ $labels.reason }}: {{ $labels.node }} {{ $labels.instance }}",
        description="Addresses or interfaces of Pods that are gone stay; pools fill up.",
    )


def _node_cannot_serve(time: Durations) -> Alert:
    danmd = f'{m.UP}{{job="{DANMD_JOB}"}}'
    netwatcher = f'{m.UP}{{job="{NODE_NETWATCHER_JOB}"}}'
    once_up = f"max_over_time({m.LINK_UP}[{time.text(DAY_S)}])"
    return Alert(
        name="DanmNodeCannotServe",
        severity=Severity.CRITICAL,
        causes=(
            Cause(
                reason="danmd is not ready",
                measure=f'{m.READY}{{job="{DANMD_JOB}"}}',
                condition="== 0",
            ),
            Cause(reason="danmd does not answer", measure=danmd, condition="== 0"),
            Cause(
                reason="there is no danmd",
                measure=netwatcher,
                condition=f"unless on ({NODE_LABEL}) {danmd}",
            ),
            # Not every node has every DanmNet's device: what has never been up here is no news.
            Cause(
                reason="host links that were up today are down",
                measure=f"sum without (link) ({once_up} - {m.LINK_UP})",
                condition="> 0",
            ),
        ),
        for_s=time.scaled(5 * MINUTE_S),
        summary="{{ $labels.reason }} on {{ $labels.node }}",
        description="Pods that are scheduled to this node do not start, or not on some networks."
        " What runs goes on.",
    )


def _link_flapping(time: Durations) -> Alert:
    return Alert(
        name="DanmLinkFlapping",
        severity=Severity.WARNING,
        causes=(
            Cause(
                reason="a host link is lost again and again",
                measure=f"increase({m.LINK_LOSSES}[{time.text(15 * MINUTE_S)}])",
                condition=f"> {_FLAPPING}",
            ),
        ),
        for_s=time.scaled(MINUTE_S),
        summary="{{ $labels.link }} on {{ $labels.node }} was lost {{ $value | humanize }} times",
        description="Pods on the networks of this link lose packets, or connections.",
    )


def _stale_watch(time: Durations) -> Alert:
    return Alert(
        name="DanmStaleWatch",
        severity=Severity.WARNING,
        causes=(
            Cause(
                reason="nothing was heard of a kind",
                measure=f"time() - {m.INFORMER_HEARD}",
                condition=f"> {time.scaled(_STALE_S):g}",
            ),
        ),
        for_s=time.scaled(MINUTE_S),
        summary="{{ $labels.job }} on {{ $labels.node }} has heard nothing of"
        " {{ $labels.resource }} for {{ $value | humanizeDuration }}",
        description="The part works with what it knew then: changes since are not followed.",
    )


def _certificate_near_expiry(time: Durations) -> Alert:
    return Alert(
        name="DanmCertificateNearExpiry",
        severity=Severity.WARNING,
        causes=tuple(
            Cause(
                reason=f"the {certificate} certificate was not renewed in time",
                # Once it has ended nobody is told of it any more: what was told last counts,
                # as long as the replica is there.
                measure=f'(last_over_time({m.CERTIFICATE_ENDS}{{certificate="{certificate}"}}'
                f'[{time.text(DAY_S)}]) and on (instance) {m.UP}{{job="{IPAM_JOB}"}}) - time()',
                condition=f"< {left_s:.0f}",
            )
            for certificate, left_s in (
                ("serving", _SERVING_LEFT_S),
                ("authority", _AUTHORITY_LEFT_S),
            )
        ),
        for_s=time.scaled(10 * MINUTE_S),
        summary="{{ $labels.reason }}: {{ $value | humanizeDuration }} left"
        " ({{ $labels.instance }})",
        description="After its end no node reserves addresses at this replica, or at any.",
    )
