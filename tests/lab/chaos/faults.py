"""Carries out the faults of a schedule, and writes down when each one was over."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, assert_never

from tests.lab.chaos import history
from tests.lab.chaos.crowd import Crowd
from tests.lab.chaos.proxy import Proxy, Weather
from tests.lab.chaos.recorder import Recorder
from tests.lab.chaos.schedule import Fault, Kind
from tests.lab.chaos.world import World

_API_WEATHER: Final = {
    Kind.API_CUT: Weather.CUT,
    Kind.API_STALL: Weather.STALL,
    Kind.API_HANG: Weather.HANG,
    Kind.API_LOSE_REQUESTS: Weather.LOSE_REQUESTS,
    Kind.API_LOSE_ANSWERS: Weather.LOSE_ANSWERS,
}
_CALLERS_WEATHER: Final = {
    Kind.CALLERS_CUT: Weather.CUT,
    Kind.CALLERS_STALL: Weather.STALL,
    Kind.CALLERS_LOSE_REQUESTS: Weather.LOSE_REQUESTS,
    Kind.CALLERS_LOSE_ANSWERS: Weather.LOSE_ANSWERS,
}


@dataclass(slots=True, kw_only=True)
class Faults:
    """What breaks."""

    world: World
    crowd: Crowd
    recorder: Recorder
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _failures: list[BaseException] = field(default_factory=list)

    async def follow(self, plan: Iterator[Fault]) -> None:
        """Begin each fault at its time, until cancelled."""
        began = self.recorder.now()
        for fault in plan:
            await asyncio.sleep(began + fault.at - self.recorder.now())
            task = asyncio.create_task(self._break(fault))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def failure(self) -> BaseException | None:
        """Return why a fault could not be carried out."""
        return self._failures[0] if self._failures else None

    async def end(self) -> None:
        """Wait until everything is whole again."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failures.append(error)

    async def _break(self, fault: Fault) -> None:
        start = self.recorder.now()
        target = self.world.replicas[fault.replica].program.name
        match fault.kind:
            case Kind.KILL:
                await self._kill(fault)
            case Kind.FREEZE:
                await self._freeze(fault)
            case Kind.RESTART_API_SERVER:
                target = "API server"
                await self.world.restart_server(hard=fault.hard, down_s=fault.duration_s)
            case Kind.RESTART_ETCD:
                target = "etcd"
                await self.world.restart_etcd(hard=fault.hard, down_s=fault.duration_s)
            case Kind.LOSE_NODE:
                target = await self.crowd.lose_node(gone=fault.hard)
            case (
                Kind.API_CUT
                | Kind.API_STALL
                | Kind.API_HANG
                | Kind.API_LOSE_REQUESTS
                | Kind.API_LOSE_ANSWERS
            ):
                proxy = self.world.replicas[fault.replica].api
                await _storm(proxy, _API_WEATHER[fault.kind], fault.duration_s)
            case (
                Kind.CALLERS_CUT
                | Kind.CALLERS_STALL
                | Kind.CALLERS_LOSE_REQUESTS
                | Kind.CALLERS_LOSE_ANSWERS
            ):
                proxy = self.world.replicas[fault.replica].callers
                await _storm(proxy, _CALLERS_WEATHER[fault.kind], fault.duration_s)
            case _:
                assert_never(fault.kind)
        self.recorder.add(
            history.Fault(kind=str(fault.kind), target=target, start=start, end=self.recorder.now())
        )

    async def _kill(self, fault: Fault) -> None:
        program = self.world.replicas[fault.replica].program
        program.kill()
        await asyncio.sleep(fault.duration_s)
        program.start()

    async def _freeze(self, fault: Fault) -> None:
        program = self.world.replicas[fault.replica].program
        program.freeze()
        try:
            await asyncio.sleep(fault.duration_s)
        finally:
            program.thaw()


async def _storm(proxy: Proxy, weather: Weather, duration_s: float) -> None:
    proxy.set_weather(weather)
    try:
        await asyncio.sleep(duration_s)
    finally:
        proxy.set_weather(Weather.FAIR)
