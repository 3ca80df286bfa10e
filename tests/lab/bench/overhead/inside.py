"""A node of its own on which both sides take turns: process 1 of the place that `confined` makes.

One line of standard input is the job; standard output is what was found.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.overhead.unobserved as _unobserved
from danm_api.kube.client import KubeClient
from danm_cni.config import HEALTH_PORT
from tests.lab.apiserver import LOOPBACK, ApiServer
from tests.lab.bench.cases import Case as Load
from tests.lab.bench.cni.cases import Case, Pace
from tests.lab.bench.cni.confined import furnish, read_job
from tests.lab.bench.cni.measure import NodeBench
from tests.lab.bench.cni.namespaces import parent_link, set_up_loopback
from tests.lab.bench.cni.node import ADDRESS, NodePaths, prepare, publish_ipam, running_danmd
from tests.lab.bench.cni.pods import Pods
from tests.lab.bench.cni.results import Row
from tests.lab.bench.launch import Launch
from tests.lab.bench.overhead.observers import (
    Collector,
    Target,
    running_collector,
    scraping,
)
from tests.lab.bench.overhead.results import Comparison, Round, Side
from tests.lab.bench.replicas import Replica, running_replicas
from tests.lab.bench.run import Bench
from tests.lab.bench.stage import Stage, Tokens
from tests.lab.binaries import CNI_PLUGINS, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.errors import LabError
from tests.lab.kubectl import Kubectl
from tests.lab.progress import Progress

_WITHOUT: Final = Launch(wrapper=("-m", str(_unobserved.__spec__.name)))


_Found = TypeVar("_Found")


class OverheadJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured.

    Attributes:
        directory: On a disk, empty.
        repository: Where deploy/ is.
        executables: The directory of danm and fakeipam.
        loads: Of reservations.
        cases: Of Pods.
        rounds: How often each, with and without.
        quiet: Says nothing of its progress.
    """

    directory: str
    repository: str
    executables: str
    loads: list[Load]
    cases: list[Case]
    rounds: int
    quiet: bool = False


