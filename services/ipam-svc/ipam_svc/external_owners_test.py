"""External owners under failing and stalling writes: nobody compares what they hold.

So a reserve whose outcome is not known must take no effect after its release (DESIGN, "Who may").
"""

import asyncio
import random
from collections.abc import Sequence

import pytest

from danm_api.errors import ApiUnavailableError, DanmError, PoolExhaustedError
from danm_api.ipam_api import AttachmentAnswer, ExternalOwnerMessage
from danm_api.kube.api import DANMIPBLOCKS
from danm_api.testing.fake_plans import Gate
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment

# Two blocks.
_POOL = {"start": "10.0.0.60", "end": "10.0.0.75"}
# Turns of the event loop: more than an undisturbed reserve takes.
_PATIENCE = 200


class _Tool:
    """One owner: it reserves, and gives back what it got or may have got."""

    def __init__(self, cluster: Cluster, replicas: Sequence[Replica], seed: str) -> None:
        self.cluster = cluster
        self.replicas = replicas
        self.chance = random.Random(seed)
        self.owner = ExternalOwnerMessage(namespace=NAMESPACE, name=f"tool-{seed}")
        self.address = ""
        self.attempt = 0
        self.given_up: list[asyncio.Task[list[AttachmentAnswer]]] = []

    async def live(self, rounds: int, gates: list[Gate]) -> None:
        for _ in range(rounds):
            if self.address:
                self.address = ""
                await self.release()
            else:
                await self.reserve()
            self.disturb(gates)

    async def reserve(self) -> None:
        self.attempt = self.cluster.next_attempt()
        asked = asyncio.create_task(
            self.cluster.reserve(
                self.chance.choice(self.replicas),
                self.owner,
                attachment(interface=""),
                attempt=self.attempt,
                node="",
            )
        )
        for _ in range(_PATIENCE):
            await asyncio.sleep(0)
            if asked.done():
                break
        else:
            # The replica hears nothing of that: the connection is lost without a word.
            self.given_up.append(asked)
            await self.make_sure()
            return
        try:
            (answer,) = asked.result()
        except PoolExhaustedError:
            return
        except DanmError:
            await self.make_sure()
            return
        self.address = (answer.ip or "").split("/")[0]

    async def make_sure(self) -> None:
        """Release what may have been taken, after its time."""
        self.cluster.clock.seconds += 6
        await self.release()

    async def release(self) -> None:
        for _ in range(100):
            try:
                await self.cluster.release(
                    self.chance.choice(self.replicas), self.owner, attempt=self.attempt, node=""
                )
            except DanmError:
                continue
            return
        pytest.fail("no release was answered")

    def disturb(self, gates: list[Gate]) -> None:
        kube, what = self.cluster.kube, self.chance.random()
        if what < 0.15:
            kube.fail_next(
                self.chance.choice(["replace", "create", "get", "list"]),
                DANMIPBLOCKS,
                ApiUnavailableError("lost", status=0),
                times=self.chance.choice([1, 1, 3, 12]),
                took_effect=self.chance.random() < 0.5,
            )
        elif what < 0.25 and len(gates) < 2:
            gates.append(kube.hold_next("replace", DANMIPBLOCKS))
        elif what < 0.3:
            kube.end_watches()


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_released_stays_free(seed: int) -> None:
    """When all is quiet again exactly those addresses are held that owners were answered."""
    # DESIGN P1, P2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running(3) as replicas:
        tools = [_Tool(cluster, replicas, f"{seed}-{i}") for i in range(12)]
        gates: list[Gate] = []

        async def wake_up() -> None:
            while True:
                for _ in range(5 * _PATIENCE):
                    await asyncio.sleep(0)
                while gates:
                    gates.pop(0).open()

        waking = asyncio.create_task(wake_up())
        await asyncio.gather(*(tool.live(30, gates) for tool in tools))
        await asyncio.gather(
            *(asked for tool in tools for asked in tool.given_up), return_exceptions=True
        )
        for replica in replicas:
            await replica.close()
        waking.cancel()
        assert sorted(tool.address for tool in tools if tool.address) == cluster.addresses()
