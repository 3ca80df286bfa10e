"""The HTTP edge: what is no good request gets a problem document and nothing more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

import msgspec
import pytest
from aiohttp import ClientResponse, ClientSession
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY

from danm_api.errors import ApiUnavailableError
from danm_api.ipam_api import AUDIENCE, RELEASE_PATH, RESERVE_PATH, Problem
from danm_api.kube.api import DANMIPBLOCKS
from danm_api.record.entries import CLOCK_SKEW
from danm_api.testing.hangs import HANGS_S
from danm_api.testing.samples import sample
from ipam_svc.access import Access
from ipam_svc.http_api import HttpApi
from ipam_svc.limits import Admission, Limits, Rate
from ipam_svc.lookup import Lookup
from ipam_svc.operations import METRICS_PATH, OPENAPI_PATH, OPERATIONS, PAGE_PATH
from ipam_svc.testing.cluster import NAMESPACE, Cluster, eventually

_GOOD = {
    "owner": {"kind": "External", "namespace": NAMESPACE, "name": "x"},
    "attempt": 1,
    "attachments": [{"network": "net", "interface": "", "ip": "dynamic"}],
}


@asynccontextmanager
async def _served(
    cluster: Cluster, *, limits: Limits | None = None, ready: bool = True
) -> AsyncIterator[TestClient[Any, Any]]:
    cluster.kube.review_token = lambda spec: {
        "authenticated": spec["token"] == ("good" if "audiences" in spec else "prometheus"),
        "audiences": [AUDIENCE],
        "user": {"username": "jane"},
    }
    limits = limits or Limits()
    async with cluster.running() as (replica,):
        api = HttpApi(
            access=Access(
                cluster.kube,
                networks=replica.networks,
                possessions=replica.possessions,
                danmd_user="danmd",
                reviews=limits.reviews,
                clock=cluster.clock.monotonic,
            ),
            reservations=replica.reservations,
            releases=replica.releases,
            lookup=Lookup(networks=replica.networks, ledger=replica.ledger, reach=replica.reach),
            ready=lambda: ready,
            admission=Admission(limits, danmd_user="danmd", clock=cluster.clock.monotonic),
            limits=limits,
        )
        headers = {"Authorization": "Bearer good"}
        async with TestClient(TestServer(api.app), headers=headers) as client:
            yield client


async def _problem(response: ClientResponse) -> Problem:
    assert response.content_type == "application/problem+json"
    problem = msgspec.json.decode(await response.read(), type=Problem)
    assert problem.status == response.status
    return problem


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        pytest.param(b"{", 400, "", id="no JSON"),
        pytest.param(b"\xff\xfe", 400, "", id="no text"),
        pytest.param(b"[]", 400, "", id="no object"),
        pytest.param(b"{}", 400, "owner", id="field missing"),
        pytest.param(
            msgspec.json.encode({**_GOOD, "owner": {"kind": "External", "name": "x"}}),
            400,
            "owner.namespace",
            id="nested field missing",
        ),
        pytest.param(
            msgspec.json.encode({**_GOOD, "attempt": "x"}), 400, "attempt", id="wrong type"
        ),
        pytest.param(
            msgspec.json.encode({**_GOOD, "owner": {"kind": "Robot"}}), 400, "owner.kind", id="kind"
        ),
        pytest.param(
            msgspec.json.encode(
                {**_GOOD, "attachments": [{"network": "net", "interface": "", "ip": 7}]}
            ),
            400,
            "attachments[0].ip",
            id="nested",
        ),
        pytest.param(b" " * 100_000, 413, "", id="too large"),
        pytest.param(b'{"owner": {"x": ' + b"[" * 60_000, 400, "", id="nested without end"),
    ],
)
async def test_bad_body(body: bytes, status: int, field: str) -> None:
    """What cannot be read is refused, with the field at fault where there is one."""
    # SPEC I2; DESIGN P7
    async with _served(Cluster()) as client:
        problem = await _problem(await client.post(RESERVE_PATH, data=body))
        assert problem.status == status
        if field:
            (violation,) = problem.violations
            assert violation.field == field
            steps = field.replace("[", "/").replace("]", "").replace(".", "/")
            assert violation.pointer == f"#/{steps}"


async def test_every_field_at_fault_is_pointed_at() -> None:
    """A request that breaks several rules hears of all of them, with a pointer for each."""
    # SPEC I2; DESIGN P7
    body = {
        "owner": {"kind": "External", "namespace": "No", "name": "-"},
        "attempt": 0,
        "timeoutS": 0,
        "node": "n1",
        "attachments": [
            {"network": "net", "interface": "", "ip": "dynamic"},
            {"network": "A", "interface": "eth0", "ip": "10.0.0.1/24"},
        ],
    }
    async with _served(Cluster()) as client:
        problem = await _problem(await client.post(RESERVE_PATH, json=body))
    assert problem.status == 400
    assert {each.pointer for each in problem.violations} == {
        "#/owner/namespace",
        "#/owner/name",
        "#/attempt",
        "#/timeoutS",
        "#/node",
        "#/attachments/1/network",
        "#/attachments/1/interface",
    }


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        pytest.param({"ip": "10.0.0.300/24"}, "#/attachments/1/ip", id="no address"),
        pytest.param({"ip": "10.0.9.1/24"}, "#/attachments/1/ip", id="outside of the network"),
        pytest.param({"ip6": "dynamic"}, "#/attachments/1/ip6", id="no IPv6 there"),
    ],
)
async def test_address_at_fault_is_pointed_at(wanted: dict[str, str], pointer: str) -> None:
    """What the network's own rules refuse is pointed at in the request, too."""
    # SPEC G3 to G5, I2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    cluster.add_network("other", cidr="10.0.1.0/24", host_device="other")
    second = {"network": "net", "interface": "", **wanted}
    first = {"network": "other", "interface": "", "ip": "dynamic"}
    async with _served(cluster) as client:
        body = {**_GOOD, "attachments": [first, second]}
        problem = await _problem(await client.post(RESERVE_PATH, json=body))
    assert problem.status == 400
    assert [each.pointer for each in problem.violations] == [pointer]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=many", "limit"),
        ("limit=-1", "limit"),
        ("adress=10.0.0.1", "adress"),
        ("limit=1&limit=2", "limit"),
        ("continue=%00", "continue"),
        ("ownerKind=Robot", "ownerKind"),
    ],
)
async def test_parameter_at_fault_is_named(query: str, field: str) -> None:
    """A parameter that cannot be read, or is not known, is named rather than ignored."""
    # SPEC I2; DESIGN P7
    base = "/apis/ipam.danm.k8s.io/v1"
    async with _served(Cluster()) as client:
        for path in (f"namespaces/{NAMESPACE}", f"namespaces/{NAMESPACE}/networks/n", "nodes/n"):
            response = await client.get(f"{base}/{path}/reservations?{query}")
            problem = await _problem(response)
            assert problem.status == 400
            (violation,) = problem.violations
            assert (violation.field, violation.place) == (field, "query")


