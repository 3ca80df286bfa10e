"""A replica of svcwatcher that leads, with a Service whose Pod is ready and is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import LEASES
from danm_api.testing.service_builders import a_pod, a_service
from svcwatcher.config import Config, EndpointsMode
from svcwatcher.process import Process
from svcwatcher.testing.cluster import Cluster
from tests.monitoring.stages.stage import HOST, Fault, Stage

# More than a test waits for.
_VERY_OFTEN: Final = 1_000_000


@asynccontextmanager
async def svcwatcher(port: int) -> AsyncIterator[Stage]:
    """Run svcwatcher."""
    cluster = Cluster()
    pod = a_pod()
    cluster.serve(a_service())
    cluster.serve(a_service("misspelt", selector="no JSON", uid="s-2"))
    cluster.run_pod(pod, "10.240.1.100")
    config = Config(
        kubeconfig=None,
        pod_name="svcwatcher",
        namespace="danm-system",
        endpoints=EndpointsMode.AUTO,
        concurrency=2,
        health_host=HOST,
        health_port=port,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(Process(config, cluster.api).run(stop))
    ready = True

    async def tick() -> None:
        nonlocal ready
        ready = not ready
        await cluster.set_ready(pod.name, ready=ready)
        cluster.api.bookmark()

    async def refuse() -> None:
        refused = ApiUnavailableError("no Leases today", status=0)
        cluster.api.fail_next("replace", LEASES, refused, times=_VERY_OFTEN)

    async def accept() -> None:
        cluster.api.fail_no_more()

    try:
        yield Stage(tick=tick, faults={"refused": Fault(make=refuse, mend=accept)})
    finally:
        stop.set()
        await running
