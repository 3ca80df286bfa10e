"""The client against servers that behave and servers that do not."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import trustme
from aiohttp import web

from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    ConflictError,
    DanmError,
    InvalidObjectError,
    NotFoundError,
)
from danm_api.kube.answers import Excerpt
from danm_api.kube.api import DANMNETS, NODES, PODS, Answer, PatchType, RawObject, WatchType
from danm_api.kube.client import KubeClient
from danm_api.kube.config import Credentials, KubeConfig
from danm_api.kube.timeouts import Timeouts
from danm_api.telemetry import SpanKind, extract, span
from danm_api.testing.recorded_traces import TRACE_ID, TRACEPARENT, recorded
from danm_api.testing.samples import sample

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def none() -> str | None:
    """Return no credentials."""
    return None


def credentials(read: Callable[[], Awaitable[str | None]] = none) -> Credentials:
    """Return credentials that stay as they were read."""
    return Credentials(read, renew_after_s=1e9)


@asynccontextmanager
async def served(
    handler: Handler, *, login: Credentials | None = None, timeouts: Timeouts | None = None
) -> AsyncIterator[KubeClient]:
    """Yield a client of a server whose every answer the handler gives."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    config = KubeConfig(
        server=f"http://127.0.0.1:{port}", ssl=None, credentials=login or credentials()
    )
    try:
        async with KubeClient(config, timeouts=timeouts) as client:
            yield client
    finally:
        await runner.cleanup()


def json(body: object, *, status: int = 200) -> web.Response:
    """Return an answer of JSON."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )


async def streamed(request: web.Request, *pieces: bytes) -> web.StreamResponse:
    """Send pieces of a watch."""
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    return response


def line(kind: str, name: str, version: int) -> bytes:
    """Return a watch's line."""
    metadata = {"name": name, "resourceVersion": str(version)}
    return msgspec.json.encode({"type": kind, "object": {"metadata": metadata}}) + b"\n"


async def test_requests_have_the_apis_form() -> None:
    """Paths, methods, parameters and bodies are those of the Kubernetes API."""
    seen: list[tuple[str, str, str, str, object]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        seen.append(
            (
                request.method,
                request.path_qs,
                request.headers["Accept"],
                request.headers.get("Content-Type", ""),
                msgspec.json.decode(body) if body else None,
            )
        )
        return json({"metadata": {"name": "a", "resourceVersion": "1"}})

    net: RawObject = {"metadata": {"name": "a"}}
    async with served(handler) as client:
        await client.get(NODES, "n1")
        await client.create(DANMNETS, net, namespace="ns")
        await client.replace(DANMNETS, net, namespace="ns", subresource="status")
        await client.replace(DANMNETS, net, namespace="ns", answer=Answer.METADATA)
        await client.patch(PODS, "p", {"x": None}, namespace="ns")
        await client.patch(PODS, "p", [], namespace="ns", patch_type=PatchType.JSON)
        await client.delete(PODS, "p", namespace="ns", uid="u", resource_version="3")
    nets = "/apis/danm.k8s.io/v1/namespaces/ns/danmnets"
    pod = "/api/v1/namespaces/ns/pods/p"
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u", "resourceVersion": "3"},
    }
    whole = "application/json"
    metadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
    assert seen == [
        ("GET", "/api/v1/nodes/n1", whole, "", None),
        ("POST", nets, whole, "application/json", net),
        ("PUT", f"{nets}/a/status", whole, "application/json", net),
        ("PUT", f"{nets}/a", metadata, "application/json", net),
        ("PATCH", pod, whole, "application/merge-patch+json", {"x": None}),
        ("PATCH", pod, whole, "application/json-patch+json", []),
        ("DELETE", pod, metadata, "application/json", options),
    ]


