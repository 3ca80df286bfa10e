"""Requests made at random from the API's own document: no 5xx, no unhandled error, memory flat.

Most of the generated names are replaced by what exists in the cluster, so that requests get past
the first check; a replica in a process of its own answers them.
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
import pytest
import schemathesis
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
from danm_api.kube.api import CONFIG_MAPS, NODES
from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc.openapi import openapi_document
from ipam_svc.operations import OPERATIONS, Operation
from tests.ipam.cluster import Cluster, install_kinds, soon
from tests.ipam.replica_process import ReplicaProcess
from tests.lab.apiserver import LOOPBACK, ApiServer
from tests.lab.kube_objects import NAMESPACES

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_NAMESPACE: Final = "fuzz"
_NETWORK: Final = "net"
_NODE: Final = "node-1"
# What an operation gets in each of two rounds for requests as the document allows, and for others.
_SHARE_S: Final = 1.2
_RAW_S: Final = 8.0
_HURRY_S: Final = 2.0
# How often each generated case is sent, aimed anew.
_TIMES: Final = 12
# How likely a part of it becomes one that exists, or one that is odd.
_WELL: Final = 0.7
_ODDLY: Final = 0.01
# What the allocator of Python keeps back from one round to the next.
_SLACK_MB: Final = 12.0
# Too long for what the service is sent here; it would hang only by a bug.
_TIMEOUT_S: Final = 40.0
# Whether what is refused should have been, and the other way round, no document can tell: names
# have to exist, and what is made wrong is aimed at something right afterwards.
_CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
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
    await install_kinds(server)
    replica = ReplicaProcess.on_free_ports("fuzzed", server, directory)
    async with await KubeClient.connect(server.kubeconfig) as api:
        cluster = Cluster(server=server, api=api, namespace=_NAMESPACE)
        for name in (_NAMESPACE, SYSTEM_NAMESPACE):
            with suppress(ConflictError):
                await cluster.create(NAMESPACES, {"metadata": {"name": name}})
        await cluster.add_network(_NETWORK, cidr="10.0.0.0/24", net6="2001:db8::/64", fakeipam=True)
        await cluster.add_network("small", cidr="10.0.1.0/30", host_device="other")
        annotation = f'[{{"network": "{_NETWORK}", "ip": "dynamic", "ip6": "dynamic"}}]'
        await cluster.run_pod("pod", node=_NODE, annotation=annotation)
        await cluster.create(NODES, {"metadata": {"name": _NODE}})
        await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE)
        danmd = await cluster.run_pod(
            "danmd", node=_NODE, namespace=SYSTEM_NAMESPACE, account="danm-cni"
        )
        await cluster.allow("tool", namespace=SYSTEM_NAMESPACE)
        await cluster.allow("danm-cni", namespace=SYSTEM_NAMESPACE)
        tokens = {
            "tool": await cluster.token("tool", namespace=SYSTEM_NAMESPACE),
            "danmd": await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE, pod=danmd),
            "stranger": "none",
        }
        await replica.start()
        trust = directory / "trust.pem"
        raw = await api.get(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        trust.write_text(decode_trust(raw))
    return _Place(cluster=cluster, replica=replica, trust=trust, tokens=tokens)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Place]:
    """Start an API server and a replica for all tests of this file."""
    directory = tmp_path_factory.mktemp("fuzz")
    with ApiServer.start(directory) as server:
        made = asyncio.run(_prepare(server, directory))
        yield made
        asyncio.run(made.replica.stop())


_KNOWN: Final[dict[str, list[Any]]] = {
    "namespace": [_NAMESPACE],
    "network": [_NETWORK, "small"],
    "node": [_NODE],
    "name": ["pod", "printer"],
    "interface": ["", "eth0"],
    "ip": ["dynamic", "none", "10.0.0.7/24", "10.0.1.1/30"],
    "ip6": ["dynamic", "none", "2001:db8::7/64"],
    "attempt": [1, 2, 3, 2**53 - 1],
    "address": ["10.0.0.1", "2001:db8::7"],
    "expires": ["2030-01-01T00:00:00Z", None],
}


# What no field is made for.
_ODD: Final[list[Any]] = [
    None,
    True,
    -1,
    2**64,
    1e308,
    "",
    "\x00",
    "ü" * 300,
    [],
    {},
    [[]],
    {"a": {}},
]


def _aimed(value: Any, rng: Random, name: str = "") -> Any:  # noqa: ANN401  (any JSON)
    """Return a JSON value with some parts replaced by what exists, and few by what is odd."""
    if rng.random() < _ODDLY:
        return rng.choice(_ODD)
    if isinstance(value, dict):
        return {key: _aimed(each, rng, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_aimed(each, rng, name) for each in value]
    if name in _KNOWN and rng.random() < _WELL:
        return rng.choice(_KNOWN[name])
    return value


def _aim(case: Case[Any], rng: Random) -> Case[Any]:
    """Return a generated case that may get past the first checks."""
    body = case.body
    if isinstance(body, dict | list):
        body = _aimed(body, rng)
    if isinstance(body, dict) and _is_hurried(body.get("timeoutS")):
        # Who waits for a millisecond is told to try again, rightly.
        body["timeoutS"] = _HURRY_S
    aimed: Case[Any] = case.operation.Case(
        method=case.method,
        path_parameters={
            name: str(_aimed(value, rng, name)) for name, value in case.path_parameters.items()
        },
        query={name: _aimed(value, rng, name) for name, value in case.query.items()},
        headers=dict(case.headers),
        body=body,
        media_type=case.media_type,
    )
    return aimed


def _is_hurried(timeout_s: object) -> bool:
    return isinstance(timeout_s, int | float) and 0 < timeout_s < _HURRY_S


def _cases(path: str, method: str, mode: GenerationMode) -> st.SearchStrategy[Case[Any]]:
    schema = schemathesis.openapi.from_dict(openapi_document())
    schema.config.update(base_url="https://localhost")
    operation = schema[path][method]
    cases: st.SearchStrategy[Case[Any]] = operation.as_strategy(generation_mode=mode)
    return cases


def _fuzz(
    place: _Place, operation: Operation, mode: GenerationMode, seconds: float
) -> Counter[int]:
    """Send requests of one operation for some seconds, and count the answers by status."""
    answers: Counter[int] = Counter()
    until = time.monotonic() + seconds

    @hypothesis.settings(
        max_examples=100_000,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(
        case=_cases(operation.path, operation.method.lower(), mode),
        seed=st.integers(0, 2**32),
    )
    def send(case: Case[Any], seed: int) -> None:
        rng = Random(seed)
        # To make a case takes longer than to have it answered.
        for _ in range(_TIMES):
            if time.monotonic() > until:
                raise _EnoughError
            aimed = _aim(case, rng)
            who = rng.choice(["tool", "tool", "tool", "danmd", "danmd", "stranger"])
            response = aimed.call(
                base_url=f"https://{place.replica.endpoint}",
                headers={"Authorization": f"Bearer {place.tokens[who]}"},
                verify=str(place.trust),
                timeout=_TIMEOUT_S,
            )
            aimed.validate_response(response, checks=_CHECKS)
            answers[response.status_code] += 1

    with suppress(_EnoughError):
        send()
    return answers


class _EnoughError(Exception):
    """The time of a round is over."""


def _round(place: _Place) -> Counter[int]:
    answers: Counter[int] = Counter()
    for operation in OPERATIONS:
        for mode in _MODES:
            answers += _fuzz(place, operation, mode, _SHARE_S)
    return answers


def _complaints(place: _Place) -> list[str]:
    """Return what the replica's log has that it should not."""
    log = place.replica.directory / f"{place.replica.name}.log"
    return [
        line
        for line in log.read_text().splitlines()
        if "Traceback" in line or '"level":"error"' in line.replace(" ", "")
    ]


