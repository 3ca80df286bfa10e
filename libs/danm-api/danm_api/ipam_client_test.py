"""The client of ipam-svc against replicas that misbehave."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
import trustme
from aiohttp import web

from danm_api.errors import (
    AccessDeniedError,
    ApiUnavailableError,
    DanmError,
    IpamUnavailableError,
    OverloadedError,
    PoolExhaustedError,
    RateLimitedError,
    StaleAttemptError,
)
from danm_api.ipam_api import (
    RELEASE_PATH,
    RESERVE_PATH,
    AttachmentAnswer,
    AttachmentRequest,
    ExternalOwnerMessage,
    PodOwnerMessage,
    ReleaseAnswer,
    ReleaseRequest,
    Reservation,
    ReservationList,
    ReservationQuery,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_client import DEFAULT_SERVER_NAME, IpamClient
from danm_api.ipam_problem import CONTENT_TYPE, problem_of
from danm_api.telemetry import correlated, extract, span
from danm_api.testing.recorded_traces import TRACE_ID, TRACEPARENT
from danm_api.testing.samples import sample

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_OWNER = PodOwnerMessage(namespace="ns", name="p", uid="u")
_REQUEST = ReserveRequest(
    owner=_OWNER,
    node="n1",
    attempt=10,
    attachments=[AttachmentRequest(network="net", interface="eth0", ip="dynamic")],
    fresh=True,
)
_RELEASE = ReleaseRequest(owner=_OWNER, node="n1", attempt=10, networks=["net"])
_RESERVATION = Reservation(
    network="net",
    network_uid="uid",
    address="10.0.0.1",
    owner=_OWNER,
    interface="eth0",
    node="n1",
    attempt=10,
    since=datetime(2026, 1, 1, tzinfo=UTC),
    mac="fa:16:3e:00:00:01",
)


class _Replica:
    """Answers by a script, its last line for ever, and keeps what it was asked."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.asked: list[ReserveRequest] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.released: list[ReleaseRequest] = []
        self.endpoint = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.paths.append(request.raw_path)
        body = await request.read()
        if request.path.endswith("/reserve"):
            self.asked.append(msgspec.json.decode(body, type=ReserveRequest))
        elif request.path.endswith("/release"):
            self.released.append(msgspec.json.decode(body, type=ReleaseRequest))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await answer(request)


class _Attempts:
    """Counts as danmd does."""

    def __init__(self, last: int) -> None:
        self.last = last

    async def __call__(self, above: int) -> int:
        self.last = max(self.last, above) + 1
        return self.last


def _json(message: msgspec.Struct, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=msgspec.json.encode(message), content_type="application/json", headers=headers
        )

    return answer


def _refuses(error: DanmError, *, nothing_taken: bool = False) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        problem = problem_of(error, nothing_taken=nothing_taken)
        body = msgspec.json.encode(problem)
        return web.Response(status=problem.status, body=body, content_type=CONTENT_TYPE)

    return answer


def _says(status: int, body: bytes) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body)

    return answer