async def test_lists_are_read_page_by_page() -> None:
    """All pages become one list of complete objects, and an expired page starts anew."""
    requests: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        requests.append(dict(request.query))
        if "limit" not in request.query:
            items = [{"metadata": {"name": name}} for name in ("a", "b", "c")]
            return json({"metadata": {"resourceVersion": "9"}, "items": items})
        if "continue" in request.query:
            return json({"message": "expired"}, status=410)
        page = {"resourceVersion": "5", "continue": "more"}
        return json({"metadata": page, "items": [{"metadata": {"name": "a"}}]})

    async with served(handler) as client:
        listed = await client.list(PODS, label_selector="app=x")
    assert [item["metadata"]["name"] for item in listed.items] == ["a", "b", "c"]
    assert {(item["apiVersion"], item["kind"]) for item in listed.items} == {("v1", "Pod")}
    assert listed.resource_version == "9"
    assert [request.get("labelSelector") for request in requests] == ["app=x"] * 3


async def test_refusals_carry_the_servers_sentence() -> None:
    """What the server says reaches the one who asks."""

    async def handler(request: web.Request) -> web.StreamResponse:
        status = 409 if request.method == "PUT" else 422
        return json({"message": "spec.vlan: must be below 4095"}, status=status)

    async with served(handler) as client:
        with pytest.raises(InvalidObjectError, match="must be below 4095"):
            await client.create(DANMNETS, {"metadata": {"name": "a"}}, namespace="ns")
        with pytest.raises(ConflictError):
            await client.replace(DANMNETS, {"metadata": {"name": "a"}}, namespace="ns")


async def test_an_absent_server_is_unavailable() -> None:
    """A refused connection is a transient error that names the server."""
    config = KubeConfig(server="http://127.0.0.1:1", ssl=None, credentials=credentials())
    async with KubeClient(config) as client:
        with pytest.raises(ApiUnavailableError, match=r"127\.0\.0\.1:1"):
            await client.get(PODS, "a", namespace="ns")


