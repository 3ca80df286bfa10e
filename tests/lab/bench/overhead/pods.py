"""What metrics and traces cost ADDs and DELs of Pods."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from danm_cni.config import HEALTH_PORT
from tests.lab.apiserver import LOOPBACK, ApiServer
from tests.lab.bench.cni.cases import Case, Pace
from tests.lab.bench.cni.measure import NodeBench
from tests.lab.bench.cni.node import ADDRESS, NodePaths, publish_ipam, running_danmd
from tests.lab.bench.cni.pods import Pods
from tests.lab.bench.cni.results import Row
from tests.lab.bench.overhead.observers import Target, scraping
from tests.lab.bench.overhead.results import Comparison, Round, Side
from tests.lab.bench.overhead.turns import Turns, in_turns, scraped
from tests.lab.bench.replicas import running_replicas
from tests.lab.bench.stage import Stage, Tokens
from tests.lab.progress import Progress

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
        for number in range(self.turns.rounds):
            with self.progress.step(f"{case.name}, round {number + 1}"):
                without, observed = await in_turns(partial(self._row, case), number)
            adds.append(
                Round(
                    without=Side(time_ms=without.danm.add.p50, cpu_ms=without.danmd_cpu_ms),
                    observed=Side(time_ms=observed.danm.add.p50, cpu_ms=observed.danmd_cpu_ms),
                )
            )
            deletes.append(
                Round(
                    without=Side(time_ms=without.danm.delete.p50, cpu_ms=without.danmd_cpu_ms),
                    observed=Side(time_ms=observed.danm.delete.p50, cpu_ms=observed.danmd_cpu_ms),
                )
            )
        traced = self.turns.traced(before)
        return [
            Comparison(load=f"Pods: {case.name}", of=of, rounds=rounds, traced_bytes=traced)
            for of, rounds in (("ADD, median", adds), ("DEL, median", deletes))
        ]

    async def _row(self, case: Case, observed: bool) -> Row:  # noqa: FBT001  (of in_turns)
        launch = self.turns.launch(observed=observed)
        with running_replicas(
            1,
            self.server,
            self.directory,
            token=self.tokens.replica,
            launch=launch,
            address=ADDRESS,
        ) as replicas:
            await publish_ipam(self.stage, replicas[0].endpoint)
            trust = await self.stage.trust()
            with running_danmd(self.server, self.paths, self.directory, launch=launch) as danmd:
                bench = NodeBench(paths=self.paths, danmd=danmd, pods=self.pods, pace=_PACE)
                # Of what happens once in a process's life, nothing is to be measured.
                _ = await bench.row(msgspec.structs.replace(case, repeats=3))
                if not observed:
                    return await bench.row(case)
                own = Target(url=f"http://{LOOPBACK}:{HEALTH_PORT}/metrics")
                with scraping(own), scraped(replicas, self.server.token, trust):
                    return await bench.row(case)
