"""Requests made at random from the API's own document: no failure, no unhandled error, memory flat.

Half of them begin as the document's examples, whose names exist in the cluster; in the others most
names are replaced by some that do. So every operation is also granted. A replica in a process of
its own answers them.
"""

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import hypothesis
import msgspec
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from danm_api.codec.authority import decode_trust
from danm_api.errors import ConflictError
from danm_api.ipam_api import TRUST_CONFIG_MAP, ReservationQuery
from danm_api.ipam_client import IpamClient
from danm_api.kube.api import CONFIG_MAPS, NODES, PODS
from danm_api.kube.client import KubeClient
from danm_api.names import INTERFACES_ANNOTATION, SYSTEM_NAMESPACE
from ipam_svc.operations import METRICS_PATH, OPERATIONS, Operation
from tests.ipam.cluster import Cluster, soon
from tests.ipam.fuzz_cases import NAMESPACE, NETWORK, NODE, POD, POD_UID, aim, cases_of
from tests.ipam.replica_process import ReplicaProcess
from tests.lab.apiserver import LOOPBACK, ApiServer
from tests.lab.kinds import install_kinds_on
from tests.lab.kube_objects import NAMESPACES

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

# What an operation gets in each of two rounds for requests as the document allows, and for others.
_SHARE_S: Final = 1.2
_RAW_S: Final = 8.0
# After that, at most, until each operation has had all kinds of answers: a few seconds, and much
# longer on a machine that starves.
_COMPLETE_S: Final = 600.0
# How often each generated case is sent, aimed anew.
_TIMES: Final = 12
# What the allocator of Python keeps back from one round to the next.
_SLACK_MB: Final = 12.0
# Too long for what the service is sent here; it would hang only by a bug.
_TIMEOUT_S: Final = 120.0
# Whether what is refused should have been, and the other way round, no document can tell: names
# have to exist, and what is made wrong is aimed at something right afterwards.
_CHECKS: Final = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# The answer where the API server does not answer in time, as on a machine that starves.
_NOT_NOW: Final = 503
# Each operation is granted to some and refused to some; those that write are judged by form, by
# right and, where they can conflict, by what the record holds.
_ALWAYS: Final = frozenset({200, 401})
_EXPECTED: Final = {
    "reserve": frozenset({200, 400, 401, 403, 409}),
    "release": frozenset({200, 400, 401, 403}),
}
_CALLERS: Final = {
    "token": ["tool", "tool", "tool", "danmd", "danmd", "nobody", "stranger"],
    "apiServerToken": ["prometheus", "prometheus", "tool", "stranger"],
}
_MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@dataclass(slots=True, kw_only=True)
class _Place:
    """A replica that runs, and those who ask it."""

    cluster: Cluster
    replica: ReplicaProcess
    trust: Path
    tokens: dict[str, str]

    def client(self) -> IpamClient:
        return IpamClient(
            lambda: [self.replica.endpoint], self.trust.read_text, lambda: self.tokens["tool"]
        )


