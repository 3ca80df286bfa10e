"""How to reach the API server, and credentials that stay fresh.

Credentials are read again from time to time and after a 401, since mounted tokens are replaced
(about every 48 minutes) and exec plugins give short-lived ones.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


class Credentials:
    """The value of the Authorization header, kept fresh."""

    def __init__(
        self,
        read: Callable[[], Awaitable[str | None]],
        *,
        renew_after_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take credentials from ``read``; None means that none are needed (client certificate)."""
        self._read = read
        self._renew_after_s = renew_after_s
        self._clock = clock
        self._value: str | None = None
        self._due_at = clock()
        self._lock = asyncio.Lock()

    async def header(self) -> str | None:
        """Return the header's value.

        Raises:
            ApiError: The credentials cannot be read.
        """
        if self._clock() >= self._due_at:
            await self.renew(self._value)
        return self._value

    async def renew(self, refused: str | None) -> bool:
        """Read the credentials again and say whether they differ from the ``refused`` ones.

        Raises:
            ApiError: The credentials cannot be read.
        """
        async with self._lock:
            # Of many requests that were refused at once, one reads.
            if self._value == refused or self._clock() >= self._due_at:
                self._value = await self._read()
                self._due_at = self._clock() + self._renew_after_s
        return self._value != refused


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeConfig:
    """Where the API server is and how to talk to it.

    Attributes:
        server: Base URL without a closing slash.
        ssl: For https.
        credentials: For the Authorization header.
        server_hostname: The name that the server's certificate must have, when not the URL's.
        proxy: URL of an HTTP proxy.
        namespace: Which one its user means when none is named. None when it does not say.
    """

    server: str
    ssl: ssl.SSLContext | None
    credentials: Credentials
    server_hostname: str | None = None
    proxy: str | None = None
    namespace: str | None = None
