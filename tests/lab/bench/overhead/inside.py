"""A node of its own on which both sides take turns: process 1 of the place that `confined` makes.

One line of standard input is the job; standard output is what was found.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from danm_api.kube.client import KubeClient
from tests.lab.apiserver import ApiServer
from tests.lab.bench.cases import Case as Load
from tests.lab.bench.cni.cases import Case
from tests.lab.bench.cni.confined import furnish, read_job
from tests.lab.bench.cni.namespaces import parent_link, set_up_loopback
from tests.lab.bench.cni.node import ADDRESS, NodePaths, prepare
from tests.lab.bench.cni.pods import Pods
from tests.lab.bench.overhead.observers import Collector, running_collector
from tests.lab.bench.overhead.pods import PodTurns
from tests.lab.bench.overhead.reservations import ReservationTurns
from tests.lab.bench.overhead.results import Comparison
from tests.lab.bench.overhead.switch import Switch
from tests.lab.bench.overhead.turns import Turns
from tests.lab.bench.run import Bench
from tests.lab.bench.stage import Stage
from tests.lab.binaries import CNI_PLUGINS, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.errors import LabError
from tests.lab.kubectl import Kubectl
from tests.lab.progress import Progress


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


async def _measure(job: OverheadJob, collector: Collector) -> list[Comparison]:
    """Bring the node up, measure, and take it down."""
    directory = Path(job.directory)
    progress = Progress(quiet=job.quiet)
    binaries = Binaries(Cache(directory=default_cache_directory()), progress)
    turns = Turns(collector=collector, switch=Switch.make(directory / "switch"), rounds=job.rounds)
    furnish(directory)
    set_up_loopback(ADDRESS)
    paths = NodePaths.below(directory)
    paths.fill(plugins=binaries.directory(CNI_PLUGINS), executables=Path(job.executables))
    with (
        parent_link(),
        ApiServer.start(directory, binaries=binaries, fsync=True) as server,
    ):
        async with await KubeClient.connect(server.kubeconfig) as api:
            stage = Stage(api)
            kubectl = Kubectl.on(server, binaries)
            tokens = await prepare(stage, api, kubectl, Path(job.repository))
            pods = PodTurns(
                server=server,
                stage=stage,
                tokens=tokens,
                pods=Pods(api, stage, kubectl),
                paths=paths,
                directory=directory,
                turns=turns,
                progress=progress,
            )
            reservations = ReservationTurns(
                bench=Bench(server, stage, tokens, directory, progress),
                stage=stage,
                token=server.token,
                turns=turns,
                progress=progress,
            )
            found = await pods.compare(job.cases)
            return found + await reservations.compare(job.loads)


def main() -> None:
    """Do one job."""
    job = msgspec.json.decode(read_job(), type=OverheadJob)
    try:
        with running_collector() as collector:
            found = asyncio.run(_measure(job, collector))
    except LabError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
