"""Who asks for addresses: Pods on nodes, Pods with static addresses, and owners that are no Pods.

Everybody does the same again and again: comes, gets addresses, asks again now and then, and goes.
When a round closes, whoever has addresses stays.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from danm_api.ipam_api import AttachmentRequest, ExternalOwnerMessage
from danm_api.ipam_client import IpamClient
from tests.lab.chaos.caller import Caller
from tests.lab.chaos.danmd import Danmd
from tests.lab.chaos.history import End
from tests.lab.chaos.networks import (
    attachments_of_a_pod,
    attachments_of_a_tool,
    static_attachment,
)
from tests.lab.chaos.objects import NAMESPACE
from tests.lab.chaos.recorder import Recorder
from tests.lab.chaos.world import World
from tests.lab.errors import LabError

_NODES: Final = 4
_PODS_OF_NODE: Final = 8
_STATIC_PODS: Final = 3
_EXTERNAL_OWNERS: Final = 13

_EXPIRES_AFTER_S: Final = (1.5, 6.0)
# A replica may act on a message for as long as its sender would have waited, and a bit more.
_UNTIL_SENDS_ARE_DEAD_S: Final = 5.5
# Once nothing is broken any more; a busy machine needs some of it.
_ENDS_WITHIN_S: Final = 90.0


@dataclass(slots=True, kw_only=True)
class _Node:
    danmd: Danmd
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    comparing: asyncio.Task[None] | None = None


@dataclass(slots=True, kw_only=True)
class _External:
    """An external owner and every attempt of it that may have left something."""

    owner: ExternalOwnerMessage
    attachments: Sequence[AttachmentRequest]
    sent: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Crowd:
    """Everybody who asks.

    Attributes:
        tool: Through which external owners ask.
        keeps_s: How long an owner keeps what it has, at most, before it does something else.
        times: How many times as many Pods and external owners as usual.
    """

    world: World
    recorder: Recorder
    seed: int
    tool: Caller
    keeps_s: float
    times: int = 1
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _nodes: dict[str, _Node] = field(default_factory=dict)
    _others: list[asyncio.Task[None]] = field(default_factory=list)
    _stayed: list[_External] = field(default_factory=list)
    _clients: list[IpamClient] = field(default_factory=list)
    _names: int = 0

    async def come(self) -> None:
        """Let everybody begin."""
        for _ in range(_NODES):
            await self._add_node()
        for number in range(_EXTERNAL_OWNERS * self.times):
            self._others.append(_start(self._external_owners(number)))
        for number in range(_STATIC_PODS):
            self._others.append(_start(self._static_pods(number)))

    def failure(self) -> BaseException | None:
        """Return why somebody's work has failed: then the run is worth nothing."""
        for task in self._tasks():
            if task.done() and not task.cancelled() and task.exception() is not None:
                return task.exception()
        return None

    def close(self) -> None:
        """Let everybody who has addresses stay, and everybody else come to an end."""
        self._closing.set()

    async def closed(self) -> None:
        """Wait until only those are left who stay; no node may be lost meanwhile.

        Raises:
            LabError: Somebody does not come to an end.
        """
        tasks = list(self._tasks())
        _, late = await asyncio.wait(tasks, timeout=_ENDS_WITHIN_S)
        if late:
            raise LabError(f"{len(late)} callers get no answer although nothing is broken")
        for task in tasks:
            task.result()

    async def leave(self) -> None:
        """Let those who stayed give back what they have.

        Raises:
            LabError: ipam-svc does not take it.
        """
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await self._leave()
        except TimeoutError as error:
            raise LabError("ipam-svc takes nothing back although nothing is broken") from error

    async def _leave(self) -> None:
        pods = [(node.danmd, uid) for node in self._nodes.values() for uid in node.danmd.journal]
        await asyncio.gather(
            *(self._remove(danmd, uid) for danmd, uid in pods),
            *(self._give_back(each) for each in self._stayed),
        )

    async def end(self) -> None:
        """End all that runs, in whatever state."""
        tasks = [*self._tasks()]
        tasks += [node.comparing for node in self._nodes.values() if node.comparing]
        await _cancel(tasks)
        for client in self._clients:
            await client.close()

    async def lose_node(self, *, gone: bool) -> str:
        """Lose the oldest node with all its Pods; another one comes. Return its name."""
        # First: where all are lost at once, Pods have a place nevertheless.
        await self._add_node()
        name, node = next(iter(self._nodes.items()))
        del self._nodes[name]
        node.danmd.lost = True
        # At once: a Pod that is leaving forgets what it has, and gives nothing back any more.
        pods = [sandbox.owner for sandbox in node.danmd.journal.values()]
        for owner in pods:
            self.recorder.add(End(owner=owner.uid, at=self.recorder.now()))
        await _cancel([*node.tasks, *([node.comparing] if node.comparing else [])])
        await self.world.objects.lose_node(name, gone=gone)
        for owner in pods:
            await self.world.objects.remove_pod(owner.name)
        return name

    async def _add_node(self) -> None:
        name = self._name("node")
        token = await self.world.objects.add_node(name)
        client = client_of(self.world, token)
        self._clients.append(client)
        node = _Node(danmd=Danmd(node=name, caller=Caller(client=client, recorder=self.recorder)))
        node.tasks = [
            _start(self._pods(node.danmd, self._chance(f"{name}/{number}")))
            for number in range(_PODS_OF_NODE * self.times)
        ]
        node.comparing = _start(node.danmd.compare_for_ever())
        self._nodes[name] = node

    async def _pods(self, danmd: Danmd, chance: Random) -> None:
        """Be one Pod after the other on a node."""
        while not self._is_over():
            attachments = attachments_of_a_pod(chance)
            name = self._name("pod")
            owner = await self.world.objects.run_pod(name, danmd.node, attachments)
            if await danmd.add(owner, attachments, fresh=chance.random() < 0.7):
                while await self._keeps(chance) and chance.random() < 0.4:
                    older = danmd.journal[owner.uid].attempt
                    again = await danmd.add(owner, attachments, fresh=False)
                    if again and chance.random() < 0.5:
                        # What a frozen danmd would have sent long ago.
                        await danmd.caller.release(
                            owner, attachments, attempt=older, node=danmd.node
                        )
                if self._closing.is_set():
                    return
                await self._remove(danmd, owner.uid)
            else:
                await self.world.objects.remove_pod(name)

    async def _static_pods(self, number: int) -> None:
        """Be a Pod of a StatefulSet: the same name and address, again and again, on any node."""
        chance = self._chance(f"static/{number}")
        attachment = static_attachment(number)
        name = f"web-{number}"
        while not self._is_over():
            danmd = chance.choice(list(self._nodes.values())).danmd
            owner = await self.world.objects.run_pod(name, danmd.node, [attachment])
            while not await danmd.add(owner, [attachment], fresh=False):
                if self._is_over() or danmd.node not in self._nodes:
                    break
            else:
                await self._keeps(chance)
                if self._closing.is_set():
                    return
            if danmd.node in self._nodes and owner.uid in danmd.journal:
                await self._remove(danmd, owner.uid)
            else:
                await self.world.objects.remove_pod(name)

    async def _external_owners(self, number: int) -> None:
        """Be one external owner after the other."""
        chance = self._chance(f"external/{number}")
        while not self._is_over():
            expires, until = self._expiry(chance)
            owner = ExternalOwnerMessage(
                namespace=NAMESPACE, name=self._name("tool"), reason="chaos", expires=expires
            )
            each = _External(owner=owner, attachments=attachments_of_a_tool(chance))
            outcome = await self.tool.reserve(
                owner, each.attachments, fresh=True, until=until, note=each.sent.append
            )
            if outcome.answer == "held":
                while await self._keeps(chance) and expires is None and chance.random() < 0.4:
                    again = await self.tool.reserve(owner, each.attachments, note=each.sent.append)
                    if again.answer == "held" and chance.random() < 0.5:
                        await self.tool.release(owner, each.attachments, attempt=each.sent[0])
                if self._closing.is_set():
                    self._stayed.append(each)
                    return
            if expires is None or chance.random() < 0.5:
                await self._give_back(each)

    async def _give_back(self, each: _External) -> None:
        """Release every attempt that may have left something, the latest one first.

        What was sent without an answer has to be dead by then (services/ipam-svc/README.md).
        """
        if len(each.sent) > 1:
            await asyncio.sleep(_UNTIL_SENDS_ARE_DEAD_S)
        for attempt in sorted(each.sent, reverse=True):
            await self.tool.release_for_sure(each.owner, each.attachments, attempt=attempt)

    async def _remove(self, danmd: Danmd, uid: str) -> None:
        await self.world.objects.remove_pod(danmd.journal[uid].owner.name)
        await danmd.delete(uid)

    async def _keeps(self, chance: Random) -> bool:
        """Keep what one has for a while; return whether the round goes on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(chance.uniform(0, self.keeps_s)):
                await self._closing.wait()
        return not self._is_over()

    def _is_over(self) -> bool:
        return self._closing.is_set()

    def _expiry(self, chance: Random) -> tuple[datetime | None, float | None]:
        if chance.random() < 0.75:
            return None, None
        after_s = chance.uniform(*_EXPIRES_AFTER_S)
        # Read first: if the machine pauses here, the owner counts on less time than it has.
        until = self.recorder.now() + after_s
        return datetime.now(tz=UTC) + timedelta(seconds=after_s), until

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}-{self.seed}-{self._names}"

    def _chance(self, who: str) -> Random:
        return Random(f"{self.seed}/{who}")  # noqa: S311  (nothing secret)

    def _tasks(self) -> Iterator[asyncio.Task[None]]:
        yield from list(self._others)
        for node in list(self._nodes.values()):
            yield from node.tasks


def client_of(world: World, token: str) -> IpamClient:
    """Return a client that asks all replicas, with a token."""
    return IpamClient(world.endpoints, lambda: world.ca, lambda: token)


def _start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work)


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