async def _prepare(server: ApiServer, directory: Path) -> _Place:
    await install_kinds_on(server)
    replica = ReplicaProcess.on_free_ports("fuzzed", server, directory)
    async with await KubeClient.connect(server.kubeconfig) as api:
        cluster = Cluster(server=server, api=api, namespace=NAMESPACE)
        for name in (NAMESPACE, SYSTEM_NAMESPACE):
            with suppress(ConflictError):
                await cluster.create(NAMESPACES, {"metadata": {"name": name}})
        await cluster.add_network(NETWORK, cidr="10.0.0.0/24", net6="2001:db8::/64", fakeipam=True)
        await cluster.add_network("san", net6="2001:db8::/64", host_device="san")
        await cluster.add_network("small", cidr="10.0.1.0/30", host_device="other")
        await _run_static_pod(cluster)
        await cluster.create(NODES, {"metadata": {"name": NODE}})
        await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE)
        danmd = await cluster.run_pod(
            "danmd", node=NODE, namespace=SYSTEM_NAMESPACE, account="danm-cni"
        )
        await cluster.allow("tool", namespace=SYSTEM_NAMESPACE)
        await cluster.allow("danm-cni", namespace=SYSTEM_NAMESPACE)
        prometheus = await cluster.token("prometheus", namespace=NAMESPACE, audience="")
        await cluster.allow_path("prometheus", METRICS_PATH)
        tokens = {
            "tool": await cluster.token("tool", namespace=SYSTEM_NAMESPACE),
            "danmd": await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE, pod=danmd),
            "nobody": await cluster.token("nobody", namespace=SYSTEM_NAMESPACE),
            "prometheus": prometheus,
            "stranger": "none",
        }
        await replica.start()
        trust = directory / "trust.pem"
        raw = await api.get(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        trust.write_text(decode_trust(raw))
    return _Place(cluster=cluster, replica=replica, trust=trust, tokens=tokens)


async def _run_static_pod(cluster: Cluster) -> None:
    """Create the examples' Pod: only a static Pod can have their UID."""
    asked = [
        {"network": NETWORK, "ip": "dynamic", "ip6": "dynamic"},
        {"network": "san", "ip6": "2001:db8::7/64"},
    ]
    annotations = {
        INTERFACES_ANNOTATION: msgspec.json.encode(asked).decode(),
        "kubernetes.io/config.mirror": POD_UID,
    }
    spec = {
        "containers": [{"name": "c", "image": "none"}],
        "nodeName": NODE,
        "automountServiceAccountToken": False,
    }
    await cluster.create(
        PODS, {"metadata": {"name": POD, "annotations": annotations}, "spec": spec}
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Place]:
    """Start an API server and a replica for all tests of this file."""
    directory = tmp_path_factory.mktemp("fuzz")
    with ApiServer.start(directory) as server:
        made = asyncio.run(_prepare(server, directory))
        yield made
        asyncio.run(made.replica.stop())


def _fuzz(
    place: _Place, operation: Operation, mode: GenerationMode, seconds: float
) -> Counter[int]:
    """Send requests of one operation for some seconds, and count the answers by status.

    The time begins with the first one: how long the generator takes for it tells nothing.
    """
    answers: Counter[int] = Counter()
    until = 0.0

    @hypothesis.settings(
        max_examples=100_000,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(
        case=cases_of(operation.path, operation.method.lower(), mode),
        seed=st.integers(0, 2**32),
    )
    def send(case: tuple[Case[Any], float], seed: int) -> None:
        nonlocal until
        until = until or time.monotonic() + seconds
        rng = Random(seed)
        # To make a case takes longer than to have it answered.
        for _ in range(_TIMES):
            if time.monotonic() > until:
                raise _EnoughError
            aimed = aim(case[0], rng, case[1])
            who = rng.choice(_CALLERS[operation.security])
            response = aimed.call(
                base_url=f"https://{place.replica.endpoint}",
                headers={"Authorization": f"Bearer {place.tokens[who]}"},
                verify=str(place.trust),
                timeout=_TIMEOUT_S,
            )
            if response.status_code != _NOT_NOW:
                aimed.validate_response(response, checks=[not_a_server_error])
            aimed.validate_response(response, checks=_CHECKS)
            answers[response.status_code] += 1

    with suppress(_EnoughError):
        send()
    return answers


class _EnoughError(Exception):
    """The time of a round is over."""


def _round(place: _Place, answers: dict[str, Counter[int]]) -> None:
    for operation in OPERATIONS:
        for mode in _MODES:
            answers[operation.name] += _fuzz(place, operation, mode, _SHARE_S)


def _complete(place: _Place, answers: dict[str, Counter[int]]) -> dict[str, frozenset[int]]:
    """Go on until every operation has had the answers of ``_EXPECTED``, or the time is over.

    Returns:
        Which statuses are missing, by operation.
    """
    until = time.monotonic() + _COMPLETE_S
    while True:
        missing = {
            name: expected
            for name, counted in answers.items()
            if (expected := _EXPECTED.get(name, _ALWAYS) - counted.keys())
        }
        if not missing or time.monotonic() > until:
            return missing
        for operation in OPERATIONS:
            if operation.name in missing:
                answers[operation.name] += _fuzz(
                    place, operation, GenerationMode.POSITIVE, _SHARE_S
                )


def _complaints(place: _Place) -> list[str]:
    """Return what the replica's log has that it should not."""
    log = place.replica.directory / f"{place.replica.name}.log"
    return [
        line
        for line in log.read_text().splitlines()
        if "Traceback" in line or '"level":"error"' in line.replace(" ", "")
    ]


def test_no_request_makes_the_service_fail(place: _Place) -> None:
    """Whatever is asked, the answer has the document's form and is no failure; memory is flat."""
    # SPEC I2; DESIGN P6, P7
    answers = {operation.name: Counter[int]() for operation in OPERATIONS}
    _round(place, answers)
    before_mb = place.replica.memory_mb()
    _round(place, answers)
    after_mb = place.replica.memory_mb()
    missing = _complete(place, answers)
    for name, counted in answers.items():
        print(f"{name}: {dict(sorted(counted.items()))}")
    print(f"{before_mb:.1f} MB before the second half, {after_mb:.1f} MB after")
    assert missing == {}
    assert after_mb - before_mb < _SLACK_MB
    assert _complaints(place) == []


def test_no_bytes_make_the_service_fail(place: _Place) -> None:
    """What is no HTTP, or begins like it, ends its connection and nothing else."""
    # DESIGN P6
    context = ssl.create_default_context(cafile=str(place.trust))
    port = place.replica.port
    until = time.monotonic() + _RAW_S
    heads = [f"{each.method} {each.path} HTTP/1.1\r\nHost: x\r\n".encode() for each in OPERATIONS]
    pieces = st.one_of(
        st.binary(max_size=200),
        st.sampled_from([*heads, b"\r\n", b"\r\n\r\n", b"{", b"Content-Length: 9\r\n"]),
        st.sampled_from([b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n"]),
        st.sampled_from(
            [b"Content-Encoding: gzip\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n"]
        ),
    )

    @hypothesis.settings(
        max_examples=100_000, deadline=None, database=None, phases=[Phase.generate]
    )
    @hypothesis.given(st.lists(pieces, min_size=1, max_size=8).map(b"".join))
    def send(data: bytes) -> None:
        if time.monotonic() > until:
            raise _EnoughError
        with (
            socket.create_connection((LOOPBACK, port), _TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(data)
            # Nobody waits for an answer that may never come.
            connection.settimeout(0)
            with suppress(ssl.SSLWantReadError, ConnectionError):
                assert not connection.recv(64).startswith(b"HTTP/1.1 5")

    with suppress(_EnoughError):
        send()
    assert _complaints(place) == []
    asyncio.run(_ask_usage(place))


async def _ask_usage(place: _Place) -> None:
    async with place.client() as client:
        await client.usage(NAMESPACE, NETWORK, deadline=soon())


async def test_record_is_exact_afterwards(place: _Place) -> None:
    """After all this every address has one owner, and lists, filters and usage agree."""
    # DESIGN P1
    async with place.client() as client:
        query = ReservationQuery(limit=7)
        pages = client.reservations(NAMESPACE, deadline=soon(), query=query)
        entries = [each async for each in pages]
        assert len({(each.network, each.address) for each in entries}) == len(entries)
        for network in (NETWORK, "san", "small"):
            own = await client.network_reservations(NAMESPACE, network, deadline=soon())
            assert own.items == [each for each in entries if each.network == network]
            usage = await client.usage(NAMESPACE, network, deadline=soon())
            used = sum(each.used for each in (usage.ipv4, usage.ipv6) if each is not None)
            assert used == len(own.items)