def test_no_request_makes_the_service_fail(place: _Place) -> None:
    """Whatever is asked, the answer is of the document's form and no 5xx, and memory stays flat."""
    # SPEC I2; DESIGN P6, P7
    answers = _round(place)
    before_mb = place.replica.memory_mb()
    answers += _round(place)
    after_mb = place.replica.memory_mb()
    print(f"{dict(answers)}: {before_mb:.1f} MB before the second half, {after_mb:.1f} MB after")
    # Some get through, and both kinds of refusal are reached.
    assert {200, 400, 401} <= answers.keys()
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
        await client.usage(_NAMESPACE, _NETWORK, deadline=soon())


async def test_record_is_exact_afterwards(place: _Place) -> None:
    """After all this every address has one owner, and lists, filters and usage agree."""
    # DESIGN P1
    async with place.client() as client:
        query = ReservationQuery(limit=7)
        pages = client.reservations(_NAMESPACE, deadline=soon(), query=query)
        entries = [each async for each in pages]
        assert len({(each.network, each.address) for each in entries}) == len(entries)
        for network in (_NETWORK, "small"):
            own = await client.network_reservations(_NAMESPACE, network, deadline=soon())
            assert own.items == [each for each in entries if each.network == network]
            usage = await client.usage(_NAMESPACE, network, deadline=soon())
            assert usage.ipv4 is not None
            assert usage.ipv4.used == sum("." in each.address for each in own.items)
