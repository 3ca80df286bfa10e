"""A whole replica of the validator, against an API server in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from prometheus_client import REGISTRY

from danm_api.codec.danmnet import decode_danmnet
from danm_api.kube.api import DANMNETS, LEASES
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet
from danm_api.testing.fake_kube import FakeKube
from netwatcher.__main__ import main
from netwatcher.config import VALIDATOR_LEASE, ValidatorConfig
from netwatcher.validator_process import ValidatorProcess


@asynccontextmanager
async def running(api: FakeKube, name: str = "one") -> AsyncIterator[ValidatorProcess]:
    """Run a replica, and stop it as a signal would."""
    config = ValidatorConfig(
        kubeconfig=None,
        pod_name=name,
        namespace="danm-system",
        health_host="127.0.0.1",
        health_port=0,
    )
    process = ValidatorProcess(config, api)
    stop = asyncio.Event()
    task = asyncio.create_task(process.run(stop))
    try:
        yield process
    finally:
        stop.set()
        await task


def holder(api: FakeKube) -> str | None:
    """Return who holds the Lease."""
    lease = api.stored(LEASES, VALIDATOR_LEASE, namespace="danm-system")
    return None if lease is None else lease["spec"]["holderIdentity"]


async def judged(api: FakeKube, name: str, **options: Any) -> bool:  # noqa: ANN401
    """Create a DanmNet, wait for its verdict and return it."""
    api.add(DANMNETS, a_raw_danmnet(name, **{"host_device": name, **options}))
    while True:
        raw = api.stored(DANMNETS, name, namespace=NAMESPACE)
        assert raw is not None
        verdict = decode_danmnet(raw).status.condition("Valid")
        if verdict is not None and verdict.status is not None:
            return verdict.status
        await asyncio.sleep(0.001)


async def test_a_replica_judges_and_tells_how_it_is() -> None:
    """It leads, judges, is ready, and releases the Lease when it stops."""  # SPEC N1
    api = FakeKube()
    async with asyncio.timeout(10), running(api) as process:
        assert await judged(api, "internal")
        url = f"http://127.0.0.1:{process.health_port}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
        while REGISTRY.get_sample_value("danm_netwatcher_networks", {"state": "valid"}) != 1:
            await asyncio.sleep(0.001)
        assert REGISTRY.get_sample_value("danm_netwatcher_networks", {"state": "refused"}) == 0
    assert holder(api) == ""


async def test_a_second_replica_stands_by_and_takes_over() -> None:
    """One judges, the other one goes on when it stops."""
    api = FakeKube()
    async with asyncio.timeout(20), AsyncExitStack() as second_runs:
        async with running(api, "first"):
            while holder(api) != "first":
                await asyncio.sleep(0.001)
            await second_runs.enter_async_context(running(api, "second"))
            assert await judged(api, "a")
            assert holder(api) == "first"
        assert await judged(api, "b")
        assert holder(api) == "second"


async def test_a_replica_stands_once_it_has_read_the_danmnets() -> None:
    """One that judges before it watches would not hear of what goes meanwhile, and count it."""
    # SPEC N1
    api = FakeKube()
    api.add(DANMNETS, a_raw_danmnet("gone", host_device="ens4", vlan=300))
    reading = api.hold_next("list", DANMNETS)
    async with asyncio.timeout(10), running(api):
        await reading.reached.wait()
        # Whatever can be done without the list is done.
        for _ in range(1000):
            await asyncio.sleep(0)
        await api.delete(DANMNETS, "gone", namespace=NAMESPACE)
        reading.open()
        assert await judged(api, "next", vlan=300, host_device="ens4")


@pytest.mark.parametrize("command", ["node", "validator", "cleanup"])
def test_help_explains_every_command(command: str) -> None:
    """Whoever tries the program is told what it does."""
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_node_needs_its_name() -> None:
    """A mistake in the manifest is said before anything runs."""
    result = CliRunner().invoke(main, ["node"], env={"DANM_NODE_NAME": None})
    assert result.exit_code == 2
    assert "--node-name" in result.output
