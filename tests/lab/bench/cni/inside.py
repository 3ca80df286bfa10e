"""The part of a run that has a node of its own: process 1 of the namespaces that `confined` makes.

One line of standard input is the job; standard output is what was found.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from danm_api.kube.client import KubeClient
from tests.lab.apiserver import ApiServer
from tests.lab.bench.cni.cases import Case, Pace
from tests.lab.bench.cni.confined import furnish, read_job
from tests.lab.bench.cni.measure import NodeBench, measure_starts
from tests.lab.bench.cni.namespaces import parent_link, set_up_loopback
from tests.lab.bench.cni.node import (
    ADDRESS,
    NodePaths,
    held_addresses,
    prepare,
    publish_ipam,
    running_danmd,
)
from tests.lab.bench.cni.pods import Pods
from tests.lab.bench.cni.results import Memory, NodeFindings, Storm
from tests.lab.bench.cni.storm import Storms
from tests.lab.bench.replicas import running_replicas
from tests.lab.bench.stage import NAMESPACE, Stage
from tests.lab.binaries import CNI_PLUGINS, CNITOOL, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.errors import LabError
from tests.lab.kubectl import Kubectl
from tests.lab.progress import Progress

# danmd compares every 10 s.
_RELEASED_WITHIN_S: Final = 45.0


class NodeJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured.

    Attributes:
        directory: On a disk, empty.
        repository: Where deploy/ is.
        executables: The directory of danm and fakeipam.
        storms: Whether many Pods at once are part of it.
        quiet: Says nothing of its progress.
    """

    directory: str
    repository: str
    executables: str
    cases: list[Case]
    pace: Pace
    storms: bool
    quiet: bool = False


class _Bench:
    """One run on the node."""

    def __init__(self, job: NodeJob) -> None:
        self._job = job
        self._directory = Path(job.directory)
        self._progress = Progress(quiet=job.quiet)
        self._binaries = Binaries(Cache(directory=default_cache_directory()), self._progress)

    async def run(self) -> NodeFindings:
        """Bring the node up, measure, and take it down."""
        furnish(self._directory)
        set_up_loopback(ADDRESS)
        with (
            parent_link(),
            ApiServer.start(self._directory, binaries=self._binaries, fsync=True) as server,
        ):
            async with await KubeClient.connect(server.kubeconfig) as api:
                return await self._on(server, api)

    async def _on(self, server: ApiServer, api: KubeClient) -> NodeFindings:
        job, stage = self._job, Stage(api)
        kubectl = Kubectl.on(server, self._binaries)
        paths = NodePaths.below(self._directory)
        paths.fill(plugins=self._binaries.directory(CNI_PLUGINS), executables=Path(job.executables))
        tokens = await prepare(stage, api, kubectl, Path(job.repository))
        pods = Pods(api, stage, kubectl)
        with running_replicas(
            1, server, self._directory, token=tokens.replica, address=ADDRESS
        ) as (replica,):
            await publish_ipam(stage, replica.endpoint)
            with running_danmd(server, paths, self._directory) as danmd:
                with self._progress.step("danmd at rest"):
                    await asyncio.sleep(job.pace.rest_s)
                    rest = danmd.memory_mb()
                with self._progress.step("starts of executables"):
                    starts = measure_starts(paths, job.pace.starts)
                bench = NodeBench(
                    paths=paths,
                    danmd=danmd,
                    pods=pods,
                    pace=job.pace,
                    servers={
                        "API server": server.server.process.pid,
                        "etcd": server.etcd.process.pid,
                        "ipam-svc": replica.pid,
                    },
                )
                rows = []
                for case in job.cases:
                    with self._progress.step(case.name):
                        rows.append(await bench.row(case))
                found = await self._storms(paths, pods)
                left = await self._left(api)
                memory = Memory(rest=rest, storm=danmd.peak_memory_mb(), after=danmd.memory_mb())
        return NodeFindings(starts=starts, rows=rows, storms=found, memory=memory, left=left)

    async def _storms(self, paths: NodePaths, pods: Pods) -> list[Storm]:
        if not self._job.storms:
            return []
        storms = Storms(self._binaries.program(CNITOOL, "cnitool"), paths, self._directory)
        with self._progress.step("many Pods at once, by danm"):
            ours = await storms.danm(pods)
        with self._progress.step("many Pods at once, by the reference plugins"):
            theirs = storms.reference()
        return [ours, theirs]

    async def _left(self, api: KubeClient) -> int:
        """Return how many addresses are held when danmd has had its time to release all."""
        deadline = time.monotonic() + _RELEASED_WITHIN_S
        with self._progress.step("all addresses are released"):
            while (left := await held_addresses(api, NAMESPACE)) and time.monotonic() < deadline:
                await asyncio.sleep(0.5)
        return left


def main() -> None:
    """Do one job."""
    job = msgspec.json.decode(read_job(), type=NodeJob)
    try:
        findings = asyncio.run(_Bench(job).run())
    except LabError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(msgspec.json.encode(findings))


if __name__ == "__main__":
    main()
