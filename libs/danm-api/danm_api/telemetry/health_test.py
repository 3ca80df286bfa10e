"""Health endpoints: what probes and Prometheus see."""

import asyncio

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from danm_api.telemetry import HealthServer, Readiness
from danm_api.testing.hangs import HANGS_S
from danm_api.testing.samples import sample


async def answer(port: int, path: str) -> tuple[int, str]:
    """Return status and text of a GET."""
    url = f"http://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_readiness_says_why_not() -> None:
    """Readiness follows the process's own state and gives its reason."""
    state: Readiness = "the Pods are not read yet"
    async with HealthServer(host="127.0.0.1", port=0, ready=lambda: state) as server:
        assert await answer(server.port, "/readyz") == (503, "the Pods are not read yet\n")
        assert await answer(server.port, "/healthz") == (200, "ok\n")
        assert sample("danm_ready") == 0
        state = True
        assert await answer(server.port, "/readyz") == (200, "ok\n")
        assert sample("danm_ready") == 1
        state = False
        assert await answer(server.port, "/readyz") == (503, "not ready\n")
    state = True
    # A process that ends serves nobody.
    assert sample("danm_ready") == 0


async def test_metrics_are_served() -> None:
    """Prometheus gets the registry's metrics in its text form."""
    registry = CollectorRegistry()
    Counter("served", "How many", registry=registry).inc(3)
    async with HealthServer(
        host="127.0.0.1", port=0, ready=lambda: True, registry=registry
    ) as server:
        status, text = await answer(server.port, "/metrics")
    assert status == 200
    assert "served_total 3.0" in text


async def test_metrics_may_be_elsewhere() -> None:
    """Without a registry nothing is told to whoever asks."""
    async with HealthServer(host="127.0.0.1", port=0, ready=lambda: True, registry=None) as server:
        assert (await answer(server.port, "/metrics"))[0] == 404
        assert (await answer(server.port, "/readyz"))[0] == 200


async def test_a_taken_port_is_an_error() -> None:
    """Two processes on one port: the second says so at its start."""
    async with HealthServer(host="127.0.0.1", port=0, ready=lambda: True) as first:
        second = HealthServer(host="127.0.0.1", port=first.port, ready=lambda: True)
        with pytest.raises(OSError, match="in use"):
            await second.__aenter__()


async def test_connections_are_bounded() -> None:
    """Whoever opens connection after connection keeps no probe out, and loses the oldest."""
    # DESIGN P6
    async with HealthServer(host="127.0.0.1", port=0, ready=lambda: True) as server:
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(64)]
        assert await answer(server.port, "/healthz") == (200, "ok\n")
        async with asyncio.timeout(HANGS_S):
            assert await opened[0][0].read() == b""
        for _, each in opened:
            each.transport.abort()


async def test_a_bug_in_an_answer_is_told_as_one(caplog: pytest.LogCaptureFixture) -> None:
    """The log has its traceback and the path, and who asked is not told that HTTP is to blame."""

    def ready() -> Readiness:
        raise KeyError("x")

    async with HealthServer(host="127.0.0.1", port=0, ready=ready) as server:
        status, text = await answer(server.port, "/readyz")
    assert status == 500
    assert "an error of this process" in text
    (record,) = (each for each in caplog.records if each.exc_info)
    assert "in ready" in caplog.text
    assert "/readyz" in str(record.__dict__)
