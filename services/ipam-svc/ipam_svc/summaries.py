"""Keeps DanmNet.status telling how full each network is (SPEC A4). Run by the Lease holder.

Every node watches DanmNets, so a summary is written soon (within 5 s) only when it says something
new in kind: the network became used, empty or full, or has room again. All else waits for 30 s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from danm_api.codec.danmnet_update import usage_patch
from danm_api.errors import DanmError, InvalidNetworkError, NetworkNotReadyError, NotFoundError
from danm_api.kube.api import DANMNETS, KubeApi
from danm_api.model.danmnet import DanmNet, Usage
from danm_api.names import NetworkUid
from danm_api.telemetry import get_logger
from ipam_svc.ledger import Ledger
from ipam_svc.network_addresses import NetworkAddresses
from ipam_svc.networks import NetworkCache
from ipam_svc.summary import NetworkSummary, cooling_until, stays_in_use, summarise

_log = get_logger(__name__)

# DESIGN, "Blocks": "otherwise at most every 30 s".
_QUIET_S: Final = 30.0
# Counting 60,000 addresses takes a tenth of a second, in which nobody is answered.
_COUNT_AGAIN_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What was looked at last, and when it was written last."""

    network_revision: int
    resource_version: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """What was counted last, and when."""

    resource_version: str
    at: float


class SummaryWriter:
    """Writes summaries that are due."""

    def __init__(
        self,
        api: KubeApi,
        *,
        ledger: Ledger,
        cache: NetworkCache,
        addresses: NetworkAddresses,
        clock: Callable[[], float],
    ) -> None:
        """Count what a ledger knows; Prometheus gets the same numbers as the status."""
        self._api = api
        self._ledger = ledger
        self._cache = cache
        self._addresses = addresses
        self._clock = clock
        self._written: dict[NetworkUid, _Written] = {}
        self._counted: dict[NetworkUid, _Counted] = {}

    async def reconcile(self) -> None:
        """Write every summary that is due; call it every second or so."""
        nets = self._cache.all()
        for net in nets:
            try:
                await self._reconcile(net)
            except NotFoundError:
                continue
            except DanmError as error:
                _log.warning(
                    "Could not write a summary",
                    namespace=net.namespace,
                    name=net.name,
                    error=error,
                )
        present = {net.uid for net in nets}
        for uid in self._counted.keys() - present:
            del self._counted[uid]
            self._written.pop(uid, None)
        self._addresses.keep_only(nets)

    async def _reconcile(self, net: DanmNet) -> None:
        revision = self._ledger.network_revision(net.uid)
        last = self._written.get(net.uid)
        unchanged = (
            last is not None
            and last.network_revision == revision
            and last.resource_version == net.resource_version
        )
        if unchanged or (last is not None and self._may_wait(net, last)):
            return
        try:
            spec = net.spec_in_force()
        except (InvalidNetworkError, NetworkNotReadyError):
            # What is held stays counted by the spec that was in force.
            if net.status.applied is None:
                return
            spec = net.status.applied
        blocks = self._ledger.blocks_of(net.uid)
        wanted = summarise(net, spec, blocks, self._ledger.unreadable.of(net.uid))
        now = self._clock()
        self._counted[net.uid] = _Counted(resource_version=net.resource_version, at=now)
        self._addresses.count(net, wanted, cooling_until(net, spec, blocks))
        present = NetworkSummary(ipv4=net.status.ipv4, ipv6=net.status.ipv6)
        if wanted != present:
            quiet = last is not None and now - last.at < _QUIET_S
            if quiet and _kind(wanted) == _kind(present):
                return
            patch = usage_patch(ipv4=wanted.ipv4, ipv6=wanted.ipv6)
            await self._api.patch(
                DANMNETS, net.name, patch, namespace=net.namespace, subresource="status"
            )
        self._written[net.uid] = _Written(
            network_revision=revision,
            resource_version=net.resource_version,
            at=now if wanted != present or last is None else last.at,
        )

    def _may_wait(self, net: DanmNet, last: _Written) -> bool:
        """Say whether a network was counted just now, and surely is what it was in kind."""
        counted = self._counted[net.uid]
        return (
            self._clock() < min(last.at + _QUIET_S, counted.at + _COUNT_AGAIN_S)
            # Else its pool may be another one by now.
            and counted.resource_version == net.resource_version
            and stays_in_use(
                NetworkSummary(ipv4=net.status.ipv4, ipv6=net.status.ipv6),
                self._ledger.blocks_of(net.uid),
                self._ledger.unreadable.of(net.uid),
            )
        )


def _kind(summary: NetworkSummary) -> tuple[str, str]:
    return _kind_of(summary.ipv4), _kind_of(summary.ipv6)


def _kind_of(usage: Usage | None) -> str:
    if usage is None:
        return "untracked"
    if usage.free <= 0:
        return "full"
    return "used" if usage.used else "empty"
