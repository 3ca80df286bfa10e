"""Listening: connections within bounds, and none that is kept open by sending nothing.

A connection has to deliver a whole request head in time, read its answers in time, and may idle
between requests for a while only. What HTTP cannot read at all is answered here, before there is a
request for the application.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from ssl import SSLContext
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong

from danm_api.errors import DanmError, InvalidRequestError, OverloadedError
from danm_api.ipam_problem import CONTENT_TYPE, problem_of
from danm_api.telemetry.bounds import (
    HTTP_BYTES,
    Bounds,
    Patience,
    bound_sockets,
    bound_transport,
)
from danm_api.telemetry.logs import get_logger

_log = get_logger(__name__)

# Requests under way get so long to end at a stop; the longest of them takes 30 s and is retried.
_DRAIN_S: Final = 10.0
# Connections that wait to be accepted, when every node asks at once.
_BACKLOG: Final = 1024
# Tokens have 2 KB; all headers of a request have 16 KB in Kubernetes' own client.
_MAX_FIELD_BYTES: Final = 8190
_MAX_HEADERS: Final = 64
_SWEEP_S: Final = 1.0

_NEVER: Final = math.inf

_Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """One connection, with the moment by which something has to have happened on it."""

    __slots__ = (
        "_answering",
        "_clock",
        "_listener",
        "_patience",
        "_read_due",
        "_write_due",
        "address",
    )

    def __init__(
        self,
        server: web.Server,
        *,
        listener: "Listener",
        loop: asyncio.AbstractEventLoop,
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        """Handle a connection for a listener."""
        super().__init__(
            server,
            loop=loop,
            # aiohttp's own way to have none.
            access_log=None,  # type: ignore[arg-type]
            keepalive_timeout=patience.idle_s,
            max_line_size=_MAX_FIELD_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
            max_headers=_MAX_HEADERS,
            # A body of 64 KB needs no compression, and nobody can send one that grows here.
            auto_decompress=False,
            read_bufsize=HTTP_BYTES,
        )
        self._listener = listener
        self._patience = patience
        self._clock = clock
        self._answering = False
        self._read_due = _NEVER
        self._write_due = _NEVER
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it when there are too many."""
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        super().connection_made(transport)
        self._read_due = self._clock() + self._patience.head_s
        reason = self._listener.register(self)
        if self.transport is None:
            return
        bound_transport(self.transport)
        if reason:
            _log.warning("Refused a connection", address=self.address, reason=reason)
            self.transport.write(_refusal(reason))
            self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._listener.unregister(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Begin to wait for a whole head when the first bytes of one arrive."""
        if not self._answering and self._read_due - self._clock() > self._patience.head_s:
            self._read_due = self._clock() + self._patience.head_s
        super().data_received(data)

    def begin(self) -> None:
        """Note that a whole head is there: its request is being answered."""
        self._answering = True
        self._read_due = _NEVER

    def end(self) -> None:
        """Note that a request has been answered: the next one may take a while."""
        self._answering = False
        self._read_due = self._clock() + self._patience.idle_s

    def pause_writing(self) -> None:
        """Give the peer some time to read what was sent."""
        self._write_due = self._clock() + self._patience.write_s
        super().pause_writing()
        self._listener.wait_for(self)

    def resume_writing(self) -> None:
        """Go on: the peer has read."""
        self._write_due = _NEVER
        self._listener.wait_no_more(self)
        super().resume_writing()

    def is_overdue(self, now: float) -> bool:
        """Say whether the peer has had its time."""
        return now >= self._read_due or now >= self._write_due

    def abort(self) -> None:
        """End the connection, whatever is still to be sent."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what HTTP cannot read with a problem document, like everything else."""
        if isinstance(exc, LineTooLong):
            status = 431
            message = f"a header or the path has more than {_MAX_FIELD_BYTES} bytes"
        # The peer may go at any moment; all else is a bug: applications answer what handlers raise.
        if status >= 500 and not isinstance(exc, ConnectionError):  # noqa: PLR2004
            _log.exception(
                "Failed to answer a request", address=self.address, path=request.path, error=exc
            )
            fault = DanmError("an error of this process, whose log tells more; please report it")
            return _last_answer(fault, status=status)
        return _unreadable(str(message or exc or "no reason"), status=status)


class Listener:
    """Listens for requests.

    Attributes:
        port: The port that is listened on; 0 before ``start`` when the kernel chooses.
        listening: Whether requests are taken.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        host: str,
        port: int,
        bounds: Bounds,
        clock: Callable[[], float],
        drain_s: float = _DRAIN_S,
        on_count: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Serve an application that nobody serves yet.

        Args:
            app: What answers.
            host: Empty for all addresses.
            port: 0 for one that the kernel chooses.
            bounds: What is refused and ended.
            clock: Monotonic seconds.
            drain_s: How long requests under way may take at a stop.
            on_count: Called with the number of connections whenever it changes.
        """
        self.port = port
        self.listening = False
        self._host = host
        self._bounds = bounds
        self._clock = clock
        self._on_count = on_count
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=drain_s,
            handle_signals=False,
            # Who has gone away does not want what it asked for: a frozen process that wakes up has
            # requests to read whose callers have asked another one since.
            handler_cancellation=True,
        )
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        # In the order in which they came.
        self._connections: dict[Connection, None] = {}
        # In the order in which the wait began.
        self._unread: dict[Connection, None] = {}
        self._by_address: Counter[str] = Counter()

    async def start(self, context: SSLContext | None) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        await self._runner.setup()
        server = self._runner.server
        # It is there after setup().
        assert server is not None  # noqa: S101
        server.request_handler = _watched(server.request_handler)
        try:
            self._server = await self._listen(server, context)
        except OSError:
            await self._runner.cleanup()
            raise
        self._sweeper = asyncio.create_task(self._sweep())
        self.port = self._server.sockets[0].getsockname()[1]
        self.listening = True

    async def _listen(self, server: web.Server, context: SSLContext | None) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        made = await loop.create_server(
            lambda: Connection(
                server,
                listener=self,
                loop=loop,
                patience=self._bounds.patience,
                clock=self._clock,
            ),
            self._host or None,
            self.port,
            ssl=context,
            backlog=_BACKLOG,
            ssl_handshake_timeout=None if context is None else self._bounds.patience.handshake_s,
            start_serving=False,
        )
        bound_sockets(made.sockets)
        try:
            await made.start_serving()
        except OSError:
            made.close()
            raise
        return made

    async def stop(self) -> None:
        """Take no more requests, and wait for those under way."""
        self.listening = False
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper

    def register(self, connection: Connection) -> str:
        """Count a new connection; return why it cannot stay, or "" when it can."""
        self._connections[connection] = None
        self._by_address[connection.address] += 1
        self._on_count(len(self._connections))
        reason = self._crowd(connection.address)
        if reason and self._bounds.takes_newcomers:
            self._end_oldest(reason)
            return ""
        return reason

    def _crowd(self, address: str) -> str:
        """Return why there is no place for one more of an address; "" when there is."""
        if len(self._connections) > self._bounds.connections:
            return f"{self._bounds.connections} connections are open; try again later"
        if self._by_address[address] > self._bounds.address_connections:
            return (
                f"{address} has {self._bounds.address_connections} connections; use fewer, and keep"
                " them"
            )
        return ""

    def _end_oldest(self, reason: str) -> None:
        """End the oldest connection of the address that has most."""
        ((address, _),) = self._by_address.most_common(1)
        oldest = next(each for each in self._connections if each.address == address)
        _log.warning("Ended the oldest connection of an address", address=address, reason=reason)
        # It counts no more from now on: that it is lost is told only later.
        self.unregister(oldest)
        oldest.abort()

    def unregister(self, connection: Connection) -> None:
        """Forget a connection; a second time does nothing."""
        if connection not in self._connections:
            return
        del self._connections[connection]
        self.wait_no_more(connection)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]
        self._on_count(len(self._connections))

    def wait_for(self, connection: Connection) -> None:
        """Note a connection whose peer has to read, and end another one when these are too many."""
        self._unread[connection] = None
        if len(self._unread) > self._bounds.unread:
            longest = next(iter(self._unread))
            self.wait_no_more(longest)
            longest.abort()

    def wait_no_more(self, connection: Connection) -> None:
        """Note that the peer of a connection has read, or is gone."""
        self._unread.pop(connection, None)

    def end_overdue(self) -> None:
        """End the connections whose peers have had their time."""
        now = self._clock()
        for connection in tuple(self._connections):
            if connection.is_overdue(now):
                connection.abort()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.end_overdue()