async def _cuts(request: web.Request) -> web.StreamResponse:
    """Close the connection instead of answering."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def _stalls(_: web.Request) -> web.StreamResponse:
    """Answer never, as a frozen replica does."""
    await asyncio.Event().wait()
    raise AssertionError


async def _grants(request: web.Request) -> web.StreamResponse:
    """Answer with the attempt of the request."""
    asked = msgspec.json.decode(await request.read(), type=ReserveRequest)
    got = AttachmentAnswer(
        network="net", network_uid="uid", interface="eth0", mac="m", ip="10.0.0.1/24"
    )
    return await _json(ReserveAnswer(attempt=asked.attempt, attachments=[got]))(request)


@asynccontextmanager
async def _served(
    *replicas: _Replica,
    authority: trustme.CA | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[IpamClient]:
    """Serve replicas on loopback and give a client of all of them."""
    authority = authority or trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(DEFAULT_SERVER_NAME).configure_cert(context)
    async with AsyncExitStack() as stack:
        for replica in replicas:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", replica.handle)
            runner = web.AppRunner(app, shutdown_timeout=0.01)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
            replica.endpoint = f"127.0.0.1:{runner.addresses[0][1]}"
        client = IpamClient(
            lambda: [replica.endpoint for replica in replicas],
            lambda: authority.cert_pem.bytes().decode(),
            lambda: "token",
            sleep=sleep,
        )
        yield await stack.enter_async_context(client)


def _in(seconds: float) -> float:
    return time.monotonic() + seconds


async def test_good_answer() -> None:
    """The request carries the token and what is left of the time; the answer is returned."""
    replica = _Replica(_grants)
    async with _served(replica) as client:
        answer = await client.reserve(_REQUEST, deadline=_in(5), next_attempt=_Attempts(10))
    assert answer.attempt == 10
    assert replica.headers[0]["Authorization"] == "Bearer token"
    (asked,) = replica.asked
    assert asked.fresh
    assert 0 < asked.timeout_s <= 5


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(_cuts, id="cut off"),
        pytest.param(_says(200, b"<html>"), id="garbage"),
        pytest.param(_says(200, b'{"x": ' + b"[" * 5000), id="endless"),
        pytest.param(_says(503, b'{"title": "\xff"}'), id="no UTF-8"),
        pytest.param(_says(502, b"bad gateway"), id="no problem document"),
        pytest.param(_refuses(OverloadedError("full")), id="overloaded"),
    ],
)
async def test_every_send_carries_a_new_attempt(fault: Answer) -> None:
    """After a fault another replica is asked, with a larger attempt, as no fresh owner any more."""
    # DESIGN, "Attempts fence"
    bad, good = _Replica(fault), _Replica(_grants)
    async with _served(bad, good) as client:
        answer = await client.reserve(_REQUEST, deadline=_in(5), next_attempt=_Attempts(10))
        assert answer.attempt == 11
        assert [each.attempt for each in bad.asked] == [10]
        assert [(each.attempt, each.fresh) for each in good.asked] == [(11, False)]
        # The replica that answered is asked first from now on.
        await client.reserve(_REQUEST, deadline=_in(5), next_attempt=_Attempts(11))
        assert len(bad.asked) == 1


async def test_frozen_replica_leaves_time_for_another() -> None:
    """A replica that accepts and never answers gets a part of the time only."""
    frozen, good = _Replica(_stalls), _Replica(_grants)
    async with _served(frozen, good) as client:
        answer = await client.reserve(_REQUEST, deadline=_in(2), next_attempt=_Attempts(10))
    assert answer.attempt == 11


def _parting(answer: Answer) -> Answer:
    """Answer, and say that this was the connection's last answer."""

    async def parting(request: web.Request) -> web.StreamResponse:
        response = await answer(request)
        response.force_close()
        return response

    return parting


async def test_replica_that_stops_is_left_before_it_is_gone() -> None:
    """An answer with ``Connection: close`` counts, and the next request goes to another replica."""
    stopping, staying = _Replica(_parting(_grants)), _Replica(_grants)
    async with _served(stopping, staying) as client:
        for attempt in (10, 11, 12):
            request = msgspec.structs.replace(_REQUEST, attempt=attempt)
            answer = await client.reserve(request, deadline=_in(5), next_attempt=_Attempts(attempt))
            assert answer.attempt == attempt
    assert [each.attempt for each in stopping.asked] == [10]
    assert [each.attempt for each in staying.asked] == [11, 12]


async def test_stale_attempt_is_raised_above_the_current_one() -> None:
    """A refusal with the current number is followed by a larger one."""
    # DESIGN, "Attempts fence"
    replica = _Replica(_refuses(StaleAttemptError("old", current_attempt=500)), _grants)
    async with _served(replica) as client:
        answer = await client.reserve(_REQUEST, deadline=_in(5), next_attempt=_Attempts(10))
    assert answer.attempt == 501


@pytest.mark.parametrize("error", [PoolExhaustedError("full"), AccessDeniedError("no")])
async def test_refusal_is_final(error: DanmError) -> None:
    """What another replica would say as well is raised at once, as the service raised it."""
    replica = _Replica(_refuses(error))
    async with _served(replica) as client:
        with pytest.raises(type(error), match=error.reason):
            await client.reserve(_REQUEST, deadline=_in(5), next_attempt=_Attempts(10))
    assert len(replica.asked) == 1


async def test_deadline_ends_with_what_was_tried_and_why() -> None:
    """When nobody answers in time the error names the replicas and the last fault."""
    replica = _Replica(_cuts)
    async with _served(replica) as client:
        began = time.monotonic()
        with pytest.raises(IpamUnavailableError, match=replica.endpoint) as caught:
            await client.release(_RELEASE, deadline=_in(0.5))
    assert time.monotonic() - began < 2
    assert caught.value.transient


async def test_no_replica_is_told_so() -> None:
    """Without endpoints the error says what to look at."""
    async with _served() as client:
        with pytest.raises(IpamUnavailableError, match="Deployment"):
            await client.release(_RELEASE, deadline=_in(0.2))


