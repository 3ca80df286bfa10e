"""What metrics and traces cost ADDs and DELs of Pods."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Final

import msgspec

from danm_cni.config import HEALTH_PORT
from tests.lab.apiserver import LOOPBACK, ApiServer
from tests.lab.bench.cni.cases import Case, Pace
from tests.lab.bench.cni.measure import NodeBench
from tests.lab.bench.cni.node import ADDRESS, NodePaths, publish_ipam, running_danmd
from tests.lab.bench.cni.pods import Pods
from tests.lab.bench.cni.results import Row, Times
from tests.lab.bench.cni.results import Side as PodSide
from tests.lab.bench.overhead.observers import Target, replica_target, scraping
from tests.lab.bench.overhead.results import Comparison, Round, Side
from tests.lab.bench.overhead.turns import WARM_UP_TURN, Turns, in_turns
from tests.lab.bench.replicas import running_replicas
from tests.lab.bench.stage import Stage, Tokens
from tests.lab.progress import Progress

_WARM_UPS: Final = 3
_PACE: Final = Pace(starts=0, case_s=60.0, rest_s=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodTurns:
    """Compares cases of Pods, with danmd and ipam-svc observed and not.

    Attributes:
        directory: For logs.
        paths: Of the node, filled.
    """

    server: ApiServer
    stage: Stage
    tokens: Tokens
    pods: Pods
    paths: NodePaths
    directory: Path
    turns: Turns
    progress: Progress

    async def compare(self, cases: Sequence[Case]) -> list[Comparison]:
        """Measure each case on both sides, again and again.

        Raises:
            LabError: An ADD or DEL failed, or nothing was traced.
        """
        return [each for case in cases for each in await self._case(case)]

    async def _case(self, case: Case) -> list[Comparison]:
        adds: list[Round] = []
        deletes: list[Round] = []
        before = self.turns.collector.taken
        async with self._running() as bench:
            for _ in range(_WARM_UPS):
                _ = await in_turns(partial(self._pod, bench, case), WARM_UP_TURN)
            for number in range(self.turns.rounds):
                with self.progress.step(f"{case.name}, round {number + 1}"):
                    rows = [
                        await in_turns(partial(self._pod, bench, case), pod)
                        for pod in range(case.repeats)
                    ]
                adds.append(_round(rows, lambda side: side.add))
                deletes.append(_round(rows, lambda side: side.delete))
        traced = self.turns.traced(before)
        return [
            Comparison(load=f"Pods: {case.name}", of=of, rounds=rounds, traced_bytes=traced)
            for of, rounds in (("ADD, median", adds), ("DEL, median", deletes))
        ]

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[NodeBench]:
        """Run danmd and ipam-svc, scraped."""
        launch, switch = self.turns.launch, self.turns.switch
        with running_replicas(
            1,
            self.server,
            self.directory,
            token=self.tokens.replica,
            launch=launch,
            address=ADDRESS,
        ) as replicas:
            await publish_ipam(self.stage, replicas[0].endpoint)
            of_replica = replica_target(replicas[0], self.server.token, await self.stage.trust())
            of_danmd = Target(url=f"http://{LOOPBACK}:{HEALTH_PORT}/metrics")
            with (
                running_danmd(self.server, self.paths, self.directory, launch=launch) as danmd,
                scraping(of_danmd, switch),
                scraping(of_replica, switch),
            ):
                yield NodeBench(paths=self.paths, danmd=danmd, pods=self.pods, pace=_PACE)

    async def _pod(
        self, bench: NodeBench, case: Case, observed: bool  # noqa: FBT001  (of in_turns)
    ) -> Row:
        with self.turns.side(observed=observed):
            return await bench.row(msgspec.structs.replace(case, repeats=1))


def _round(rows: Sequence[tuple[Row, Row]], of: Callable[[PodSide], Times]) -> Round:
    without, observed = zip(*rows, strict=True)
    return Round(without=_side(without, of), observed=_side(observed, of))


def _side(rows: Sequence[Row], of: Callable[[PodSide], Times]) -> Side:
    return Side(
        time_ms=median(of(row.danm).p50 for row in rows),
        cpu_ms=fmean(row.danmd_cpu_ms for row in rows),
    )
