"""The client of ipam-svc's HTTP API, for danmd and for any other tool.

It knows several replicas and asks one after the other until one answers or the deadline passes.
Every send of a reserve carries a new attempt (DESIGN, "Attempts fence"), so an answer to an earlier
send can never be taken for that of a later one.
"""

import asyncio
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
import msgspec

from danm_api.errors import (
    ApiUnavailableError,
    ConflictError,
    DanmError,
    DeadlineExceededError,
    IpamUnavailableError,
    OverloadedError,
    StaleAttemptError,
)
from danm_api.ipam_api import (
    RELEASE_PATH,
    RESERVE_PATH,
    SERVICE_NAME,
    NetworkUsage,
    Problem,
    ReleaseAnswer,
    ReleaseRequest,
    ReservationList,
    ReserveAnswer,
    ReserveRequest,
    network_reservations_path,
    network_usage_path,
    node_reservations_path,
)
from danm_api.ipam_problem import error_of
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.telemetry import get_logger, inject

_log = get_logger(__name__)

T = TypeVar("T")
NextAttempt = Callable[[int], Awaitable[int]]

# Every serving certificate carries this name, whatever address a replica has.
DEFAULT_SERVER_NAME: Final = f"{SERVICE_NAME}.{SYSTEM_NAMESPACE}.svc"

# A replica in the same cluster accepts within milliseconds; a node that died does not answer.
_CONNECT_TIMEOUT_S: Final = 1.0
# A frozen replica must leave time for another one.
_LONGEST_SHARE: Final = 0.5
_SHORTEST_TRY_S: Final = 0.5
# Between rounds through all replicas.
_ROUND_DELAY_S: Final = 0.1
_NOT_MODIFIED: Final = 304
_OK: Final = 200
# Many sandboxes start at once; ipam-svc bounds its own queue.
_MAX_CONNECTIONS: Final = 64

# What another replica, or the same one a moment later, may answer differently.
_WORTH_ANOTHER_TRY: Final = (
    ApiUnavailableError,
    ConflictError,
    DeadlineExceededError,
    IpamUnavailableError,
    OverloadedError,
)


