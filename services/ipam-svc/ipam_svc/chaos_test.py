"""Many owners, several replicas, failing and stalling writes: no live owner loses its address.

The checker knows nothing of the implementation: it has what callers were answered, and the record.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from danm_api.codec.ip_block import decode_ip_block
from danm_api.errors import ApiUnavailableError, DanmError, PoolExhaustedError, StaleAttemptError
from danm_api.ipam_api import PodOwnerMessage
from danm_api.kube.api import DANMIPBLOCKS, WatchType
from danm_api.record.entries import held_entries
from danm_api.testing.fake_plans import Gate
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod

_NODE = "n1"
_POOL = {"start": "10.0.0.60", "end": "10.0.0.75"}
_POOL_SIZE = 16


@dataclass(slots=True, kw_only=True)
class _Owner:
    """What one owner knows: its journal.

    Attributes:
        address: What it was answered and has not begun to give back.
        attempt: Of the answer.
    """

    message: PodOwnerMessage
    address: str = ""
    attempt: int = 0


@dataclass(slots=True, kw_only=True)
class _Run:
    cluster: Cluster
    replicas: Sequence[Replica]
    chance: random.Random
    owners: list[_Owner] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    used: list[int] = field(default_factory=lambda: [0])

    async def watch(self) -> None:
        """Write down how many addresses were held after each change."""
        blocks: dict[str, int] = {}
        version = "1"
        while True:
            async for event in self.cluster.kube.watch(DANMIPBLOCKS, resource_version=version):
                version = event.object["metadata"]["resourceVersion"]
                if event.type is WatchType.BOOKMARK:
                    continue
                block = decode_ip_block(event.object)
                gone = event.type is WatchType.DELETED
                blocks[block.name] = 0 if gone else len(held_entries(block))
                self.used.append(sum(blocks.values()))
            await asyncio.sleep(0)

    async def live(self, owner: _Owner, rounds: int) -> None:
        """Reserve, ask again, release, in any order, for a while."""
        for _ in range(rounds):
            if owner.address and self.chance.random() < 0.5:
                await self._release(owner)
            else:
                await self._reserve(owner)
            self.check()
            self._disturb()

    async def _reserve(self, owner: _Owner) -> None:
        attempt = self.cluster.next_attempt()
        begin = len(self.used)
        try:
            (answer,) = await self.cluster.reserve(
                self.chance.choice(self.replicas), owner.message, attachment(), attempt=attempt
            )
        except PoolExhaustedError:
            # At some moment since the request began the pool must have been full.
            await eventually(lambda: self.used[-1] == len(self.cluster.held()))
            assert max(self.used[max(0, begin - 1) :]) == _POOL_SIZE
            return
        except (DanmError, TimeoutError):
            return
        if owner.address:
            assert answer.ip == owner.address, "a repeated request gave another address"
        owner.address, owner.attempt = answer.ip or "", attempt

    async def _release(self, owner: _Owner) -> None:
        attempt, owner.address = owner.attempt, ""
        try:
            await self.cluster.release(
                self.chance.choice(self.replicas), owner.message, attempt=attempt
            )
        except DanmError:
            return

    def check(self) -> None:
        """Make sure that whoever was answered an address holds it in the record."""
        record = {
            f"{entry.address}/24": (entry.owner, entry.attempt) for entry in self.cluster.held()
        }
        for owner in self.owners:
            if owner.address:
                holder, attempt = record[owner.address]
                assert (holder.namespace, getattr(holder, "uid", "")) == (
                    NAMESPACE,
                    owner.message.uid,
                )
                assert attempt >= owner.attempt

    def _disturb(self) -> None:
        kube = self.cluster.kube
        what = self.chance.random()
        if what < 0.1:
            kube.fail_next(
                self.chance.choice(["replace", "create", "get", "list"]),
                DANMIPBLOCKS,
                ApiUnavailableError("lost", status=0),
                times=self.chance.choice([1, 1, 3]),
                took_effect=self.chance.random() < 0.5,
            )
        elif what < 0.15 and len(self.gates) < 2:
            self.gates.append(kube.hold_next("replace", DANMIPBLOCKS))
        elif what < 0.3 and self.gates:
            self.gates.pop(0).open()
        elif what < 0.35:
            kube.end_watches()


@pytest.mark.parametrize("seed", range(6))
async def test_no_live_owner_loses_its_address(seed: int) -> None:
    """Whatever fails when, an answered address stays its owner's until the owner gives it back."""
    # DESIGN P1, P3; SPEC G7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running(3) as replicas:
        run = _Run(cluster=cluster, replicas=replicas, chance=random.Random(seed))
        run.owners = [_Owner(message=pod(f"p{i}")) for i in range(20)]

        async def open_gates() -> None:
            """Wake the frozen ones up now and then, so that the run ends."""
            while True:
                for _ in range(200):
                    await asyncio.sleep(0)
                while run.gates:
                    run.gates.pop(0).open()

        waking = asyncio.create_task(open_gates())
        watching = asyncio.create_task(run.watch())
        await asyncio.gather(*(run.live(owner, 25) for owner in run.owners))
        for replica in replicas:
            await replica.close()
        run.check()
        await _compare_node(run)
        live = {owner.address for owner in run.owners if owner.address}
        assert {f"{address}/24" for address in cluster.addresses()} == live
        waking.cancel()
        watching.cancel()


async def _compare_node(run: _Run) -> None:
    """Do what danmd does every 10 s: release the entries that no journal knows."""
    journal = {owner.message.uid: owner for owner in run.owners}
    for entry in run.cluster.held():
        uid = str(getattr(entry.owner, "uid", ""))
        owner = journal[uid]
        if f"{entry.address}/24" == owner.address:
            continue
        for _ in range(20):
            try:
                await run.cluster.release(
                    run.replicas[0], owner.message, attempt=entry.attempt, node=_NODE
                )
                break
            except (ApiUnavailableError, StaleAttemptError):
                continue
