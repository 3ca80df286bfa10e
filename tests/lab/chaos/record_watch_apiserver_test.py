"""The record as etcd itself has it."""

import base64
from pathlib import Path

import aiohttp
import msgspec
import pytest

from danm_api.codec.ip_block import encode_ip_block
from danm_api.testing.builders import a_block, a_held_entry
from tests.ipam.cluster import eventually
from tests.lab.apiserver import ApiServer
from tests.lab.chaos.record_watch import RecordWatch, following

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


class _Etcd:
    """Etcd's HTTP gateway."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        """Remember where it is."""
        self._url = url
        self._session = session

    async def call(self, path: str, **request: object) -> tuple[int, str]:
        """Return status and body of an answer."""
        async with self._session.post(f"{self._url}/v3/kv/{path}", json=request) as answer:
            return answer.status, await answer.text()

    async def put(self, name: str, address: str) -> None:
        """Write a block that holds an address, as the API server does."""
        key = f"/registry/danm.k8s.io/danmipblocks/ns/{name}".encode()
        value = msgspec.json.encode(encode_ip_block(a_block(address, a_held_entry(address))))
        texts = {"key": base64.b64encode(key).decode(), "value": base64.b64encode(value).decode()}
        assert (await self.call("put", **texts))[0] == 200


async def _seen(watch: RecordWatch, address: str) -> None:
    async def is_seen() -> bool:
        return address in {each.address for each in watch.held()}

    await eventually(is_seen, within_s=30)


async def test_the_past_is_dropped_and_nothing_is_missed(tmp_path: Path) -> None:
    """Etcd stays small however long a run is, and who follows it goes on."""
    with ApiServer.start(tmp_path) as server:
        async with following(server.etcd_url) as watch, aiohttp.ClientSession() as session:
            etcd = _Etcd(server.etcd_url, session)
            await etcd.put("first", "10.0.0.1")
            await _seen(watch, "10.0.0.1")
            await watch.forget()
            key = base64.b64encode(b"/").decode()
            status, body = await etcd.call("range", key=key, revision=2)
            assert (status, "compacted" in body) == (400, True)
            await etcd.put("second", "10.0.0.2")
            await _seen(watch, "10.0.0.2")
            assert watch.failure is None
