"""Carries out the faults of a schedule, and writes down when each one was over."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests.lab.chaos import history
from tests.lab.chaos.backbone import Backbone, Replica
from tests.lab.chaos.proxy import Proxy, Weather
from tests.lab.chaos.schedule import Fault, Kind

_API_WEATHER: Final = {
    Kind.API_CUT: Weather.CUT,
    Kind.API_STALL: Weather.STALL,
    Kind.API_HANG: Weather.HANG,
    Kind.API_LOSE_REQUESTS: Weather.LOSE_REQUESTS,
    Kind.API_LOSE_ANSWERS: Weather.LOSE_ANSWERS,
}


class FaultRecorder(Protocol):
    """Where faults are written down."""

    def now(self) -> float:
        """Return the seconds of the history's clock."""
        ...

    def add(self, record: history.Fault, /) -> None:
        """Write a fault down."""
        ...


@dataclass(slots=True, kw_only=True)
class Faults:
    """What breaks.

    Attributes:
        others: Breaks what only this kind of run has, and returns what it was.
    """

    backbone: Backbone
    replicas: Sequence[Replica]
    recorder: FaultRecorder
    others: Callable[[Fault], Coroutine[Any, Any, str]]
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
        replica = self.replicas[fault.replica]
        target = replica.program.name
        match fault.kind:
            case Kind.KILL:
                await kill(replica, fault.duration_s)
            case Kind.FREEZE:
                await freeze(replica, fault.duration_s)
            case Kind.RESTART_API_SERVER:
                target = "API server"
                await self.backbone.restart_server(hard=fault.hard, down_s=fault.duration_s)
            case Kind.RESTART_ETCD:
                target = "etcd"
                await self.backbone.restart_etcd(hard=fault.hard, down_s=fault.duration_s)
            case (
                Kind.API_CUT
                | Kind.API_STALL
                | Kind.API_HANG
                | Kind.API_LOSE_REQUESTS
                | Kind.API_LOSE_ANSWERS
            ):
                await storm(replica.api, _API_WEATHER[fault.kind], fault.duration_s)
            case _:
                target = await self.others(fault)
        self.recorder.add(
            history.Fault(kind=str(fault.kind), target=target, start=start, end=self.recorder.now())
        )


async def kill(replica: Replica, down_s: float) -> None:
    """Kill a program and start it again after a while."""
    async with replica.breaking:
        replica.program.kill()
        await asyncio.sleep(down_s)
        replica.program.start()


async def freeze(replica: Replica, duration_s: float) -> None:
    """Stop a program for a while."""
    async with replica.breaking:
        replica.program.freeze()
        try:
            await asyncio.sleep(duration_s)
        finally:
            replica.program.thaw()


async def storm(proxy: Proxy, weather: Weather, duration_s: float) -> None:
    """Break what passes for a while."""
    proxy.set_weather(weather)
    try:
        await asyncio.sleep(duration_s)
    finally:
        proxy.set_weather(Weather.FAIR)