@pytest.mark.parametrize("part", ["NS", "a..b", "-", "%20", "a" * 254])
async def test_part_of_the_path_at_fault_is_named(part: str) -> None:
    """A name in the path that can be no name of an object is refused before anything is asked."""
    async with _served(Cluster()) as client:
        response = await client.get(
            f"/apis/ipam.danm.k8s.io/v1/namespaces/{part}/networks/net/usage"
        )
        (violation,) = (await _problem(response)).violations
        assert (violation.field, violation.place) == ("namespace", "path")


async def test_external_owner_renews_its_expiry() -> None:
    """A later reserve with a later expiry keeps the address; one that lies in the past is refused.

    When the time is over, the address may be somebody else's.
    """
    # SPEC I3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/32")

    def body(name: str, attempt: int, in_s: float) -> dict[str, Any]:
        expires = cluster.clock.now() + timedelta(seconds=in_s)
        owner = {"kind": "External", "namespace": NAMESPACE, "name": name}
        return {**_GOOD, "attempt": attempt, "owner": {**owner, "expires": expires.isoformat()}}

    async with _served(cluster) as client:
        late = await _problem(await client.post(RESERVE_PATH, json=body("x", 1, -1)))
        assert [each.pointer for each in late.violations] == ["#/owner/expires"]
        assert (await client.post(RESERVE_PATH, json=body("x", 1, 60))).status == 200
        cluster.clock.seconds += 50
        assert (await client.post(RESERVE_PATH, json=body("x", 2, 60))).status == 200
        cluster.clock.seconds += 50
        # The first expiry is over; the second one holds.
        assert (await client.post(RESERVE_PATH, json=body("y", 1, 60))).status == 409
        cluster.clock.seconds += 10 + CLOCK_SKEW.total_seconds()
        assert (await client.post(RESERVE_PATH, json=body("y", 1, 60))).status == 200
        assert (await client.post(RESERVE_PATH, json=body("x", 3, 60))).status == 409


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/apis/other", 404),
        ("GET", RESERVE_PATH, 405),
        ("POST", OPENAPI_PATH, 405),
        ("GET", f"/apis/ipam.danm.k8s.io/v1/namespaces/{NAMESPACE}/networks/no/usage", 404),
    ],
)
async def test_unknown_paths(method: str, path: str, status: int) -> None:
    """Whatever is asked, the answer is a problem document."""
    async with _served(Cluster()) as client:
        response = await client.request(method, path)
        assert (await _problem(response)).status == status
        assert ("Allow" in response.headers) == (status == 405)


