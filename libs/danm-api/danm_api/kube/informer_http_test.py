"""An informer over HTTP, against a server that misbehaves in every way in turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from danm_api.kube.api import PODS, RawObject
from danm_api.kube.client import KubeClient
from danm_api.kube.config import Credentials, KubeConfig
from danm_api.kube.informer import Informer
from danm_api.kube.timeouts import Timeouts


@dataclass
class Misbehaving:
    """A server whose n-th watch misbehaves in the n-th way, after one more Pod was made.

    Attributes:
        pods: Versions and names of all Pods.
        watches: From which version each watch went on.
        lists: How many lists were answered.
    """

    pods: list[str] = field(default_factory=lambda: ["pod-1"])
    watches: list[int] = field(default_factory=list)
    lists: int = 0
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a list, or a watch in the way that is its turn."""
        if "watch" not in request.query:
            # In a namespace that is none only the version is asked for.
            self.lists += "/namespaces/" not in request.path
            return self._json(
                {
                    "metadata": {"resourceVersion": str(len(self.pods))},
                    "items": [self._pod(number) for number in range(1, len(self.pods) + 1)],
                }
            )
        self.watches.append(int(request.query["resourceVersion"]))
        turn = len(self.watches)
        if turn <= len(self._WAYS):
            self.pods.append(f"pod-{len(self.pods) + 1}")
            return await self._WAYS[turn - 1](self, request)
        self.quiet.set()
        return await self._silence(request)

    async def _refuse(self, _: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text="<html>upstream is gone</html>")

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        line = self._line(len(self.pods))
        await response.write(line[: len(line) // 2])
        assert request.transport is not None
        request.transport.abort()
        return response

    async def _garbage(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        await response.write(b"\x00\xff{]\n")
        return response

    async def _gone(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        status = {"kind": "Status", "code": 410, "message": "too old resource version"}
        await response.write(msgspec.json.encode({"type": "ERROR", "object": status}) + b"\n")
        return response

    async def _silence(self, request: web.Request) -> web.StreamResponse:
        response = await self._begin(request)
        for number in range(self.watches[-1] + 1, len(self.pods) + 1):
            await response.write(self._line(number))
        await asyncio.Event().wait()
        return response

    async def _end(self, request: web.Request) -> web.StreamResponse:
        return await self._begin(request)

    async def _unauthorized(self, _: web.Request) -> web.StreamResponse:
        return self._json({"code": 401, "message": "Unauthorized"}, status=401)

    _WAYS = (_refuse, _cut, _garbage, _end, _gone, _unauthorized, _silence, _cut)

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        return response

    def _pod(self, number: int) -> RawObject:
        name = self.pods[number - 1]
        return {"metadata": {"name": name, "namespace": "ns", "resourceVersion": str(number)}}

    def _line(self, number: int) -> bytes:
        return msgspec.json.encode({"type": "ADDED", "object": self._pod(number)}) + b"\n"

    def _json(self, body: object, *, status: int = 200) -> web.Response:
        return web.Response(body=msgspec.json.encode(body), status=status)


@asynccontextmanager
async def serving(server: Misbehaving) -> AsyncIterator[KubeClient]:
    """Yield a client of the server."""

    async def no_credentials() -> str | None:
        return None

    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    config = KubeConfig(
        server=f"http://127.0.0.1:{runner.addresses[0][1]}",
        ssl=None,
        credentials=Credentials(no_credentials, renew_after_s=1e9),
    )
    try:
        async with KubeClient(config, timeouts=Timeouts(watch_silence_s=0.2)) as client:
            yield client
    finally:
        await runner.cleanup()


async def test_the_copy_converges_whatever_the_server_does() -> None:
    """503, cuts inside an event, garbage, 410, 401 and silence delay the copy and lose nothing."""
    server = Misbehaving()

    async def briefly(_: float) -> None:
        await asyncio.sleep(0)

    async with serving(server) as client:
        informer = Informer(client, PODS, lambda raw: str(raw["metadata"]["name"]), sleep=briefly)
        task = asyncio.create_task(informer.run())
        async with asyncio.timeout(20):
            await server.quiet.wait()
            complete = asyncio.Event()
            informer.subscribe(
                lambda _: complete.set() if len(informer.items()) == len(server.pods) else None
            )
            await complete.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert sorted(informer.items()) == sorted(server.pods)
    # The first list, one for the 410, and one since a refusal may be about the version.
    assert server.lists == 3
