"""One request to one replica of ipam-svc, over pooled connections with the present trust."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp
import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.errors import DanmError, IpamUnavailableError
from danm_api.ipam_api import Problem
from danm_api.ipam_problem import error_of
from danm_api.ipam_replicas import ReplicaOrder
from danm_api.telemetry import SpanKind, inject, inject_request_id, span

T = TypeVar("T")

NOT_MODIFIED: Final = 304
_OK: Final = 200
# A replica in the same cluster accepts within milliseconds; a node that died does not answer.
_CONNECT_TIMEOUT_S: Final = 1.0
# To one replica. Many sandboxes start at once; ipam-svc bounds its own queue.
_MAX_CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A good answer.

    Attributes:
        tag: Its ETag; empty without one.
    """

    status: int
    tag: str
    body: bytes

    def decode(self, kind: type[T]) -> T:
        """Return the message that the answer holds.

        Raises:
            IpamUnavailableError: It holds something else.
        """
        try:
            return decode_foreign(self.body, kind)
        except msgspec.DecodeError as error:
            reason = f"ipam-svc sent an answer that cannot be read: {error}"
            raise IpamUnavailableError(reason) from error


class IpamTransport:
    """Sends requests to replicas."""

    def __init__(
        self,
        trust: Callable[[], str],
        token: Callable[[], str],
        *,
        server_name: str,
        replicas: ReplicaOrder,
    ) -> None:
        """Prepare; trust and token are asked again for every send, since both may change.

        Args:
            trust: The certificates of the authorities to trust, as PEM.
            token: The bearer token.
            server_name: The name that a replica's certificate must carry.
            replicas: Told of whatever is sent and heard.
        """
        self._trust = trust
        self._token = token
        self._server_name = server_name
        self._replicas = replicas
        self._session: aiohttp.ClientSession | None = None
        self._trusted: tuple[str, ssl.SSLContext] | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(
        self,
        method: str,
        endpoint: str,
        path: str,
        *,
        timeout_s: float,
        message: msgspec.Struct | None = None,
        if_none_match: str = "",
    ) -> Answer:
        """Return a good answer.

        Raises:
            IpamUnavailableError: No answer.
            DanmError: What the answer's problem document says.
        """
        with span(f"{method} ipam-svc", kind=SpanKind.CLIENT, path=path, replica=endpoint):
            return await self._send(
                method,
                endpoint,
                path,
                timeout_s=timeout_s,
                message=message,
                if_none_match=if_none_match,
            )

    async def _send(
        self,
        method: str,
        endpoint: str,
        path: str,
        *,
        timeout_s: float,
        message: msgspec.Struct | None,
        if_none_match: str,
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self._token()}"}
        inject(headers)
        inject_request_id(headers)
        if if_none_match:
            headers["If-None-Match"] = if_none_match
        content = None
        if message is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(message)
        self._replicas.sent(endpoint)
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
                # A replica that stops says so with its answers (RFC 9112, 9.6).
                closes = response.headers.get("Connection", "").lower() == "close"
                self._replicas.heard(endpoint, parts=closes)
                if response.status in (_OK, NOT_MODIFIED):
                    tag = response.headers.get("ETag", "")
                    return Answer(status=response.status, tag=tag, body=body)
                raise _error_of_answer(endpoint, response.status, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = f"ipam-svc at {endpoint} gave no answer: {error or type(error).__name__}"
            raise IpamUnavailableError(reason) from error

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Those that wait for a frozen replica take none from those who ask another one.
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=_MAX_CONNECTIONS)
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


def _error_of_answer(endpoint: str, status: int, body: bytes) -> DanmError:
    try:
        return error_of(decode_foreign(body, Problem))
    except msgspec.DecodeError:
        return IpamUnavailableError(f"ipam-svc at {endpoint} answered {status} without a reason")
