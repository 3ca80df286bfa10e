"""Names of Services and of StatefulSets' Pods, as CoreDNS answers from svcwatcher's slices."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from tests.lab.apiserver import LOOPBACK, ApiServer, free_ports
from tests.lab.binaries import COREDNS, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.dns import Answer, RecordType, ResponseCode, look_up
from tests.lab.process import start_leashed
from tests.lab.progress import Progress
from tests.svcwatcher_cluster import Cluster, a_cluster, running

# Building Kubernetes and CoreDNS, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_COREFILE: Final = """\
cluster.local:{port} {{
    bind {address}
    errors
    kubernetes cluster.local {{
        kubeconfig {kubeconfig}
        ttl 0
    }}
}}
"""
# Until an answer is what it should be; CoreDNS reads the cluster when it starts.
_DEADLINE_S: Final = 120.0
_POLL_S: Final = 0.05
_NOBODY: Final = Answer(code=ResponseCode.NO_SUCH_NAME)

NameServer = tuple[str, int]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def name_server(
    server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NameServer]:
    """Start a CoreDNS that follows the API server."""
    directory = tmp_path_factory.mktemp("coredns")
    (port,) = free_ports(1)
    corefile = directory / "Corefile"
    corefile.write_text(_COREFILE.format(port=port, address=LOOPBACK, kubeconfig=server.kubeconfig))
    binaries = Binaries(Cache(directory=default_cache_directory()), Progress())
    program = binaries.program(COREDNS, "coredns")
    background = start_leashed(
        "coredns", [program, "-conf", str(corefile)], log=directory / "coredns.log"
    )
    try:
        yield LOOPBACK, port
    finally:
        background.stop()


@pytest.fixture()
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with DANM's kinds."""
    async with a_cluster(server) as made:
        yield made


class Names:
    """The names of a namespace's Services, as a client of the cluster looks them up."""

    def __init__(self, cluster: Cluster, name_server: NameServer) -> None:
        self._domain = f"{cluster.namespace}.svc.cluster.local"
        self._server = name_server

    async def until(self, expected: dict[tuple[str, RecordType], Answer]) -> None:
        """Wait until each name has its answer; the last answers are told when that never is."""
        told: dict[tuple[str, RecordType], Answer] = {}
        try:
            async with asyncio.timeout(_DEADLINE_S):
                while told != expected:
                    await asyncio.sleep(_POLL_S)
                    told = {asked: await self._look_up(*asked) for asked in expected}
        except TimeoutError:
            assert told == expected

    async def _look_up(self, name: str, kind: RecordType) -> Answer:
        try:
            return await asyncio.to_thread(
                look_up, f"{name}.{self._domain}", kind, server=self._server
            )
        except OSError:
            return Answer(code=ResponseCode.SERVER_FAILURE)


def found(*addresses: str) -> Answer:
    """Return the answer of a name that has addresses."""
    return Answer(code=ResponseCode.NO_ERROR, addresses=tuple(sorted(addresses)))


async def test_a_statefulsets_pods_have_names_on_the_network_that_is_asked_for(
    server: ApiServer, name_server: NameServer, cluster: Cluster
) -> None:
    """Each Pod by its name and all by the Service's, in both families, with that network's address.

    A second Service finds the same Pods on their other network, by its own name alone: a Pod's name
    is below the Service that it gives as its subdomain.
    """
    # SPEC S1, S2; issue 6
    await cluster.serve("db")
    await cluster.serve("db-management", network="management")
    for number in range(2):
        pod = await cluster.run_pod(
            f"db-{number}",
            f"10.240.1.10{number}",
            address6=f"fd00::10{number}",
            subdomain="db",
        )
        await cluster.attach(pod, "management", f"10.241.1.10{number}")
    async with running(server):
        await Names(cluster, name_server).until(
            {
                ("db-0.db", RecordType.A): found("10.240.1.100"),
                ("db-1.db", RecordType.A): found("10.240.1.101"),
                ("db-0.db", RecordType.AAAA): found("fd00::100"),
                ("db-1.db", RecordType.AAAA): found("fd00::101"),
                ("db", RecordType.A): found("10.240.1.100", "10.240.1.101"),
                ("db", RecordType.AAAA): found("fd00::100", "fd00::101"),
                ("db-management", RecordType.A): found("10.241.1.100", "10.241.1.101"),
                ("db-0.db-management", RecordType.A): _NOBODY,
                ("db-2.db", RecordType.A): _NOBODY,
            }
        )


async def test_a_pods_name_follows_its_readiness(
    server: ApiServer, name_server: NameServer, cluster: Cluster
) -> None:
    """It is gone while the Pod is not ready, unless the Service publishes such Pods too."""
    # SPEC S1, S2; issue 6
    await cluster.serve("db")
    await cluster.serve("seeds", publishNotReadyAddresses=True)
    await cluster.run_pod("db-0", "10.240.1.100", subdomain="db")
    await cluster.run_pod("seed-0", "10.240.1.101", subdomain="seeds")
    names = Names(cluster, name_server)
    asked = [("db-0.db", RecordType.A), ("seed-0.seeds", RecordType.A)]
    here = [found("10.240.1.100"), found("10.240.1.101")]
    async with running(server):
        await names.until(dict(zip(asked, here, strict=True)))
        for pod in ("db-0", "seed-0"):
            await cluster.set_ready(pod, ready=False)
        await names.until(dict(zip(asked, [_NOBODY, here[1]], strict=True)))
        await cluster.set_ready("db-0", ready=True)
        await names.until(dict(zip(asked, here, strict=True)))
