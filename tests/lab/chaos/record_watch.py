"""Follows the record in etcd itself: every change, in order, whatever becomes of the API server."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec

from danm_api.codec.ip_block import decode_ip_block
from danm_api.model.ip_block import ExternalOwner, Held, IPBlock, PodOwner
from tests.lab.chaos.etcd import forget_history
from tests.lab.chaos.history import Entry, Seen
from tests.lab.chaos.recorder import Recorder
from tests.lab.errors import LabError

_PREFIX: Final = b"/registry/danm.k8s.io/danmipblocks/"
# The last byte of the prefix plus one ends the range (etcd's convention).
_PREFIX_END: Final = _PREFIX[:-1] + bytes([_PREFIX[-1] + 1])
_RETRY_S: Final = 0.05
# A stream of an etcd that was restarted may never say anything again; asking anew costs nothing.
_SILENCE_S: Final = 3.0
_LARGEST_LINE: Final = 64 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class RecordWatch:
    """What etcd has of the DanmIPBlocks, and the history that it becomes part of.

    Attributes:
        url: Of etcd's HTTP gateway.
        failure: Why nothing is seen any more.
        recorder: Gets the changes; each round has another one.
    """

    url: str
    recorder: Recorder | None = None
    failure: LabError | None = None
    _revision: int = 1
    _blocks: dict[str, tuple[str, dict[str, tuple[str, int]]]] = field(default_factory=dict)

    async def run(self) -> None:
        """Follow until cancelled; ``failure`` says why it ended before."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=1.0, sock_read=_SILENCE_S),
            read_bufsize=_LARGEST_LINE,
        ) as session:
            while True:
                # It fails while etcd is being restarted, and when there is no news.
                with suppress(aiohttp.ClientError, OSError, TimeoutError):
                    await self._follow(session)
                await asyncio.sleep(_RETRY_S)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        request = {
            "create_request": {
                "key": base64.b64encode(_PREFIX).decode(),
                "range_end": base64.b64encode(_PREFIX_END).decode(),
                "start_revision": self._revision,
            }
        }
        async with session.post(f"{self.url}/v3/watch", json=request) as response:
            async for line in response.content:
                result = msgspec.json.decode(line).get("result")
                if result is None:
                    return
                if "compact_revision" in result:
                    self.failure = LabError("etcd has dropped changes that nobody had seen")
                    raise self.failure
                for event in result.get("events", ()):
                    self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        pair = event["kv"]
        key = base64.b64decode(pair["key"]).decode()
        network, before = self._blocks.get(key, ("", {}))
        after: dict[str, tuple[str, int]] = {}
        if event.get("type") == "DELETE":
            self._blocks.pop(key, None)
        else:
            raw = msgspec.json.decode(base64.b64decode(pair["value"]))
            block = decode_ip_block(raw)
            network, after = str(block.network), held_in(block)
            self._blocks[key] = (network, after)
        self._revision = max(self._revision, int(pair["mod_revision"]) + 1)
        if self.recorder is None:
            return
        now = self.recorder.now()
        for address in before.keys() | after.keys():
            if before.get(address) == after.get(address):
                continue
            holder, attempt = after.get(address, ("", 0))
            self.recorder.add(
                Seen(network=network, address=address, at=now, holder=holder, attempt=attempt)
            )

    async def forget(self) -> None:
        """Have etcd drop what has been seen of the past.

        An API server has that done every five minutes of its life; one that is killed more often
        never does, and etcd refuses all writes once it has 2 GB (some 900,000 operations).

        Raises:
            LabError: etcd does not do it.
        """
        await forget_history(self.url, self._revision - 1)

    def held(self) -> set[Entry]:
        """Return the whole record as it was seen last."""
        return {
            Entry(network=network, address=address, holder=holder, attempt=attempt)
            for network, block in self._blocks.values()
            for address, (holder, attempt) in block.items()
        }


@asynccontextmanager
async def following(url: str) -> AsyncIterator[RecordWatch]:
    """Follow the record for the time of the block, from the beginning of etcd's life."""
    watch = RecordWatch(url=url)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.wait((task,))


def held_in(block: IPBlock) -> dict[str, tuple[str, int]]:
    """Return who holds what under which attempt in a block."""
    return {
        str(entry.address): (_holder(entry), entry.attempt)
        for entry in block.entries
        if isinstance(entry, Held)
    }


def _holder(entry: Held) -> str:
    owner = entry.owner
    match owner:
        case PodOwner():
            return f"{owner.uid}/{owner.interface}"
        case ExternalOwner():
            return f"{owner.namespace}/{owner.name}"
    raise AssertionError(owner)
