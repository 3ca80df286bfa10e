"""FakeKube behind HTTP, for tests of what is only there on the wire: headers, traces, metrics.

    async with HttpKube(fake).serving() as server, server.client() as api:
        ...
    server.asked    # each request that was no watch

It has what DANM's client asks for, no more: no pages, no subresources' own permissions.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from danm_api.errors import (
    ApiError,
    ConflictError,
    DanmError,
    InvalidObjectError,
    NotFoundError,
)
from danm_api.kube import api as kinds
from danm_api.kube.api import Answer, PatchType, RawObject, Resource
from danm_api.kube.client import KubeClient
from danm_api.kube.config import Credentials, KubeConfig
from danm_api.testing.fake_kube import FakeKube

_RESOURCES: Final = {
    (each.group, each.plural): each for each in vars(kinds).values() if isinstance(each, Resource)
}
_STATUS: Final[tuple[tuple[type[DanmError], int], ...]] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (InvalidObjectError, 422),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request.

    Attributes:
        traceparent: The header of that name; empty without one.
    """

    method: str
    resource: str
    name: str
    traceparent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """What a path names."""

    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""


class HttpKube:
    """Serves one FakeKube.

    Attributes:
        asked: All requests so far but watches.
        url: Where it serves.
    """

    def __init__(self, kube: FakeKube) -> None:
        """Serve this one."""
        self.kube = kube
        self.asked: list[Asked] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["HttpKube"]:
        """Serve on loopback for the time of the block."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    def client(self) -> KubeClient:
        """Return a client of it."""

        async def nobody() -> str | None:
            return None

        login = Credentials(nobody, renew_after_s=1e9)
        return KubeClient(KubeConfig(server=self.url, ssl=None, credentials=login))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        place = _place_of(request.path)
        if "watch" in request.query:
            return await self._watch(request, place)
        self.asked.append(
            Asked(
                method=request.method,
                resource=place.resource.plural,
                name=place.name,
                traceparent=request.headers.get("traceparent", ""),
            )
        )
        try:
            return _json(await self._do(request, place))
        except DanmError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            return _json({"kind": "Status", "code": status, "message": error.reason}, status)

    async def _do(self, request: web.Request, place: _Place) -> RawObject:
        body = await request.read()
        content: Any = msgspec.json.decode(body) if body else {}
        answer = Answer(request.headers.get("Accept", Answer.OBJECT))
        match request.method, place.name:
            case "GET", "":
                listed = await self.kube.list(
                    place.resource, namespace=place.namespace, **_selectors(request.query)
                )
                version = {"resourceVersion": listed.resource_version}
                return {"metadata": version, "items": listed.items}
            case "GET", name:
                return await self.kube.get(place.resource, name, namespace=place.namespace)
            case "POST", _:
                return await self.kube.create(
                    place.resource, content, namespace=place.namespace, answer=answer
                )
            case "PUT", _:
                return await self.kube.replace(
                    place.resource,
                    content,
                    namespace=place.namespace,
                    subresource=place.subresource,
                    answer=answer,
                )
            case "PATCH", name:
                return await self.kube.patch(
                    place.resource,
                    name,
                    content,
                    namespace=place.namespace,
                    patch_type=PatchType(request.content_type),
                    subresource=place.subresource,
                    answer=answer,
                )
        given = content.get("preconditions", {})
        await self.kube.delete(
            place.resource,
            place.name,
            namespace=place.namespace,
            uid=given.get("uid"),
            resource_version=given.get("resourceVersion"),
        )
        return {"kind": "Status", "status": "Success"}

    async def _watch(self, request: web.Request, place: _Place) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        watch = self.kube.watch(
            place.resource,
            resource_version=request.query["resourceVersion"],
            namespace=place.namespace,
            **_selectors(request.query),
        )
        # The client hangs up when it has heard enough.
        with suppress(ConnectionError, asyncio.CancelledError):
            try:
                async with aclosing(watch):
                    async for event in watch:
                        await response.write(_line(event.type, event.object))
            except ApiError as error:
                status = {"kind": "Status", "code": error.status, "message": error.reason}
                await response.write(_line("ERROR", status))
        return response


def _place_of(path: str) -> _Place:
    parts = path.strip("/").split("/")
    group = ""
    if parts.pop(0) == "apis":
        group = parts.pop(0)
    parts.pop(0)
    namespace = None
    match parts:
        case "namespaces", name, _, *_:
            namespace, parts = name, parts[2:]
    plural, name, subresource, *_ = (*parts, "", "")
    return _Place(
        resource=_RESOURCES[group, plural],
        namespace=namespace,
        name=name,
        subresource=subresource,
    )


def _selectors(query: Mapping[str, str]) -> dict[str, str]:
    return {
        "label_selector": query.get("labelSelector", ""),
        "field_selector": query.get("fieldSelector", ""),
    }


def _line(kind: str, raw: RawObject) -> bytes:
    return msgspec.json.encode({"type": kind, "object": raw}) + b"\n"


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