class _Overhead:
    """One run on the node."""

    def __init__(self, job: OverheadJob, collector: Collector) -> None:
        self._job = job
        self._collector = collector
        self._directory = Path(job.directory)
        self._progress = Progress(quiet=job.quiet)
        self._binaries = Binaries(Cache(directory=default_cache_directory()), self._progress)
        self._observed = Launch(
            environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_SDK_DISABLED": ""}
        )

    async def run(self) -> list[Comparison]:
        """Bring the node up, measure, and take it down."""
        furnish(self._directory)
        set_up_loopback(ADDRESS)
        with (
            parent_link(),
            ApiServer.start(self._directory, binaries=self._binaries, fsync=True) as server,
        ):
            async with await KubeClient.connect(server.kubeconfig) as api:
                return await self._on(server, api)

    async def _on(self, server: ApiServer, api: KubeClient) -> list[Comparison]:
        stage = Stage(api)
        kubectl = Kubectl.on(server, self._binaries)
        tokens = await prepare(stage, api, kubectl, Path(self._job.repository))
        found = await self._pods(server, Pods(api, stage, kubectl), stage, tokens)
        bench = Bench(server, stage, tokens, self._directory, self._progress)
        return found + await self._reservations(bench, server.token)

    async def _pods(
        self, server: ApiServer, pods: Pods, stage: Stage, tokens: Tokens
    ) -> list[Comparison]:
        """Compare ADDs and DELs, with danmd and ipam-svc observed and not."""
        paths = NodePaths.below(self._directory)
        paths.fill(
            plugins=self._binaries.directory(CNI_PLUGINS), executables=Path(self._job.executables)
        )
        pace = Pace(starts=0, case_s=60.0, rest_s=0.0)

        async def rows(case: Case, observed: bool) -> Row:  # noqa: FBT001  (of _in_turns)
            launch = self._observed if observed else _WITHOUT
            with running_replicas(
                1, server, self._directory, token=tokens.replica, launch=launch, address=ADDRESS
            ) as replicas:
                await publish_ipam(stage, replicas[0].endpoint)
                trust = await stage.trust()
                with running_danmd(server, paths, self._directory, launch=launch) as danmd:
                    bench = NodeBench(paths=paths, danmd=danmd, pods=pods, pace=pace)
                    # Of what happens once in a process's life, nothing is to be measured.
                    _ = await bench.row(msgspec.structs.replace(case, repeats=3))
                    if not observed:
                        return await bench.row(case)
                    own = Target(url=f"http://{LOOPBACK}:{HEALTH_PORT}/metrics")
                    with scraping(own), _scraped(replicas, server.token, trust):
                        return await bench.row(case)

        found: list[Comparison] = []
        for case in self._job.cases:
            sides: dict[str, list[Round]] = {"ADD, median": [], "DEL, median": []}
            before = self._collector.taken
            for number in range(self._job.rounds):
                with self._progress.step(f"{case.name}, round {number + 1}"):
                    without, observed = await _in_turns(partial(rows, case), number)
                for of, both in (
                    ("ADD, median", (without.danm.add, observed.danm.add)),
                    ("DEL, median", (without.danm.delete, observed.danm.delete)),
                ):
                    sides[of].append(
                        Round(
                            without=Side(time_ms=both[0].p50, cpu_ms=without.danmd_cpu_ms),
                            observed=Side(time_ms=both[1].p50, cpu_ms=observed.danmd_cpu_ms),
                        )
                    )
            traced = self._traced(before)
            found += [
                Comparison(load=f"Pods: {case.name}", of=of, rounds=rounds, traced_bytes=traced)
                for of, rounds in sides.items()
            ]
        return found

    async def _reservations(self, bench: Bench, token: str) -> list[Comparison]:
        """Compare loads of reservations, with ipam-svc observed and not."""

        async def side(load: Load, observed: bool) -> Side:  # noqa: FBT001  (of _in_turns)
            figures, cost = await bench.load(
                load,
                launch=self._observed if observed else _WITHOUT,
                observed=lambda replicas, trust: _scraped(
                    replicas if observed else [], token, trust
                ),
            )
            each_ms = 1000 / figures.rate
            return Side(
                # One caller waits for each; of many, what passes for each is what counts.
                time_ms=figures.p50_ms if load.callers == 1 else each_ms,
                cpu_ms=cost.cpu["ipam-svc"] * each_ms,
            )

        found: list[Comparison] = []
        for load in self._job.loads:
            rounds: list[Round] = []
            before = self._collector.taken
            for number in range(self._job.rounds):
                with self._progress.step(f"{load.name}, round {number + 1}"):
                    without, observed = await _in_turns(partial(side, load), number)
                rounds.append(Round(without=without, observed=observed))
            found.append(
                Comparison(
                    load=f"reservations: {load.name}",
                    of="median" if load.callers == 1 else "time for each",
                    rounds=rounds,
                    traced_bytes=self._traced(before),
                )
            )
        return found

    def _traced(self, before: int) -> int:
        """Return what came since then.

        Raises:
            LabError: Nothing came, so nothing was traced.
        """
        traced = self._collector.taken - before
        if not traced:
            raise LabError("No trace came to the collector.")
        return traced


async def _in_turns(
    measure: Callable[[bool], Awaitable[_Found]], number: int
) -> tuple[_Found, _Found]:
    """Measure without and with; who is first changes from round to round."""
    if number % 2:
        observed = await measure(True)  # noqa: FBT003  (the measure's only argument)
        return await measure(False), observed  # noqa: FBT003
    without = await measure(False)  # noqa: FBT003
    return without, await measure(True)  # noqa: FBT003


@contextmanager
def _scraped(replicas: Sequence[Replica], token: str, authority: str) -> Iterator[None]:
    """Scrape the only replica, if there is one."""
    if not replicas:
        yield
        return
    (replica,) = replicas
    url = f"https://{replica.endpoint}/metrics"
    with scraping(Target(url=url, token=token, authority=authority)):
        yield


def main() -> None:
    """Do one job."""
    job = msgspec.json.decode(read_job(), type=OverheadJob)
    try:
        with running_collector() as collector:
            found = asyncio.run(_Overhead(job, collector).run())
    except LabError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