@pytest.mark.parametrize("path", [RESERVE_PATH, RELEASE_PATH, OPENAPI_PATH, "/", METRICS_PATH])
@pytest.mark.parametrize("authorization", ["", "Bearer bad", "Basic Z29vZA==", "Bearer "])
async def test_nothing_is_told_to_strangers(path: str, authorization: str) -> None:
    """Without a good token not even the document of the API is shown."""
    # DESIGN, "Who may"
    async with _served(Cluster()) as client, ClientSession() as stranger:
        response = await stranger.get(
            client.make_url(path), headers={"Authorization": authorization}
        )
        assert (await _problem(response)).status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_token_that_is_no_text_is_no_token() -> None:
    """Whoever sends bytes in place of a token is told so, and fills no log."""
    # DESIGN, "Who may"; P7
    async with _served(Cluster()) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        lines = [f"GET {OPENAPI_PATH} HTTP/1.0".encode(), b"Authorization: Bearer a\xff", b"", b""]
        writer.write(b"\r\n".join(lines))
        async with asyncio.timeout(HANGS_S):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.0 401 ")


async def test_document_is_served() -> None:
    """The OpenAPI document and its page are there for whoever proves who they are."""
    # SPEC I2
    async with _served(Cluster()) as client:
        document = await (await client.get(OPENAPI_PATH)).json()
        assert RESERVE_PATH in document["paths"]
        page = await client.get(PAGE_PATH)
        assert page.content_type == "text/html"
        assert RESERVE_PATH in await page.text()


async def test_document_tells_all_that_is_served() -> None:
    """Each route of the service is an operation of the document, and the other way round."""
    # SPEC I2
    async with _served(Cluster()) as client:
        routes = client.app.router.routes()
        served = {(route.method, route.resource.canonical) for route in routes}
    assert {(method, path) for method, path in served if method != "HEAD"} == {
        (each.method, each.path) for each in OPERATIONS
    }