async def test_release_is_repeated_as_it_is() -> None:
    """A release keeps its attempt, whoever answers."""
    bad = _Replica(_cuts)
    good = _Replica(_json(ReleaseAnswer(released=[_RESERVATION])))
    async with _served(bad, good) as client:
        answer = await client.release(_RELEASE, deadline=_in(5))
    assert answer.released == [_RESERVATION]


async def test_unchanged_node_list_is_taken_from_memory() -> None:
    """The ETag is sent back, and 304 means what was answered last."""
    listed = ReservationList(items=[_RESERVATION])
    replica = _Replica(_json(listed, ETag='"1"'), _says(304, b""))
    async with _served(replica) as client:
        assert await client.node_reservations("n1", deadline=_in(5)) == listed
        assert await client.node_reservations("n1", deadline=_in(5)) == listed
    assert replica.headers[1]["If-None-Match"] == '"1"'


async def test_pages_are_put_together() -> None:
    """All pages of a network's entries are read."""
    replica = _Replica(
        _json(ReservationList(items=[_RESERVATION], next="10.0.0.1")),
        _json(ReservationList(items=[_RESERVATION])),
    )
    async with _served(replica) as client:
        found = await client.network_reservations("ns", "net", deadline=_in(5))
    assert len(found.items) == 2


async def test_query_is_sent_and_pages_are_asked_for_as_they_are_needed() -> None:
    """Filters go with every page, names are escaped, and what is not wanted is not asked for."""
    replica = _Replica(
        _json(ReservationList(items=[_RESERVATION], next="abc")),
        _json(ReservationList(items=[_RESERVATION])),
    )
    query = ReservationQuery(owner="lb/vip:1", owner_kind="External", limit=1)
    async with _served(replica) as client:
        entries = client.reservations("ns", deadline=_in(5), query=query)
        assert await anext(entries) == _RESERVATION
        assert len(replica.paths) == 1
        assert [each async for each in entries] == [_RESERVATION]
        await client.network_reservations("ns", "a/b?c", deadline=_in(5))
    base = "/apis/ipam.danm.k8s.io/v1/namespaces/ns"
    filters = "owner=lb/vip:1&ownerKind=External&limit=1"
    assert replica.paths == [
        f"{base}/reservations?{filters}",
        f"{base}/reservations?{filters}&continue=abc",
        f"{base}/networks/a%2Fb%3Fc/reservations",
    ]


@pytest.mark.parametrize(
    "error", [OverloadedError("full", retry_after_s=2), RateLimitedError("slow", retry_after_s=2)]
)
async def test_overloaded_replicas_are_left_alone_for_as_long_as_they_say(
    error: DanmError,
) -> None:
    """When all of them ask to come back later, the client does, but not beyond its deadline."""
    replica = _Replica(_refuses(error), _grants)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with _served(replica, sleep=sleep) as client:
        answer = await client.reserve(_REQUEST, deadline=_in(20), next_attempt=_Attempts(10))
        # DESIGN, "Attempts fence": also after a refusal.
        assert answer.attempt == 11
        (pause,) = pauses
        assert 2 <= pause <= 3
        replica.script.insert(0, _refuses(error))
        with pytest.raises(IpamUnavailableError, match=error.reason):
            await client.release(_RELEASE, deadline=_in(1))
        assert len(pauses) == 1


async def test_one_overloaded_replica_delays_nobody() -> None:
    """While another replica answers, the one that is overloaded is not waited for."""
    busy, good = _Replica(_refuses(OverloadedError("full", retry_after_s=60))), _Replica(_grants)
    async with _served(busy, good) as client:
        answer = await client.reserve(_REQUEST, deadline=_in(2), next_attempt=_Attempts(10))
    assert answer.attempt == 11


async def test_lists_of_many_nodes_are_not_kept() -> None:
    """Whoever looks at every node of a cluster does not keep them all in memory."""
    # DESIGN P6
    listed = ReservationList(items=[_RESERVATION])
    replica = _Replica(_json(listed, ETag='"1"'))
    async with _served(replica) as client:
        for number in range(40):
            await client.node_reservations(f"n{number}", deadline=_in(5))
        await client.node_reservations("n39", deadline=_in(5))
        await client.node_reservations("n0", deadline=_in(5))
    sent = [headers.get("If-None-Match") for headers in replica.headers[-2:]]
    assert sent == ['"1"', None]


async def test_replica_of_another_authority_is_not_trusted() -> None:
    """Nothing is sent to a server whose certificate the trust does not cover."""
    replica, other = _Replica(_grants), trustme.CA()
    async with _served(replica):
        stranger = IpamClient(
            lambda: [replica.endpoint], lambda: other.cert_pem.bytes().decode(), lambda: "token"
        )
        async with stranger:
            with pytest.raises(IpamUnavailableError):
                await stranger.release(_RELEASE, deadline=_in(0.3))
    assert replica.headers == []


