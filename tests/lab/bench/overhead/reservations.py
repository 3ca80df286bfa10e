"""What metrics and traces cost reservations of addresses."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.lab.bench.cases import Case as Load
from tests.lab.bench.overhead.results import Comparison, Round, Side
from tests.lab.bench.overhead.turns import Turns, in_turns, scraped
from tests.lab.bench.run import Bench
from tests.lab.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationTurns:
    """Compares loads of reservations, with ipam-svc observed and not.

    Attributes:
        token: Of an administrator, for a replica's metrics.
    """

    bench: Bench
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
        for number in range(self.turns.rounds):
            with self.progress.step(f"{load.name}, round {number + 1}"):
                without, observed = await in_turns(partial(self._side, load), number)
            rounds.append(Round(without=without, observed=observed))
        return Comparison(
            load=f"reservations: {load.name}",
            of="median" if load.callers == 1 else "time for each",
            rounds=rounds,
            traced_bytes=self.turns.traced(before),
        )

    async def _side(self, load: Load, observed: bool) -> Side:  # noqa: FBT001  (of in_turns)
        figures, cost = await self.bench.load(
            load,
            launch=self.turns.launch(observed=observed),
            observed=lambda replicas, trust: scraped(
                replicas if observed else [], self.token, trust
            ),
        )
        each_ms = 1000 / figures.rate
        return Side(
            # One caller waits for each; of many, what passes for each is what counts.
            time_ms=figures.p50_ms if load.callers == 1 else each_ms,
            cpu_ms=cost.cpu["ipam-svc"] * each_ms,
        )