async def test_a_slow_server_is_unavailable() -> None:
    """A request ends after its time even when the server never answers."""
    release = asyncio.Event()

    async def handler(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return json({})

    async with served(handler, timeouts=Timeouts(request_s=0.05)) as client:
        with pytest.raises(ApiUnavailableError):
            await client.get(PODS, "a", namespace="ns")
        release.set()


async def test_garbage_is_unavailable() -> None:
    """An answer that is no JSON is an error of the server, not of the caller."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>")

    async with served(handler) as client:
        with pytest.raises(ApiUnavailableError, match="does not parse"):
            await client.get(PODS, "a", namespace="ns")
        with pytest.raises(ApiUnavailableError, match="does not parse"):
            await client.list(PODS)


Seen = list[tuple[WatchType, str]]


async def watch_names(client: KubeClient, seen: Seen | None = None) -> Seen:
    """Return what a watch yields until it ends; ``seen`` has it even if it fails."""
    seen = [] if seen is None else seen
    async for event in client.watch(PODS, resource_version="7", namespace="ns"):
        seen.append((event.type, event.object["metadata"]["name"]))
    return seen


async def test_watches_yield_events() -> None:
    """Events arrive whatever the cutting of the stream; the server's end is the end."""
    queries: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        queries.append(dict(request.query))
        data = line("ADDED", "a", 8) + line("BOOKMARK", "", 9) + line("DELETED", "a", 10)
        return await streamed(request, data[:9], data[9:-5], data[-5:])

    async with served(handler) as client:
        assert await watch_names(client) == [
            (WatchType.ADDED, "a"),
            (WatchType.BOOKMARK, ""),
            (WatchType.DELETED, "a"),
        ]
    assert queries == [
        {
            "watch": "1",
            "resourceVersion": "7",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": "300",
        }
    ]


@pytest.mark.parametrize(
    ("piece", "expected", "status"),
    [
        pytest.param(
            b'{"type":"ERROR","object":{"code":410,"message":"too old"}}\n', ApiError, 410, id="410"
        ),
        pytest.param(
            b'{"type":"ERROR","object":{"code":504}}\n', ApiUnavailableError, 504, id="504"
        ),
        pytest.param(b"<html>\n", ApiUnavailableError, 0, id="garbage"),
        pytest.param(
            b'{"type":"ADDED","object":{}}\n', ApiUnavailableError, 0, id="without a version"
        ),
        pytest.param(
            b'{"type":"NEWS","object":{"metadata":{"resourceVersion":"1"}}}\n',
            ApiUnavailableError,
            0,
            id="unknown type",
        ),
    ],
)
async def test_watch_errors_are_raised(piece: bytes, expected: type[ApiError], status: int) -> None:
    """ERROR events and nonsense end a watch with the error that they mean."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return await streamed(request, piece)

    async with served(handler) as client:
        with pytest.raises(ApiError) as caught:
            await watch_names(client)
    assert type(caught.value) is expected
    assert caught.value.status == status


async def test_a_refused_watch_is_raised() -> None:
    """A watch that is refused by its HTTP status raises as an ERROR event does."""

    async def handler(_: web.Request) -> web.StreamResponse:
        return json({"message": "too old"}, status=410)

    async with served(handler) as client:
        with pytest.raises(ApiError) as caught:
            await watch_names(client)
    assert caught.value.status == 410


async def test_a_connection_cut_inside_an_event_is_unavailable() -> None:
    """Half an event is never yielded."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await streamed(request, line("ADDED", "a", 8), line("ADDED", "b", 9)[:10])
        assert request.transport is not None
        request.transport.abort()
        return response

    seen: Seen = []
    async with served(handler) as client:
        with pytest.raises(ApiUnavailableError):
            await watch_names(client, seen)
    assert seen in ([(WatchType.ADDED, "a")], [])


async def test_a_silent_server_is_noticed() -> None:
    """A watch without news or bookmarks is given up."""
    release = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await streamed(request, line("ADDED", "a", 8))
        await release.wait()
        return response

    seen: Seen = []
    async with served(handler, timeouts=Timeouts(watch_silence_s=0.1)) as client:
        with pytest.raises(ApiUnavailableError):
            await watch_names(client, seen)
        release.set()
    assert seen == [(WatchType.ADDED, "a")]


async def test_refused_credentials_are_read_again() -> None:
    """A 401 is answered with a fresh token once, and raised when that is refused too."""
    tokens = iter(["old", "new", "new"])
    seen: list[str] = []

    async def read() -> str | None:
        return f"Bearer {next(tokens)}"

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["Authorization"])
        good = seen[-1] == "Bearer new" and len(seen) == 2
        return json({}, status=200 if good else 401)

    async with served(handler, login=credentials(read)) as client:
        await client.get(PODS, "a", namespace="ns")
        assert seen == ["Bearer old", "Bearer new"]
        with pytest.raises(ApiError) as caught:
            await client.get(PODS, "a", namespace="ns")
    assert caught.value.status == 401


async def test_pages_are_yielded_as_they_come() -> None:
    """Who reads page by page holds one page at a time, and learns of an expired one."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if "continue" in request.query:
            return json({"message": "expired"}, status=410)
        page = {"resourceVersion": "5", "continue": "more"}
        return json({"metadata": page, "items": [{"metadata": {"name": "a"}}]})

    async with served(handler) as client:
        pages = client.pages(PODS)
        assert [item["kind"] for item in (await anext(pages)).items] == ["Pod"]
        with pytest.raises(ApiError) as caught:
            await anext(pages)
    assert caught.value.status == 410


async def test_a_name_stays_one_segment_of_the_path() -> None:
    """A name that a tenant wrote cannot reach another object's path."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.raw_path)
        return json({"metadata": {"name": "x"}})

    async with served(handler) as client:
        await client.get(DANMNETS, "../../secrets/x?y", namespace="a/b")
        for name in (".", ".."):
            with pytest.raises(NotFoundError):
                await client.get(DANMNETS, name, namespace="ns")
    assert seen == [
        "/apis/danm.k8s.io/v1/namespaces/a%2Fb/danmnets/..%2F..%2Fsecrets%2Fx%3Fy",
    ]