class IpamClient:
    """Asks ipam-svc.

        async with IpamClient(endpoints=..., trust=..., token=...) as client:
            answer = await client.reserve(request, deadline=time.monotonic() + 5, ...)

    All deadlines are in the clock's seconds (time.monotonic by default).
    """

    def __init__(
        self,
        endpoints: Callable[[], Sequence[str]],
        trust: Callable[[], str],
        token: Callable[[], str],
        *,
        server_name: str = DEFAULT_SERVER_NAME,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; each callable is asked again for every send, since all may change.

        Args:
            endpoints: ``host:port`` of the replicas, the preferred ones first.
            trust: The certificates of the authorities to trust, as PEM.
            token: The bearer token.
            server_name: The name that a replica's certificate must carry.
            clock: Monotonic seconds.
        """
        self._endpoints = endpoints
        self._trust = trust
        self._token = token
        self._server_name = server_name
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._trusted: tuple[str, ssl.SSLContext] | None = None
        self._preferred = ""
        # Replicas that said that they stop, and when.
        self._parting: dict[str, float] = {}
        self._node_lists: dict[str, tuple[str, ReservationList]] = {}

    async def __aenter__(self) -> Self:
        """Return the client itself: connections are made when they are needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def reserve(
        self, request: ReserveRequest, *, deadline: float, next_attempt: NextAttempt
    ) -> ReserveAnswer:
        """Reserve the addresses of all attachments of an owner.

        Args:
            request: The first send carries its attempt.
            deadline: In the clock's seconds.
            next_attempt: Gives the attempt of every further send: larger than all before it and
                than its argument.

        Returns:
            The answer to the last send; its ``attempt`` is the one that holds the addresses.

        Raises:
            IpamUnavailableError: No replica answered in time. What was sent may have taken effect.
            DanmError: What ipam-svc refused; nothing new is held.
        """
        sends = 0

        async def send(endpoint: str, timeout_s: float) -> ReserveAnswer:
            nonlocal request, sends
            if sends:
                attempt = await next_attempt(request.attempt)
                request = msgspec.structs.replace(request, attempt=attempt, fresh=False)
            sends += 1
            body = msgspec.structs.replace(request, timeout_s=timeout_s)
            try:
                return await self._post(endpoint, RESERVE_PATH, body, ReserveAnswer, timeout_s)
            except StaleAttemptError as error:
                # The number of the next send must lie above it.
                request = msgspec.structs.replace(
                    request, attempt=max(request.attempt, error.current_attempt)
                )
                raise

        return await self._ask(send, deadline, also_again=(StaleAttemptError,))

    async def release(self, request: ReleaseRequest, *, deadline: float) -> ReleaseAnswer:
        """Give back what an owner holds under exactly one attempt; repeating it is harmless.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """

        async def send(endpoint: str, timeout_s: float) -> ReleaseAnswer:
            body = msgspec.structs.replace(request, timeout_s=timeout_s)
            return await self._post(endpoint, RELEASE_PATH, body, ReleaseAnswer, timeout_s)

        return await self._ask(send, deadline)

    async def node_reservations(self, node: str, *, deadline: float) -> ReservationList:
        """Return the entries of a node; cheap when they are unchanged.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """

        async def send(endpoint: str, timeout_s: float) -> ReservationList:
            known = self._node_lists.get(node)
            headers = {"If-None-Match": known[0]} if known else {}
            path = node_reservations_path(node)
            status, tag, body = await self._send("GET", endpoint, path, None, timeout_s, headers)
            if status == _NOT_MODIFIED and known is not None:
                return known[1]
            found = _decode(body, ReservationList)
            if tag:
                self._node_lists[node] = (tag, found)
            return found

        return await self._ask(send, deadline)

    async def network_reservations(
        self, namespace: str, network: str, *, deadline: float
    ) -> ReservationList:
        """Return all entries of a network, all pages.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """
        path = network_reservations_path(namespace, network)
        items = []
        page = ReservationList(items=[])
        while True:
            query = f"?continue={page.next}" if page.next else ""
            page = await self._get(path + query, ReservationList, deadline)
            items += page.items
            if not page.next:
                return ReservationList(items=items)

    async def usage(self, namespace: str, network: str, *, deadline: float) -> NetworkUsage:
        """Return how full a network is.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """
        return await self._get(network_usage_path(namespace, network), NetworkUsage, deadline)

    async def _get(self, path: str, kind: type[T], deadline: float) -> T:
        async def send(endpoint: str, timeout_s: float) -> T:
            _, _, body = await self._send("GET", endpoint, path, None, timeout_s, {})
            return _decode(body, kind)

        return await self._ask(send, deadline)

    async def _ask(
        self,
        send: Callable[[str, float], Awaitable[T]],
        deadline: float,
        *,
        also_again: tuple[type[DanmError], ...] = (),
    ) -> T:
        """Send to one replica after the other until one answers or the deadline passes."""
        again: tuple[type[DanmError], ...] = (*_WORTH_ANOTHER_TRY, *also_again)
        last: DanmError | None = None
        tried: list[str] = []
        while True:
            endpoints = self._in_order()
            for endpoint in endpoints:
                remaining_s = deadline - self._clock()
                if remaining_s <= 0:
                    raise _out_of_time(tried, last) from last
                share = 1.0 if len(endpoints) == 1 else _LONGEST_SHARE
                timeout_s = min(remaining_s, max(_SHORTEST_TRY_S, remaining_s * share))
                try:
                    answer = await send(endpoint, timeout_s)
                except again as error:
                    _log.debug("Trying another replica", endpoint=endpoint, error=error)
                    last = error
                    tried.append(endpoint)
                    continue
                self._preferred = endpoint
                return answer
            if not endpoints:
                last = IpamUnavailableError(
                    "ipam-svc has no replica that serves; is its Deployment running?"
                )
            remaining_s = deadline - self._clock()
            if remaining_s <= _ROUND_DELAY_S:
                raise _out_of_time(tried, last) from last
            await asyncio.sleep(_ROUND_DELAY_S)

    def _in_order(self) -> list[str]:
        """Return the replicas: the one that answered last time first, those that stop last.

        Of those that stopped the earliest is asked first: another one may be at its address by now.
        """
        endpoints = list(self._endpoints())
        self._parting = {each: at for each, at in self._parting.items() if each in endpoints}
        return sorted(
            endpoints,
            key=lambda each: (self._parting.get(each, -math.inf), each != self._preferred),
        )

    async def _post(
        self, endpoint: str, path: str, message: msgspec.Struct, kind: type[T], timeout_s: float
    ) -> T:
        _, _, body = await self._send("POST", endpoint, path, message, timeout_s, {})
        return _decode(body, kind)

    async def _send(
        self,
        method: str,
        endpoint: str,
        path: str,
        message: msgspec.Struct | None,
        timeout_s: float,
        headers: dict[str, str],
    ) -> tuple[int, str, bytes]:
        """Return status, ETag and body of a good answer.

        Raises:
            IpamUnavailableError: No answer.
            DanmError: What the answer's problem document says.
        """
        headers["Authorization"] = f"Bearer {self._token()}"
        inject(headers)
        content = None
        if message is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(message)
        try:
            async with self._connections().request(
                method,
                f"https://{endpoint}{path}",
                data=content,
                headers=headers,
                ssl=self._context(),
                server_hostname=self._server_name,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=timeout_s, sock_connect=min(timeout_s, _CONNECT_TIMEOUT_S)
                ),
            ) as response:
                body = await response.read()
                self._note_parting(endpoint, response.headers.get("Connection", ""))
                if response.status in (_OK, _NOT_MODIFIED):
                    return response.status, response.headers.get("ETag", ""), body
                raise _error_of_answer(endpoint, response.status, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = f"ipam-svc at {endpoint} gave no answer: {error or type(error).__name__}"
            raise IpamUnavailableError(reason) from error

    def _note_parting(self, endpoint: str, connection: str) -> None:
        """A replica that stops says so with its answers (RFC 9112, 9.6)."""
        if connection.lower() == "close":
            self._parting[endpoint] = self._clock()
        else:
            self._parting.pop(endpoint, None)

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_MAX_CONNECTIONS)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def _context(self) -> ssl.SSLContext:
        """Return the TLS settings for the present trust; a new trust is a new object.

        Connections are pooled by these settings, so those of an old trust are not used again.
        """
        pem = self._trust()
        if self._trusted is None or self._trusted[0] != pem:
            try:
                context = ssl.create_default_context(cadata=pem)
            except ssl.SSLError as error:
                reason = f"the certificates to trust ipam-svc by cannot be read: {error}"
                raise IpamUnavailableError(reason) from error
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            self._trusted = (pem, context)
        return self._trusted[1]


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        reason = f"ipam-svc sent an answer that cannot be read: {error}"
        raise IpamUnavailableError(reason) from error


def _error_of_answer(endpoint: str, status: int, body: bytes) -> DanmError:
    try:
        return error_of(msgspec.json.decode(body, type=Problem))
    except msgspec.DecodeError:
        return IpamUnavailableError(f"ipam-svc at {endpoint} answered {status} without a reason")


def _out_of_time(tried: Sequence[str], last: DanmError | None) -> DanmError:
    """Return the error for a deadline that passed: the last one, with what was tried."""
    replicas = ", ".join(dict.fromkeys(tried)) or "none"
    why = f": {last.reason}" if last is not None else ""
    return IpamUnavailableError(f"ipam-svc did not answer in time (tried {replicas}){why}")
