"""What metrics and traces cost reservations of addresses."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from tests.lab.bench.cases import Case as Load
from tests.lab.bench.overhead.observers import replica_target, scraping
from tests.lab.bench.overhead.results import Comparison, Round, Side
from tests.lab.bench.overhead.turns import WARM_UP_TURN, Turns, in_turns
from tests.lab.bench.replicas import Replica
from tests.lab.bench.run import Bench
from tests.lab.bench.stage import Stage
from tests.lab.bench.usage import cpu_seconds
from tests.lab.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationTurns:
    """Compares loads of reservations, with ipam-svc observed and not.

    Attributes:
        token: Of an administrator, for a replica's metrics.
    """

    bench: Bench
    stage: Stage
    token: str
    turns: Turns
    progress: Progress

    async def compare(self, loads: Sequence[Load]) -> list[Comparison]:
        """Measure each load on both sides, again and again.

        Raises:
            LabError: A load failed, or nothing was traced.
        """
        return [await self._load(load) for load in loads]

    async def _load(self, load: Load) -> Comparison:
        rounds: list[Round] = []
        before = self.turns.collector.taken
        async with self._running() as replicas:
            _ = await in_turns(partial(self._side, load, replicas), WARM_UP_TURN)
            for number in range(self.turns.rounds):
                with self.progress.step(f"{load.name}, round {number + 1}"):
                    without, observed_side = await in_turns(
                        partial(self._side, load, replicas), number
                    )
                rounds.append(Round(without=without, observed=observed_side))
        return Comparison(
            load=f"reservations: {load.name}",
            of="median" if load.callers == 1 else "time for each",
            rounds=rounds,
            traced_bytes=self.turns.traced(before),
        )

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[Sequence[Replica]]:
        """Run ipam-svc, scraped."""
        with self.bench.replicas(1, launch=self.turns.launch) as replicas:
            target = replica_target(replicas[0], self.token, await self.stage.trust())
            with scraping(target, self.turns.switch):
                yield replicas

    async def _side(
        self,
        load: Load,
        replicas: Sequence[Replica],
        observed: bool,  # noqa: FBT001  (of in_turns)
    ) -> Side:
        networks = await self.bench.prepare(load)
        before_s = sum(cpu_seconds(each.pid) for each in replicas)
        with self.turns.side(observed=observed):
            figures = await self.bench.load(load, replicas, networks)
        cpu_s = sum(cpu_seconds(each.pid) for each in replicas) - before_s
        return Side(
            # One caller waits for each; of many, what passes for each is what counts.
            time_ms=figures.p50_ms if load.callers == 1 else 1000 / figures.rate,
            cpu_ms=cpu_s * 1000 / figures.done,
        )
