"""/healthz and /readyz of a process, and as a rule /metrics: for everybody, so narrowly bounded."""

import functools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry

from danm_api.telemetry.bounds import Bounds
from danm_api.telemetry.listener import Listener
from danm_api.telemetry.scrapes import READY, exposition

# True, or why not yet (a sentence, or False without one).
Readiness = bool | str

# Answers are made at once: nothing is under way for longer.
_SHUTDOWN_TIMEOUT_S: Final = 1.0
# Probes come from the node, metrics are fetched by a few. Any Pod may connect, and a kubelet whose
# probe is refused ends the process.
_BOUNDS: Final = Bounds(connections=128, address_connections=64, takes_newcomers=True)


def _always() -> Readiness:
    """Answer for a process that is alive when its event loop answers at all."""
    return True


class HealthServer:
    """Serves health and metrics while its ``async with`` block runs.

        async with HealthServer(host="", port=9440, ready=lambda: informer.synced or "not synced"):

    Attributes:
        port: The port that is listened on; chosen by the kernel when 0 was asked for.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        ready: Callable[[], Readiness],
        live: Callable[[], Readiness] = _always,
        registry: CollectorRegistry | None = REGISTRY,
    ) -> None:
        """Prepare; an empty ``host`` listens on all addresses, IPv4 and IPv6.

        Without a ``registry`` there is no /metrics: the process shows them elsewhere.
        """
        self.port = port
        self._ready = ready
        self._live = live
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        if registry is not None:
            app.router.add_get("/metrics", functools.partial(_metrics, registry))
        self._listener = Listener(
            app,
            host=host,
            port=port,
            bounds=_BOUNDS,
            clock=time.monotonic,
            drain_s=_SHUTDOWN_TIMEOUT_S,
        )

    async def __aenter__(self) -> "HealthServer":
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        await self._listener.start(None)
        self.port = self._listener.port
        READY.set_function(lambda: self._ready() is True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening."""
        READY.set_function(lambda: False)
        await self._listener.stop()

    async def _healthz(self, request: web.Request) -> web.Response:
        return _answer(self._live())

    async def _readyz(self, request: web.Request) -> web.Response:
        return _answer(self._ready())


async def _metrics(registry: CollectorRegistry, request: web.Request) -> web.Response:
    body, content_type = exposition(request.headers.get("Accept", ""), registry)
    return web.Response(body=body, headers={"Content-Type": content_type})


def _answer(state: Readiness) -> web.Response:
    if state is True:
        return web.Response(text="ok\n")
    return web.Response(status=503, text=f"{state or 'not ready'}\n")
