"""One controller after the other, in a small cluster and in a large one."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from danm_api.kube.client import KubeClient
from tests.lab.apiserver import ApiServer
from tests.lab.bench.cni.results import times
from tests.lab.bench.controllers.endpoints.cases import Amounts, Load, Size, loads
from tests.lab.bench.controllers.endpoints.follow import follow
from tests.lab.bench.controllers.endpoints.programs import Controller, controllers
from tests.lab.bench.controllers.endpoints.slices import Slices
from tests.lab.bench.controllers.endpoints.stage import Crowd
from tests.lab.bench.controllers.results import ControllerFindings, LoadFindings
from tests.lab.bench.usage import (
    cpu_seconds,
    machine_seconds,
    memory_mb,
    metric_sum,
    peak_memory_mb,
    read_metrics,
)
from tests.lab.binaries import Binaries
from tests.lab.errors import LabError
from tests.lab.kubectl import Kubectl
from tests.lab.process import Background
from tests.lab.progress import Progress

T = TypeVar("T")

_SYNCED_WITHIN_S: Final = 60.0
# Kubernetes' own needs about a minute for a thousand Services.
_COMPLETE_WITHIN_S: Final = 300.0
_POLL_S: Final = 0.5
# A controller is at rest that takes less than this part of a core for so long: longer than
# svcwatcher waits with Endpoints, which is a second, or two where others go first.
_REST_S: Final = 3.0
_REST_CPU: Final = 0.02
_REST_WITHIN_S: Final = 60.0
_WRITES: Final = ("POST", "PUT", "PATCH", "DELETE")


async def measure_controllers(
    directory: Path,
    *,
    repository: Path,
    binaries: Binaries,
    progress: Progress,
    amounts: Amounts,
) -> list[ControllerFindings]:
    """Measure on an API server of its own, whose etcd waits for the disk.

    Raises:
        LabError: Something did not start, or a change was never followed.
    """
    found = []
    with ApiServer.start(directory, binaries=binaries, fsync=True) as server:
        async with await KubeClient.connect(server.kubeconfig) as api:
            crowd = Crowd(api)
            token = await crowd.set_up(Kubectl.on(server, binaries), repository)
            measured = controllers(server, directory, binaries, token=token)
            for size in amounts.sizes:
                with progress.step(f"{size.pods} Pods, each with 2 interfaces"):
                    await crowd.grow(size)
                for controller in measured:
                    bench = _Bench(api, server, controller, size, progress)
                    await crowd.serve(size, controller.service)
                    found.append(await bench.measure(loads(size, amounts)))
                    await crowd.clear_services()
    return found


class _Bench:
    """Measures one controller."""

    def __init__(
        self,
        api: KubeClient,
        server: ApiServer,
        controller: Controller,
        size: Size,
        progress: Progress,
    ) -> None:
        self._api = api
        self._server = server
        self._controller = controller
        self._size = size
        self._progress = progress

    async def measure(self, planned: tuple[Load, ...]) -> ControllerFindings:
        slices = Slices(self._api)
        watching = asyncio.create_task(slices.run())
        try:
            await slices.wait_synced(_SYNCED_WITHIN_S)
            return await self._run(slices, planned)
        finally:
            watching.cancel()

    async def _run(self, slices: Slices, planned: tuple[Load, ...]) -> ControllerFindings:
        name = self._controller.name
        began, all_used = time.monotonic(), self._used(0.0)
        background = self._controller.start()
        pid = background.process.pid
        try:
            with self._progress.step(f"{name}: {self._size.services} Services"):
                complete = slices.until_complete(self._size.expected(), _COMPLETE_WITHIN_S)
                started_s = await while_alive(background, complete) - began
                await self._at_rest(background)
            rss_mb = memory_mb(pid)
            found = []
            for load in planned:
                with self._progress.step(f"{name}: {load.name}"):
                    found.append(await self._load(background, slices, load))
            used = self._used(cpu_seconds(pid)).since(all_used)
            seconds = time.monotonic() - began
            peak_mb = peak_memory_mb(pid)
        finally:
            background.stop()
        return ControllerFindings(
            controller=name,
            size=self._size,
            started_s=started_s,
            rss_mb=rss_mb,
            peak_mb=peak_mb,
            others_cpu=max(0.0, used.machine_s - used.measured_s) / seconds,
            loads=found,
        )

    async def _load(self, background: Background, slices: Slices, load: Load) -> LoadFindings:
        pid = background.process.pid
        writes, cpu_s = self._writes(), cpu_seconds(pid)
        followed = await while_alive(background, follow(self._api, slices, load))
        await self._at_rest(background)
        more_cpu_s, more = cpu_seconds(pid), self._writes()
        return LoadFindings(
            name=load.name,
            at_once=load.at_once,
            seen=times(followed.seen_ms),
            accepted_ms=times(followed.accepted_ms).p50,
            rate=load.count / followed.busy_s,
            cpu_ms=1000 * (more_cpu_s - cpu_s) / load.count,
            slice_writes=(more.slices - writes.slices) / load.count,
            endpoints_writes=(more.endpoints - writes.endpoints) / load.count,
        )

    async def _at_rest(self, background: Background) -> None:
        """Wait until a controller has done all that there is to do.

        Raises:
            LabError: It goes on and on.
        """
        pid = background.process.pid
        deadline = time.monotonic() + _REST_WITHIN_S
        since, used_s = time.monotonic(), cpu_seconds(pid)
        while time.monotonic() - since < _REST_S:
            if time.monotonic() > deadline:
                raise LabError(f"{background.name} does not come to rest.")
            await asyncio.sleep(_POLL_S)
            if cpu_seconds(pid) - used_s > _REST_CPU * _REST_S:
                since, used_s = time.monotonic(), cpu_seconds(pid)

    def _writes(self) -> "_Writes":
        headers = {"Authorization": f"Bearer {self._server.token}"}
        authority = str(self._server.authority)
        text = read_metrics(f"{self._server.url}/metrics", headers, authority=authority)
        return _Writes(
            slices=_requests(text, "endpointslices"), endpoints=_requests(text, "endpoints")
        )

    def _used(self, controller_s: float) -> "_Used":
        programs = (self._server.server, self._server.etcd)
        own_s = time.process_time()
        return _Used(
            machine_s=machine_seconds(),
            measured_s=own_s
            + controller_s
            + sum(cpu_seconds(program.process.pid) for program in programs),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writes:
    """Requests to write that the API server has counted, refused ones among them."""

    slices: float
    endpoints: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Used:
    """Processor seconds of the machine, and of all that belongs to the bench."""

    machine_s: float
    measured_s: float

    def since(self, before: Self) -> "_Used":
        return _Used(
            machine_s=self.machine_s - before.machine_s,
            measured_s=self.measured_s - before.measured_s,
        )


def _requests(text: str, resource: str) -> float:
    return sum(
        metric_sum(text, "apiserver_request_total", (f'resource="{resource}"', f'verb="{verb}"'))
        for verb in _WRITES
    )


async def while_alive(background: Background, work: Awaitable[T]) -> T:
    """Wait for something that needs a program.

    Raises:
        StartError: The program ended.
    """
    task = asyncio.ensure_future(work)
    while True:
        done, _ = await asyncio.wait({task}, timeout=_POLL_S)
        if done:
            return task.result()
        failure = background.failure()
        if failure is not None:
            task.cancel()
            raise failure