async def test_trust_that_cannot_be_read() -> None:
    """A ConfigMap with something else in it is named as the fault."""
    async with IpamClient(lambda: ["127.0.0.1:1"], lambda: "garbage", lambda: "t") as client:
        with pytest.raises(IpamUnavailableError, match="certificates"):
            await client.release(_RELEASE, deadline=_in(0.2))


@pytest.mark.parametrize(
    ("owner", "paths"),
    [
        pytest.param(
            ExternalOwnerMessage(namespace="ns", name="tool"),
            [RESERVE_PATH, RESERVE_PATH, RELEASE_PATH],
            id="external",
        ),
        pytest.param(_OWNER, [RESERVE_PATH, RESERVE_PATH], id="Pod: danmd compares"),
    ],
)
async def test_a_send_in_doubt_is_released_when_another_is_answered(
    owner: ExternalOwnerMessage | PodOwnerMessage, paths: list[str]
) -> None:
    """A send without answer could take effect later, when nobody knows of it any more."""
    # DESIGN, "Who may": "a release after an unknown outcome writes, so that the late PUT loses"
    replica = _Replica(_cuts, _grants, _json(ReleaseAnswer(released=[])))
    request = msgspec.structs.replace(_REQUEST, owner=owner)
    async with _served(replica) as client:
        answer = await client.reserve(request, deadline=_in(5), next_attempt=_Attempts(10))
    assert answer.attempt == 11
    assert replica.paths == paths
    # Of a network with both families the other one need not be looked at.
    assert all((each.attempt, each.families) == (10, [4]) for each in replica.released)


@pytest.mark.parametrize("nothing_taken", [True, False])
async def test_what_took_nothing_need_not_be_released(*, nothing_taken: bool) -> None:
    """An answer that says so is believed; without that word the send is in doubt."""
    # DESIGN P6
    fault = _refuses(ApiUnavailableError("lost", status=503), nothing_taken=nothing_taken)
    replica = _Replica(fault, _grants, _json(ReleaseAnswer(released=[])))
    owner = ExternalOwnerMessage(namespace="ns", name="tool")
    request = msgspec.structs.replace(_REQUEST, owner=owner)
    async with _served(replica) as client:
        await client.reserve(request, deadline=_in(5), next_attempt=_Attempts(10))
    assert len(replica.released) == (0 if nothing_taken else 1)


@pytest.mark.parametrize("deadline_s", [30.0, 1.2])
async def test_replicas_that_cannot_answer_are_asked_less_and_less(deadline_s: float) -> None:
    """Hundreds that wait for an API server that is away are no storm; the last try is not lost."""
    # DESIGN P6
    fault = _refuses(ApiUnavailableError("the API server is away", status=503))
    replica = _Replica(*[fault] * 6, _grants)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async with _served(replica, sleep=sleep) as client:
        deadline = _in(deadline_s)
        await client.reserve(_REQUEST, deadline=deadline, next_attempt=_Attempts(10))
    longest = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    if deadline_s > 2:
        assert all(0.7 * most <= pause <= most for pause, most in zip(pauses, longest, strict=True))
    else:
        assert max(pauses) <= deadline_s - 0.5


async def test_retries_are_counted_by_what_they_are_for() -> None:
    """A replica that is overloaded is another trouble than one that is gone."""
    before = {each: _retries(each) for each in ("OverloadedError", "IpamUnavailableError")}
    for fault in (_refuses(OverloadedError("full")), _cuts):
        async with _served(_Replica(fault), _Replica(_grants)) as client:
            await client.reserve(_REQUEST, deadline=_in(5), next_attempt=_Attempts(10))
    assert {each: _retries(each) for each in before} == {k: v + 1 for k, v in before.items()}


def _retries(reason: str) -> float:
    return sample("danm_ipam_client_retries_total", reason=reason)


async def test_the_request_goes_on_as_the_same() -> None:
    """A replica hears in whose trace, and under which id, it is asked."""
    replica = _Replica(_grants)
    parent = extract({"traceparent": TRACEPARENT})
    with correlated(["c1"]), span("reserve", parent=parent):
        async with _served(replica) as client:
            await client.reserve(_REQUEST, deadline=_in(5), next_attempt=_Attempts(10))
    (headers,) = replica.headers
    assert TRACE_ID in headers["traceparent"]
    assert headers["X-Request-ID"] == "c1"
