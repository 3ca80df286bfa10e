"""The client of ipam-svc's HTTP API, for danmd and for any other tool.

It knows several replicas and asks one after the other until one answers or the deadline passes.
Every send of a reserve carries a new attempt (DESIGN, "Attempts fence"), so an answer to an earlier
send can never be taken for that of a later one.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from prometheus_client import Counter

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
    ExternalOwnerMessage,
    NetworkUsage,
    ReleaseAnswer,
    ReleaseRequest,
    Reservation,
    ReservationList,
    ReservationQuery,
    ReserveAnswer,
    ReserveRequest,
    namespace_reservations_path,
    network_reservations_path,
    network_usage_path,
    node_reservations_path,
)
from danm_api.ipam_replicas import ReplicaOrder
from danm_api.ipam_transport import NOT_MODIFIED, Answer, IpamTransport
from danm_api.kube.backoff import delay_after
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.telemetry import get_logger

_log = get_logger(__name__)

RETRIES: Final = Counter(
    "danm_ipam_client_retries_total",
    "Sends to ipam-svc that another one, to this or another replica, had to follow, by the error.",
    ["reason"],
)

T = TypeVar("T")
NextAttempt = Callable[[int], Awaitable[int]]

# Every serving certificate carries this name, whatever address a replica has.
DEFAULT_SERVER_NAME: Final = f"{SERVICE_NAME}.{SYSTEM_NAMESPACE}.svc"

# A frozen replica must leave time for another one.
_LONGEST_SHARE: Final = 0.5
_SHORTEST_TRY_S: Final = 0.5
# Between rounds through all replicas: after the first one another may have come, after several the
# fault is one that all have, such as an API server that is away, and many wait for its end.
_ROUND_DELAY_S: Final = 0.1
_LONGEST_ROUND_DELAY_S: Final = 1.0
# What is asked of a replica that is overloaded is spread over so much more than it wants.
_SPREAD: Final = 1.5
# Nodes whose entries are remembered, to ask for changes only; danmd asks for its own.
_MAX_NODE_LISTS: Final = 16

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
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; each callable is asked again for every send, since all may change.

        Args:
            endpoints: ``host:port`` of the replicas, the preferred ones first.
            trust: The certificates of the authorities to trust, as PEM.
            token: The bearer token.
            server_name: The name that a replica's certificate must carry.
            clock: Monotonic seconds.
            sleep: Waits between rounds through all replicas.
        """
        self._endpoints = endpoints
        self._sleep = sleep
        self._clock = clock
        self._replicas = ReplicaOrder(clock)
        self._transport = IpamTransport(
            trust, token, server_name=server_name, replicas=self._replicas
        )
        self._node_lists: OrderedDict[str, tuple[str, ReservationList]] = OrderedDict()

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
        await self._transport.close()

    async def reserve(
        self, request: ReserveRequest, *, deadline: float, next_attempt: NextAttempt
    ) -> ReserveAnswer:
        """Reserve the addresses of all attachments of an owner.

        For an external owner, sends whose outcome is not known are released at once when a later
        one is answered: nobody compares what such an owner holds (danmd does so for its node).
        What ipam-svc refused without having begun to take anything is known.

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
        in_doubt: list[int] = []

        async def send(endpoint: str, timeout_s: float) -> ReserveAnswer:
            nonlocal request, sends
            if sends:
                attempt = await next_attempt(request.attempt)
                request = msgspec.structs.replace(request, attempt=attempt, fresh=False)
            sends += 1
            body = msgspec.structs.replace(request, timeout_s=timeout_s)
            try:
                answer = await self._transport.send(
                    "POST", endpoint, RESERVE_PATH, message=body, timeout_s=timeout_s
                )
                return answer.decode(ReserveAnswer)
            except StaleAttemptError as error:
                # The number of the next send must lie above it.
                request = msgspec.structs.replace(
                    request, attempt=max(request.attempt, error.current_attempt)
                )
                raise
            except OverloadedError:
                raise
            except DanmError as error:
                if not error.nothing_taken:
                    in_doubt.append(request.attempt)
                raise

        answer = await self._ask(send, deadline, also_again=(StaleAttemptError,))
        if isinstance(request.owner, ExternalOwnerMessage):
            for attempt in in_doubt:
                await self._release_in_doubt(request, attempt, deadline=deadline)
        return answer

    async def _release_in_doubt(
        self, request: ReserveRequest, attempt: int, *, deadline: float
    ) -> None:
        release = ReleaseRequest(
            owner=request.owner,
            attempt=attempt,
            networks=[each.network for each in request.attachments],
            families=_families_of(request),
        )
        try:
            await self.release(release, deadline=deadline)
        except DanmError as error:
            _log.warning("An earlier send may take effect yet", attempt=attempt, error=error)

    async def release(self, request: ReleaseRequest, *, deadline: float) -> ReleaseAnswer:
        """Give back what an owner holds under exactly one attempt; repeating it is harmless.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """

        async def send(endpoint: str, timeout_s: float) -> ReleaseAnswer:
            body = msgspec.structs.replace(request, timeout_s=timeout_s)
            answer = await self._transport.send(
                "POST", endpoint, RELEASE_PATH, message=body, timeout_s=timeout_s
            )
            return answer.decode(ReleaseAnswer)

        return await self._ask(send, deadline)

    async def node_reservations(self, node: str, *, deadline: float) -> ReservationList:
        """Return the entries of a node; cheap when they are unchanged.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """

        async def send(endpoint: str, timeout_s: float) -> ReservationList:
            tag, known = self._node_lists.get(node, ("", None))
            path = node_reservations_path(quote(node, safe=""))
            answer = await self._transport.send(
                "GET", endpoint, path, timeout_s=timeout_s, if_none_match=tag
            )
            if answer.status == NOT_MODIFIED and known is not None:
                return known
            found = answer.decode(ReservationList)
            if answer.tag:
                self._node_lists[node] = (answer.tag, found)
                self._node_lists.move_to_end(node)
                if len(self._node_lists) > _MAX_NODE_LISTS:
                    self._node_lists.popitem(last=False)
            return found

        return await self._ask(send, deadline)

    async def network_reservations(
        self,
        namespace: str,
        network: str,
        *,
        deadline: float,
        query: ReservationQuery | None = None,
    ) -> ReservationList:
        """Return the entries of a network that a query shows, all pages.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """
        entries = self.reservations(namespace, network, deadline=deadline, query=query)
        return ReservationList(items=[each async for each in entries])

    async def reservations(
        self,
        namespace: str,
        network: str = "",
        *,
        deadline: float,
        query: ReservationQuery | None = None,
    ) -> AsyncIterator[Reservation]:
        """Yield the entries of a network, or of all networks of a namespace, page by page.

        Args:
            namespace: The DanmNets' namespace.
            network: A DanmNet; empty for all.
            deadline: For all pages together.
            query: What to show; ``limit`` is the size of a page.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """
        where = quote(namespace, safe="")
        if network:
            path = network_reservations_path(where, quote(network, safe=""))
        else:
            path = namespace_reservations_path(where)
        query = query or ReservationQuery()
        while True:
            page = (await self._get(f"{path}{_encoded(query)}", deadline)).decode(ReservationList)
            for each in page.items:
                yield each
            if not page.next:
                return
            query = msgspec.structs.replace(query, continue_=page.next)

    async def usage(self, namespace: str, network: str, *, deadline: float) -> NetworkUsage:
        """Return how full a network is.

        Raises:
            IpamUnavailableError: No replica answered in time.
            DanmError: What ipam-svc refused.
        """
        path = network_usage_path(quote(namespace, safe=""), quote(network, safe=""))
        return (await self._get(path, deadline)).decode(NetworkUsage)

    async def _get(self, path: str, deadline: float) -> Answer:
        async def send(endpoint: str, timeout_s: float) -> Answer:
            return await self._transport.send("GET", endpoint, path, timeout_s=timeout_s)

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
        rounds = 0
        while True:
            rounds += 1
            endpoints = self._replicas.of(self._endpoints())
            # When every replica is overloaded, the first one that wants to be asked again.
            pauses_s: list[float] = []
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
                    RETRIES.labels(type(error).__name__).inc()
                    last = error
                    tried.append(endpoint)
                    if isinstance(error, OverloadedError):
                        pauses_s.append(error.retry_after_s)
                    continue
                self._replicas.prefer(endpoint)
                return answer
            if not endpoints:
                last = IpamUnavailableError(
                    "ipam-svc has no replica that serves; is its Deployment running?"
                )
            remaining_s = deadline - self._clock()
            pause_s = _ROUND_DELAY_S
            if pauses_s and len(pauses_s) == len(endpoints):
                # Not all of those who were refused at one moment come back at one moment.
                pause_s = max(pause_s, min(pauses_s) * random.uniform(1, _SPREAD))  # noqa: S311
            elif endpoints:
                delay_s = delay_after(rounds, base_s=_ROUND_DELAY_S, max_s=_LONGEST_ROUND_DELAY_S)
                # Whatever it waits, the last try is not given up.
                pause_s = min(delay_s, max(pause_s, remaining_s - _SHORTEST_TRY_S))
            if remaining_s <= pause_s:
                raise _out_of_time(tried, last) from last
            await self._sleep(pause_s)


def _families_of(request: ReserveRequest) -> list[int]:
    """Return the IP versions of which a reserve asks for addresses."""
    texts = {4: [each.ip for each in request.attachments]}
    texts[6] = [each.ip6 for each in request.attachments]
    return [version for version, asked in texts.items() if any(text != "none" for text in asked)]


def _encoded(query: ReservationQuery) -> str:
    """Return a query as the end of a URL; what is as usual is left out."""
    given = {name: value for name, value in msgspec.to_builtins(query).items() if value}
    return f"?{urlencode(given)}" if given else ""


def _out_of_time(tried: Sequence[str], last: DanmError | None) -> DanmError:
    """Return the error for a deadline that passed: the last one, with what was tried."""
    replicas = ", ".join(dict.fromkeys(tried)) or "none"
    why = f": {last.reason}" if last is not None else ""
    return IpamUnavailableError(f"ipam-svc did not answer in time (tried {replicas}){why}")
