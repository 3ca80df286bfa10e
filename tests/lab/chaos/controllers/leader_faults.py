"""Faults of programs of which one leads by a Lease."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from danm_api.errors import DanmError
from danm_api.kube.api import LEASES
from danm_api.names import SYSTEM_NAMESPACE
from tests.lab.chaos.backbone import Backbone, Replica
from tests.lab.chaos.etcd import current_revision, forget_history
from tests.lab.chaos.faults import freeze, kill, storm
from tests.lab.chaos.proxy import Weather
from tests.lab.chaos.schedule import Fault, Kind

# So much happens to the objects while a replica hears of nothing.
_MISSES_S: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderFaults:
    """Breaks whoever leads, and what a replica would resume its watches from.

    Attributes:
        lease: The name of the Lease.
    """

    backbone: Backbone
    replicas: Sequence[Replica]
    lease: str

    async def broken(self, fault: Fault) -> str:
        """Carry a fault out and return what it broke."""
        if fault.kind is Kind.FORGET:
            replica = self.replicas[fault.replica]
            await self._forget(replica, fault)
            return replica.program.name
        leader = await self._leader()
        match fault.kind:
            case Kind.KILL_LEADER:
                await kill(leader, fault.duration_s)
            case Kind.FREEZE_LEADER:
                await freeze(leader, fault.duration_s)
            case Kind.STALL_LEADER:
                await storm(leader.api, Weather.STALL, fault.duration_s)
            case _:
                raise AssertionError(fault)
        return leader.program.name

    async def _leader(self) -> Replica:
        """Return who leads; the first one where nobody can tell."""
        holder = ""
        try:
            lease = await self.backbone.objects.api.get(
                LEASES, self.lease, namespace=SYSTEM_NAMESPACE
            )
            holder = lease["spec"].get("holderIdentity") or ""
        except DanmError:
            pass
        leaders = (each for each in self.replicas if each.program.name == holder)
        return next(leaders, self.replicas[0])

    async def _forget(self, replica: Replica, fault: Fault) -> None:
        """Have a replica miss changes that nobody can tell it any more: it has to list again.

        The API server remembers in its own memory what etcd has dropped, so it starts anew.
        """
        replica.api.set_weather(Weather.CUT)
        try:
            await asyncio.sleep(_MISSES_S)
            async with self.backbone.whole():
                url = self.backbone.etcd_url
                await forget_history(url, await current_revision(url))
            await self.backbone.restart_server(hard=fault.hard, down_s=0)
            await asyncio.sleep(fault.duration_s)
        finally:
            replica.api.set_weather(Weather.FAIR)
