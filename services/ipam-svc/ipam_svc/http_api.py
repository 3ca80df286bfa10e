"""The HTTP API: requests in, answers and problem documents out; it decides nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from typing import Final, TypeVar
from uuid import uuid4

import msgspec
from aiohttp import hdrs, web
from prometheus_client import Histogram

from danm_api.errors import (
    DanmError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
)
from danm_api.ipam_api import (
    AUDIENCE,
    MAX_PAGE,
    NAMESPACE_RESERVATIONS_PATH,
    NETWORK_RESERVATIONS_PATH,
    NETWORK_USAGE_PATH,
    NODE_RESERVATIONS_PATH,
    RELEASE_PATH,
    RESERVE_PATH,
    ReleaseRequest,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.model.caller import Caller
from danm_api.names import Namespace, NodeName
from danm_api.telemetry import (
    REQUEST_ID_HEADER,
    SpanKind,
    correlated,
    exposition,
    extract,
    get_logger,
    span,
)
from ipam_svc import metrics
from ipam_svc.access import Access
from ipam_svc.counting import counted
from ipam_svc.http_messages import decoded, json_answer, network_of, problem_answer, query_of
from ipam_svc.limits import Admission, BodyBudget, Limits
from ipam_svc.lookup import Listing, Lookup, listing_of
from ipam_svc.openapi import openapi_document
from ipam_svc.openapi_page import page_of
from ipam_svc.operations import METRICS_PATH, OPENAPI_PATH, PAGE_PATH
from ipam_svc.orders import release_order, reserve_order
from ipam_svc.releases import Releases
from ipam_svc.request_rules import require_object_name
from ipam_svc.reservations import Reservations

_log = get_logger(__name__)

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# 64 attachments with long names take 20 KB.
_MAX_BODY_BYTES: Final = 64 * 1024
# For as long as a connection lasts, TLS keeps as much memory as it had to encrypt at once.
_PIECE_BYTES: Final = 8 * 1024
_CALLER: Final = web.RequestKey("caller", Caller)
# Of a reserve that has begun to take addresses.
_TAKES: Final = web.RequestKey("takes", bool)


class HttpApi:
    """The handlers and what they share.

    Attributes:
        app: For a web server.
    """

    def __init__(
        self,
        *,
        access: Access,
        reservations: Reservations,
        releases: Releases,
        lookup: Lookup,
        ready: Callable[[], bool],
        admission: Admission,
        limits: Limits,
    ) -> None:
        """Serve a replica.

        Args:
            access: Who may.
            reservations: Reserves.
            releases: Releases.
            lookup: Lists and counts.
            ready: Whether the replica has read the record.
            admission: Holds each caller to its share.
            limits: Holds all callers together.
        """
        self._access = access
        self._reservations = reservations
        self._releases = releases
        self._lookup = lookup
        self._ready = ready
        self._admission = admission
        self._max_in_flight = limits.in_flight
        self._body_s = limits.body_s
        self._bodies = BodyBudget(limits)
        self._in_flight = 0
        self._parting = False
        # Revisions are counted by each replica for itself.
        self._instance = uuid4().hex
        document = openapi_document()
        self._openapi = msgspec.json.encode(document)
        self._page = page_of(document)
        self.app = web.Application(
            client_max_size=_MAX_BODY_BYTES,
            middlewares=[self._serve],
        )
        self.app.router.add_post(RESERVE_PATH, self._reserve)
        self.app.router.add_post(RELEASE_PATH, self._release)
        self.app.router.add_get(NETWORK_RESERVATIONS_PATH, self._network_reservations)
        self.app.router.add_get(NAMESPACE_RESERVATIONS_PATH, self._namespace_reservations)
        self.app.router.add_get(NETWORK_USAGE_PATH, self._network_usage)
        self.app.router.add_get(NODE_RESERVATIONS_PATH, self._node_reservations)
        self.app.router.add_get(OPENAPI_PATH, self._document)
        self.app.router.add_get(PAGE_PATH, self._document_page)
        self.app.router.add_get(METRICS_PATH, self._metrics)

    def part(self) -> None:
        """Tell every caller with its answer that this replica stops: its connection ends."""
        self._parting = True

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request; with ``Connection: close`` while the replica is stopping.

        One middleware for all: each costs as much as authenticating.
        """

        async def authenticated(request: web.Request) -> web.StreamResponse:
            return await self._authenticate(request, handler)

        response = await self._observe(request, authenticated)
        if self._parting:
            response.force_close()
        return response

    async def _observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Bound, count and trace requests, and turn errors into problem documents."""
        if self._in_flight >= self._max_in_flight:
            reason = f"{self._max_in_flight} requests are being answered; try again later"
            return problem_answer(OverloadedError(reason))
        resource = request.match_info.route.resource
        path = "unknown" if resource is None else resource.canonical
        # Whoever asks may invent others, each of which would be a series of its own.
        method = request.method if request.method in hdrs.METH_ALL else "other"
        started = time.perf_counter()
        self._in_flight += 1
        metrics.IN_FLIGHT.inc()
        try:
            with (
                correlated([request.headers.get(REQUEST_ID_HEADER, "")]),
                span(
                    f"{method} {path}", parent=extract(request.headers), kind=SpanKind.SERVER
                ) as traced,
            ):
                response = await _answer(request, handler)
                traced.set_attribute("http.response.status_code", response.status)
                return response
        finally:
            self._in_flight -= 1
            metrics.IN_FLIGHT.dec()
            _request_seconds(method, path).observe(time.perf_counter() - started)

    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let nobody pass who did not prove who it is."""
        is_scrape = request.path == METRICS_PATH
        caller = await self._access.authenticate(
            request.headers.get("Authorization", ""),
            address=request.remote or "",
            # Prometheus sends the token that it has for everything.
            audience=None if is_scrape else AUDIENCE,
        )
        request[_CALLER] = caller
        self._admission.enter(caller)
        try:
            if not (self._ready() or is_scrape):
                raise OverloadedError("this replica has not read the record yet; ask another one")
            return await self._send(request, await handler(request))
        finally:
            self._admission.leave(caller)

    async def _send(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Send a large answer in pieces, each when the caller has read enough of those before."""
        body = response.body if isinstance(response, web.Response) else None
        if not isinstance(body, bytes) or len(body) <= _PIECE_BYTES:
            return response
        pieces = web.StreamResponse(status=response.status, headers=response.headers)
        pieces.content_length = len(body)
        if self._parting:
            pieces.force_close()
        # A caller that has gone is the web server's business, which writes the end.
        with suppress(ConnectionError):
            writer = await pieces.prepare(request)
            if writer is None or request.method == "HEAD":
                return pieces
            for begin in range(0, len(body), _PIECE_BYTES):
                await writer.write(body[begin : begin + _PIECE_BYTES])
                # What was written is on its way in the loop's next turn, or has to wait.
                await asyncio.sleep(0)
                await writer.drain()
        return pieces

    async def _reserve(self, request: web.Request) -> web.Response:
        message = await self._body(request, ReserveRequest)
        order = reserve_order(message)
        with counted(metrics.RESERVES, "Refused reservation"):
            await self._access.may_reserve(request[_CALLER], order)

            def note() -> None:
                request[_TAKES] = True

            attachments = await self._reservations.reserve(order, on_take=note)
        _log.debug(
            "Reserved addresses",
            namespace=order.namespace,
            attempt=order.attempt,
            addresses=[each.ip or each.ip6 for each in attachments],
        )
        return json_answer(ReserveAnswer(attempt=order.attempt, attachments=attachments))

    async def _release(self, request: web.Request) -> web.Response:
        order = release_order(await self._body(request, ReleaseRequest))
        with counted(metrics.RELEASES, "Refused release"):
            await self._access.may_release(request[_CALLER], order)
            answer = await self._releases.release(order)
        _log.debug(
            "Released addresses",
            attempt=order.attempt,
            addresses=[each.address for each in answer.released],
        )
        return json_answer(answer)

    async def _network_reservations(self, request: web.Request) -> web.Response:
        namespace, network = network_of(request)
        listing = listing_of(query_of(request), usual_limit=MAX_PAGE)
        await self._may_look(request, listing, namespace)
        return json_answer(await self._lookup.of_network(namespace, network, listing))

    async def _namespace_reservations(self, request: web.Request) -> web.Response:
        namespace = request.match_info["namespace"]
        require_object_name(namespace, field="namespace")
        listing = listing_of(query_of(request), usual_limit=MAX_PAGE)
        await self._may_look(request, listing, Namespace(namespace))
        return json_answer(await self._lookup.of_namespace(Namespace(namespace), listing))

    async def _may_look(self, request: web.Request, listing: Listing, where: Namespace) -> None:
        verb = "get" if listing.names_one else "list"
        await self._access.may_read(request[_CALLER], verb, where)

    async def _network_usage(self, request: web.Request) -> web.Response:
        namespace, network = network_of(request)
        await self._access.may_read(request[_CALLER], "get", namespace)
        return json_answer(await self._lookup.usage(namespace, network))

    async def _node_reservations(self, request: web.Request) -> web.Response:
        node = NodeName(request.match_info["node"])
        require_object_name(node, field="node")
        # A node has few entries, and its danmd needs all of them.
        listing = listing_of(query_of(request), usual_limit=None)
        await self._access.may_read_node(request[_CALLER], node)
        tag = f'"{self._instance}-{self._lookup.node_revision(node)}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return json_answer(await self._lookup.of_node(node, listing), headers={"ETag": tag})

    async def _body(self, request: web.Request, kind: type[T]) -> T:
        return decoded(await self._content(request), kind)

    async def _content(self, request: web.Request) -> bytes | bytearray:
        # As a rule it came with the head.
        if request.content.is_eof():
            return await request.read()
        caller = request[_CALLER]
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_s):
                while chunk := await request.content.readany():
                    self._bodies.add(caller, len(chunk))
                    body += chunk
                    if len(body) > _MAX_BODY_BYTES:
                        raise web.HTTPRequestEntityTooLarge(_MAX_BODY_BYTES, len(body))
        except TimeoutError as error:
            reason = f"the body did not arrive within {self._body_s:g} s"
            raise web.HTTPRequestTimeout(reason=reason) from error
        finally:
            self._bodies.remove(caller, len(body))
        return body

    async def _document(self, request: web.Request) -> web.Response:
        return web.Response(body=self._openapi, content_type="application/json")

    async def _document_page(self, request: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html")

    async def _metrics(self, request: web.Request) -> web.Response:
        await self._access.may_get(request[_CALLER], METRICS_PATH)
        body, content_type = exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


# Looking a series up takes longer than counting in it.
@cache
def _request_seconds(method: str, path: str) -> Histogram:
    return metrics.REQUEST_SECONDS.labels(method, path)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except DanmError as error:
        is_reserve = request.path == RESERVE_PATH
        return problem_answer(error, nothing_taken=is_reserve and not request.get(_TAKES, False))
    except web.HTTPException as error:
        if error.status == web.HTTPNotFound.status_code:
            return problem_answer(NotFoundError(f"there is no {request.path}; see {OPENAPI_PATH}"))
        answer = problem_answer(
            InvalidRequestError(f"{error.reason}; see {OPENAPI_PATH}"), error.status
        )
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except Exception as error:  # noqa: BLE001  (a bug: the caller gets an answer, the log the rest)
        _log.exception("Failed to answer", method=request.method, path=request.path, error=error)
        return problem_answer(DanmError("ipam-svc failed; its log says why", transient=True))