async def test_metrics_are_for_those_who_may() -> None:
    """Prometheus reads them with its own token, from a replica that is not ready too."""
    # DESIGN, "Who may"
    cluster = Cluster()
    prometheus = {"Authorization": "Bearer prometheus"}
    async with _served(cluster, ready=False) as client:
        response = await client.get(METRICS_PATH, headers=prometheus)
        assert (response.status, response.content_type) == (200, "text/plain")
        assert "danm_ipam_requests_in_flight 1.0" in await response.text()
        asked = {**prometheus, "Accept": "application/openmetrics-text;version=1.0.0;q=0.5"}
        response = await client.get(METRICS_PATH, headers=asked)
        (operation,) = (each for each in OPERATIONS if each.path == METRICS_PATH)
        assert response.content_type in operation.on_demand
        assert (await response.text()).endswith("# EOF\n")
        assert (await _problem(await client.get(METRICS_PATH))).status == 401
        assert (await client.get(OPENAPI_PATH, headers=prometheus)).status == 401
    cluster.kube.review_access = lambda _: {"allowed": False}
    async with _served(cluster) as client:
        problem = await _problem(await client.get(METRICS_PATH, headers=prometheus))
        assert problem.status == 403
        assert "nonResourceURL /metrics" in problem.detail


async def test_methods_that_somebody_invents_are_one_series() -> None:
    """Whoever asks, even without a token, makes no series of their own."""
    name = "danm_ipam_request_seconds_count"
    before = sample(name, method="other", path="unknown")
    async with _served(Cluster()) as client:
        for method in ("PROPFIND", "REBIND"):
            await client.request(method, RESERVE_PATH)
    assert sample(name, method="other", path="unknown") == before + 2
    assert REGISTRY.get_sample_value(name, {"method": "REBIND", "path": "unknown"}) is None


async def test_too_many_requests_are_refused_at_once() -> None:
    """Beyond the bound a request is told to come back, and those under way go on."""
    # DESIGN P6
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with _served(cluster, limits=Limits(in_flight=2)) as client:
        gate = cluster.kube.hold_next("create", DANMIPBLOCKS)
        waiting = [asyncio.create_task(client.post(RESERVE_PATH, json=_GOOD))]
        await gate.reached.wait()
        other = {**_GOOD, "owner": {**_GOOD["owner"], "name": "y"}}  # type: ignore[dict-item]
        waiting.append(asyncio.create_task(client.post(RESERVE_PATH, json=other)))
        await eventually(lambda: REGISTRY.get_sample_value("danm_ipam_requests_in_flight") == 2)
        response = await client.get(OPENAPI_PATH)
        assert (await _problem(response)).transient
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"
        gate.open()
        assert [(await each).status for each in waiting] == [200, 200]


async def test_caller_that_asks_too_much_is_refused() -> None:
    """Beyond its rate a caller is told when to come back; then it is served again."""
    # DESIGN P6
    cluster = Cluster()
    limits = Limits(caller=Rate(per_s=0.25, burst=3))
    async with _served(cluster, limits=limits) as client:
        assert [(await client.get(OPENAPI_PATH)).status for _ in range(3)] == [200] * 3
        response = await client.get(OPENAPI_PATH)
        problem = await _problem(response)
        assert (problem.status, problem.transient) == (429, True)
        assert response.headers["Retry-After"] == "4"
        cluster.clock.seconds += 4
        assert (await client.get(OPENAPI_PATH)).status == 200


async def test_body_that_does_not_come_is_not_waited_for() -> None:
    """A caller that announces a body and sends none hears that it was too slow."""
    # DESIGN P6
    limits = Limits(body_s=0.05)

    async def forever() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with _served(Cluster(), limits=limits) as client:
        response = await client.post(RESERVE_PATH, data=forever())
        assert (await _problem(response)).status == 408