def test_an_abandoned_watch_waits_for_nobody() -> None:
    """The connection of a watch that is broken off is closed at once, though the server is busy."""
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    over = threading.Event()

    def serve_one(listener: socket.socket) -> None:
        with serving.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
            connection.sendall(line("ADDED", "a", 1))
            # It reads nothing more, so it does not answer to the client's goodbye.
            over.wait(30)

    async def watch_for_one(port: int) -> None:
        config = KubeConfig(
            server=f"https://127.0.0.1:{port}", ssl=trusting, credentials=credentials()
        )
        async with (
            KubeClient(config) as client,
            aclosing(client.watch(PODS, resource_version="1")) as watch,
        ):
            assert (await anext(watch)).type is WatchType.ADDED

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve_one, args=(listener,))
        server.start()
        before = open_sockets()
        try:
            asyncio.run(watch_for_one(listener.getsockname()[1]))
            # The server's own end is the one that is left.
            assert len(open_sockets() - before) == 1
        finally:
            over.set()
            server.join()


def open_sockets() -> set[str]:
    """Return the sockets that this process has open."""
    entries = Path("/proc/self/fd").iterdir()
    names = {str(entry.readlink()) for entry in entries if entry.is_symlink()}
    return {name for name in names if name.startswith("socket:")}


@pytest.mark.parametrize(
    ("status", "result"),
    [
        pytest.param(200, "ok", id="good"),
        pytest.param(409, "conflict", id="conflict"),
        pytest.param(422, "refused", id="refused"),
        pytest.param(503, "unavailable", id="unavailable"),
    ],
)
async def test_requests_are_measured_and_traced(status: int, result: str) -> None:
    """By what they do to what, and how they end; the server hears in whose trace it is asked."""
    heard: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        heard.append(request.headers.get("traceparent", ""))
        return json({"metadata": {"name": "a", "resourceVersion": "1"}}, status=status)

    labels = {"method": "GET", "resource": "pods", "result": result}
    before = sample("danm_kube_request_duration_seconds_count", **labels)
    async with served(handler) as client:
        with recorded() as traces, span("work", parent=extract({"traceparent": TRACEPARENT})):
            with suppress(DanmError):
                await client.get(PODS, "a", namespace="ns")
            (made,) = traces.spans()
    assert sample("danm_kube_request_duration_seconds_count", **labels) == before + 1
    assert made.name == "GET pods"
    assert made.kind is SpanKind.CLIENT
    assert made.context is not None
    assert heard == [f"00-{TRACE_ID}-{made.context.span_id:016x}-01"]
    assert made.status.is_unset == (status == 200)


async def test_requests_outside_of_traces_say_nothing_of_them() -> None:
    """The server is not told of a trace that nobody collects."""
    heard: list[bool] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        heard.append("traceparent" in request.headers)
        return json({"metadata": {"name": "a", "resourceVersion": "1"}})

    async with served(handler) as client:
        await client.get(PODS, "a", namespace="ns")
    assert heard == [False]


LOG = b"one\ntw\xff\nthree\n"


async def test_texts_are_read_up_to_a_bound() -> None:
    """A log comes as it is; what is too long is cut, and says so; a refusal is an error."""
    asked: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        asked.append(request.path_qs)
        if "refused" in request.path:
            return json({"message": "no"}, status=403)
        return await streamed(request, *LOG.splitlines(keepends=True))

    async with served(handler) as client:
        for bound in (100, len(LOG)):
            answer = await client.text("/log", params={"a": "b"}, max_bytes=bound)
            assert answer == Excerpt(text="one\ntw\ufffd\nthree\n", whole=True)
        for bound, text in ((6, "one\ntw"), (len(LOG) - 1, "one\ntw\ufffd\nthree")):
            answer = await client.text("/log", max_bytes=bound)
            assert answer == Excerpt(text=text, whole=False)
        with pytest.raises(ApiError, match="GET /refused: no") as caught:
            await client.text("/refused", max_bytes=6)
    assert caught.value.status == 403
    assert asked[0] == "/log?a=b"
