"""How to reach the API server: configuration and credentials, by kubernetes.aio.

Inside of a Pod the service account, elsewhere a kubeconfig with tokens, token files, client
certificates or exec plugins. Credentials are read again from time to time and after a 401, since
mounted tokens are replaced (about every 48 minutes) and exec plugins give short-lived ones.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from danm_api.errors import ApiError

# A mounted token is replaced when 80 % of its life of an hour are over, and the old one stays
# valid; a kubeconfig may start a program for each reading.
_RENEW_TOKEN_FILE_S: Final = 60.0
_RENEW_KUBECONFIG_S: Final = 300.0


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
    """

    server: str
    ssl: ssl.SSLContext | None
    credentials: Credentials
    server_hostname: str | None = None
    proxy: str | None = None


async def load_kube_client_config(kubeconfig: Path | None) -> KubeConfig:
    """Read a kubeconfig, or what a Pod is given when it is None.

    Raises:
        ApiError: It is missing or broken.
    """

    async def load() -> Configuration:
        configuration = Configuration()
        try:
            if kubeconfig is None:
                load_incluster_config(configuration, try_refresh_token=False)
            else:
                await load_kube_config(
                    str(kubeconfig), client_configuration=configuration, persist_config=False
                )
        except (ConfigException, OSError, ValueError, AttributeError, TypeError) as error:
            # The last two are how the package reports a file without the expected structure.
            source = kubeconfig or "the Pod's service account"
            raise ApiError(
                f"no usable API server configuration in {source}: {error}", status=0
            ) from error
        return configuration

    async def read() -> str | None:
        token: str | None = (await load()).api_key.get("BearerToken")
        # A token file may end in a newline, which no header may hold.
        return token.strip() if token else None

    configuration = await load()
    server = str(configuration.host).rstrip("/")
    return KubeConfig(
        server=server,
        ssl=_ssl_context(configuration) if server.startswith("https:") else None,
        credentials=Credentials(
            read,
            renew_after_s=_RENEW_TOKEN_FILE_S if kubeconfig is None else _RENEW_KUBECONFIG_S,
        ),
        server_hostname=configuration.tls_server_name or None,
        proxy=configuration.proxy or None,
    )


def _ssl_context(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file or None)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
