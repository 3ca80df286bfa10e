"""Tests of a whole replica against an API server in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from click.testing import CliRunner

from danm_api.errors import ApiError, ApiUnavailableError, NotFoundError
from danm_api.kube.api import (
    DANMEPS,
    DANMNETS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    LEASES,
    SERVICES,
    Resource,
)
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.service_builders import a_service, raw_service
from svcwatcher.__main__ import main
from svcwatcher.config import Config, EndpointsMode
from svcwatcher.process import Process, endpoints_are_served


def a_config(name: str = "one") -> Config:
    """Build a configuration for a test."""
    return Config(
        kubeconfig=None,
        pod_name=name,
        namespace="danm-system",
        endpoints=EndpointsMode.AUTO,
        concurrency=2,
        health_host="127.0.0.1",
        health_port=0,
    )


@asynccontextmanager
async def running(api: FakeKube, name: str = "one") -> AsyncIterator[Process]:
    """Run a replica, and stop it as a signal would."""
    process = Process(a_config(name), api)
    stop = asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    try:
        yield process
    finally:
        stop.set()
        await task


def holder(api: FakeKube) -> str | None:
    """Return who holds the Lease."""
    lease = api.stored(LEASES, "danm-svcwatcher", namespace="danm-system")
    return None if lease is None else lease["spec"]["holderIdentity"]


async def ask(process: Process, path: str) -> tuple[int, str]:
    """Ask a replica's health port."""
    url = f"http://127.0.0.1:{process.health_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_a_replica_serves_and_tells_how_it_is() -> None:
    """It leads, writes, is ready, and counts what it wrote."""
    # SPEC S2, S3
    api = FakeKube()
    service = a_service()
    api.add(SERVICES, raw_service(service, uid=service.uid))
    async with asyncio.timeout(10), running(api) as process:
        while not api.all_stored(ENDPOINTS):
            await asyncio.sleep(0.001)
        assert (await ask(process, "/healthz"))[0] == 200
        assert (await ask(process, "/readyz"))[0] == 200
        _, counted = await ask(process, "/metrics")
    created = 'danm_svcwatcher_writes_total{resource="endpointslices",result="ok",verb="create"}'
    assert created in counted
    assert "danm_svcwatcher_endpoint_convergence_seconds_bucket" in counted
    assert holder(api) == ""


async def test_a_second_replica_stands_by_and_takes_over() -> None:
    """One writes, the other is ready; when the first stops, the second goes on at once."""
    # SPEC S3
    api = FakeKube()
    async with asyncio.timeout(20), AsyncExitStack() as second_runs:
        async with running(api, "first"):
            while holder(api) != "first":
                await asyncio.sleep(0.001)
            second = await second_runs.enter_async_context(running(api, "second"))
            while not second.health_port or (await ask(second, "/readyz"))[0] != 200:
                await asyncio.sleep(0.001)
            assert holder(api) == "first"
        service = a_service()
        api.add(SERVICES, raw_service(service, uid=service.uid))
        while not api.all_stored(ENDPOINT_SLICES):
            await asyncio.sleep(0.001)
        assert holder(api) == "second"


@pytest.mark.parametrize("kind", [DANMEPS, DANMNETS], ids=lambda kind: kind.plural)
async def test_a_replica_that_cannot_read_the_cluster_does_not_take_the_lease(
    kind: Resource,
) -> None:
    """Else one that starts, or whose permissions are wrong, would keep the others from writing."""
    # SPEC S3, DESIGN P5
    api = FakeKube()
    api.fail_next("list", kind, ApiError("may not list it", status=403), times=3)
    gate = api.hold_next("list", kind)
    service = a_service()
    api.add(SERVICES, raw_service(service, uid=service.uid))
    async with asyncio.timeout(20), running(api, "sick") as sick:
        await gate.reached.wait()
        assert (holder(api), await ask(sick, "/readyz")) == (
            None,
            (503, "the cluster has not been read yet\n"),
        )
        async with running(api, "well"):
            while not api.all_stored(ENDPOINT_SLICES):
                await asyncio.sleep(0.001)
            assert holder(api) == "well"
            gate.open()


async def test_a_replica_says_when_it_has_read_the_cluster() -> None:
    """Once, and before it writes anything."""
    api = FakeKube()
    service = a_service()
    api.add(SERVICES, raw_service(service, uid=service.uid))
    written: list[int] = []
    process = Process(
        a_config(), api, on_synced=lambda: written.append(len(api.all_stored(ENDPOINT_SLICES)))
    )
    stop = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(process.run(stop))
        while not api.all_stored(ENDPOINT_SLICES):
            await asyncio.sleep(0.001)
        stop.set()
    assert written == [0]


async def test_a_replica_is_not_ready_before_it_has_read_the_cluster() -> None:
    """A replica that could not take over is not counted as one that could."""
    api = FakeKube()
    gate = api.hold_next("list", ENDPOINTS)
    async with asyncio.timeout(10), running(api) as process:
        await gate.reached.wait()
        assert await ask(process, "/readyz") == (503, "the API server has not answered yet\n")
        gate.open()


async def test_a_cluster_without_endpoints_gets_slices_only() -> None:
    """When Kubernetes has dropped Endpoints, nothing asks for them any more."""
    # DESIGN "Controllers"
    api = FakeKube()
    api.fail_next("list", ENDPOINTS, NotFoundError("no such resource"))
    service = a_service()
    api.add(SERVICES, raw_service(service, uid=service.uid))
    async with asyncio.timeout(10), running(api):
        while not api.all_stored(ENDPOINT_SLICES):
            await asyncio.sleep(0.001)
    assert api.calls["watch", "endpoints"] == api.calls["create", "endpoints"] == 0


async def test_an_api_server_that_is_away_is_asked_again() -> None:
    """A replica that starts before the API server waits for it."""
    api = FakeKube()
    api.fail_next("list", ENDPOINTS, ApiUnavailableError("no answer", status=0), times=3)
    delays: list[float] = []

    async def sleep(delay_s: float) -> None:
        delays.append(delay_s)

    assert await endpoints_are_served(api, sleep=sleep)
    assert len(delays) == 3


def test_help_explains() -> None:
    """``--help`` says what it does, and names the environment's form of the options."""
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "danm.k8s.io/selector" in result.output
    assert "DANM_HEALTH_PORT" in result.output
