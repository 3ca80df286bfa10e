"""What only a run of ipam-svc breaks: the way of its callers, and nodes."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from tests.lab.chaos.crowd import Crowd
from tests.lab.chaos.faults import storm
from tests.lab.chaos.proxy import Weather
from tests.lab.chaos.schedule import Fault, Kind
from tests.lab.chaos.world import World

_CALLERS_WEATHER: Final = {
    Kind.CALLERS_CUT: Weather.CUT,
    Kind.CALLERS_STALL: Weather.STALL,
    Kind.CALLERS_LOSE_REQUESTS: Weather.LOSE_REQUESTS,
    Kind.CALLERS_LOSE_ANSWERS: Weather.LOSE_ANSWERS,
}


def ipam_faults(world: World, crowd: Crowd) -> Callable[[Fault], Coroutine[Any, Any, str]]:
    """Return what breaks them, and says what it was."""

    async def broken(fault: Fault) -> str:
        if fault.kind is Kind.LOSE_NODE:
            return await crowd.lose_node(gone=fault.hard)
        replica = world.replicas[fault.replica]
        await storm(replica.callers, _CALLERS_WEATHER[fault.kind], fault.duration_s)
        return replica.program.name

    return broken