async def test_bodies_in_part_are_bounded() -> None:
    """A caller whose half-sent bodies take too much is told so; whole bodies are still answered."""
    # DESIGN P6
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    limits = Limits(caller_body_bytes=50_000)
    rest = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        body = msgspec.json.encode(_GOOD)
        yield body + b" " * (30_000 - len(body))
        await rest.wait()
        yield b" "

    async with _served(cluster, limits=limits) as client:
        posts = [asyncio.create_task(client.post(RESERVE_PATH, data=half())) for _ in range(2)]
        (refused,), (waiting,) = await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
        problem = await _problem(await refused)
        assert (problem.status, problem.transient) == (503, True)
        assert "wait for the rest of their bodies" in problem.detail
        other = {**_GOOD, "owner": {**_GOOD["owner"], "name": "y"}}  # type: ignore[dict-item]
        assert (await client.post(RESERVE_PATH, json=other)).status == 200
        rest.set()
        assert (await waiting).status == 200
        # Nothing is left of them.
        assert (await client.post(RESERVE_PATH, data=half())).status == 200


@pytest.mark.parametrize("parts", [1, 4])
async def test_body_of_any_size_within_the_bound_is_read(parts: int) -> None:
    """64 KB are taken, in one piece or in several; one byte more is too much."""
    body = msgspec.json.encode(_GOOD)
    whole = body + b" " * (64 * 1024 - len(body))

    async def in_parts(content: bytes) -> AsyncIterator[bytes]:
        size = -(-len(content) // parts)
        for begin in range(0, len(content), size):
            yield content[begin : begin + size]

    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with _served(cluster) as client:
        assert (await client.post(RESERVE_PATH, data=in_parts(whole))).status == 200
        refused = await client.post(RESERVE_PATH, data=in_parts(whole + b" "))
        assert (await _problem(refused)).status == 413


async def test_large_answers_come_whole() -> None:
    """What is sent in pieces has its length, type and tag, and a HEAD for it has no body."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/16")
    async with _served(cluster) as client:
        reserves = [
            {**_GOOD, "owner": {**_GOOD["owner"], "name": f"owner-{number}"}}  # type: ignore[dict-item]
            for number in range(200)
        ]
        answers = await asyncio.gather(*(client.post(RESERVE_PATH, json=each) for each in reserves))
        assert {each.status for each in answers} == {200}
        path = f"/apis/ipam.danm.k8s.io/v1/namespaces/{NAMESPACE}/reservations"
        response = await client.get(path)
        content = await response.read()
        assert len(content) > 4 * 8 * 1024
        assert response.content_length == len(content)
        assert response.content_type == "application/json"
        assert len(msgspec.json.decode(content)["items"]) == 200
        head = await client.head(path)
        assert (head.status, await head.read()) == (200, b"")


async def test_replica_that_has_not_read_the_record_answers_nothing() -> None:
    """A replica without the record sends its callers to another one."""
    async with _served(Cluster(), ready=False) as client:
        assert (await _problem(await client.get(OPENAPI_PATH))).status == 503


async def test_node_list_is_cheap_when_unchanged() -> None:
    """A node that sends the ETag back hears only that nothing changed."""
    # DESIGN, "Nodes fence"
    async with _served(Cluster()) as client:
        path = "/apis/ipam.danm.k8s.io/v1/nodes/n1/reservations"
        first = await client.get(path)
        assert await first.json() == {"items": []}
        again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize(
    ("method", "nothing_taken"),
    [
        pytest.param("list", True, id="not yet begun"),
        pytest.param("replace", False, id="a write without answer"),
    ],
)
async def test_a_refusal_says_when_nothing_can_have_been_taken(
    method: Literal["list", "replace"], *, nothing_taken: bool
) -> None:
    """A reserve that failed before its first write need not be released."""
    # SPEC I2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    lost = ApiUnavailableError("lost", status=0)
    async with _served(cluster) as client:
        cluster.kube.fail_next(method, DANMIPBLOCKS, lost, times=1000)
        problem = await _problem(await client.post(RESERVE_PATH, json=_GOOD))
        assert (problem.status, problem.nothing_taken) == (503, nothing_taken)
        refused = await _problem(await client.post(RESERVE_PATH, json={**_GOOD, "attempt": 0}))
        assert refused.nothing_taken
        other = await _problem(await client.post(RELEASE_PATH, json=_GOOD))
        assert not other.nothing_taken
