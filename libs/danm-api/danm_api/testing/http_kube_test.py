"""FakeKube over HTTP is FakeKube: the client hears the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from danm_api.errors import ApiError, ConflictError, NotFoundError
from danm_api.kube.api import DANMNETS, PODS, WatchEvent, WatchType
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.http_kube import HttpKube

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}}


async def test_objects_come_and_go() -> None:
    """Create, read, write, patch, list and delete, each with its guard."""
    async with HttpKube(FakeKube()).serving() as server, server.client() as api:
        created = await api.create(PODS, POD, namespace="ns")
        assert await api.get(PODS, "p", namespace="ns") == created
        with pytest.raises(ConflictError):
            await api.create(PODS, POD, namespace="ns")
        patched = await api.patch(PODS, "p", {"metadata": {"labels": {"app": "x"}}}, namespace="ns")
        with pytest.raises(ConflictError):
            await api.replace(PODS, created, namespace="ns")
        assert (await api.list(PODS, label_selector="app=x")).items == [patched]
        assert (await api.list(PODS, label_selector="app=y")).items == []
        await api.delete(PODS, "p", namespace="ns")
        with pytest.raises(NotFoundError):
            await api.get(PODS, "p", namespace="ns")
    assert [each.method for each in server.asked[:3]] == ["POST", "GET", "POST"]


async def _all_of(watch: AsyncIterator[WatchEvent]) -> None:
    async for _ in watch:
        pass


async def test_changes_are_heard() -> None:
    """A watch tells what comes, and that the past is forgotten."""
    fake = FakeKube()
    async with asyncio.timeout(10), HttpKube(fake).serving() as server, server.client() as api:
        watch = api.watch(DANMNETS, resource_version="0")
        async with aclosing(watch):
            fake.add(DANMNETS, {"metadata": {"name": "net", "namespace": "ns"}})
            event = await anext(watch)
            assert event.type is WatchType.ADDED
            assert event.object["metadata"]["name"] == "net"
            fake.add(DANMNETS, {"metadata": {"name": "other", "namespace": "ns"}})
            fake.compact()
            with pytest.raises(ApiError) as caught:
                await _all_of(watch)
        assert caught.value.status == 410