def _watched(handle: _Handle) -> _Handle:
    """Tell a connection that a whole head is there, and when its request is answered.

    Not a middleware: that costs several times as much.
    """

    async def watched(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if not isinstance(connection, Connection):
            return await handle(request)
        connection.begin()
        try:
            if not request.headers.get(hdrs.EXPECT, "").isascii():
                # aiohttp puts it into an answer before any handler runs, and fails.
                return _unreadable("the header Expect has other characters than ASCII has")
            return await handle(request)
        finally:
            connection.end()

    return watched


def _unreadable(why: str, *, status: int = HTTPStatus.BAD_REQUEST) -> web.Response:
    reason = f"this is no HTTP request that can be read: {why}"
    return _last_answer(InvalidRequestError(reason), status=status)


def _last_answer(fault: DanmError, *, status: int) -> web.Response:
    """Return an answer that ends its connection."""
    problem = problem_of(fault, status=HTTPStatus(status))
    response = web.Response(
        status=status, body=msgspec.json.encode(problem), content_type=CONTENT_TYPE
    )
    response.force_close()
    return response


def _refusal(reason: str) -> bytes:
    """Return a whole answer: there is no request to answer."""
    body = msgspec.json.encode(problem_of(OverloadedError(reason)))
    head = (
        "HTTP/1.1 503 Service Unavailable\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        "Retry-After: 1\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
