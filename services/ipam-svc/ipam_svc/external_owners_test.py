"""External owners under failing and stalling writes: nobody compares what they hold.

So a reserve whose outcome is not known must take no effect after its release (DESIGN, "Who may").
"""

import asyncio
import random
from collections.abc import Sequence

import pytest

from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    DanmError,
    DeadlineExceededError,
    PoolExhaustedError,
)
from danm_api.ipam_api import AttachmentAnswer, ExternalOwnerMessage
from danm_api.kube.api import DANMIPBLOCKS, EVENTS
from danm_api.record.entries import held_entries
from danm_api.testing.fake_plans import Gate
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod
from ipam_svc.testing.lease import Lease

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


@pytest.fixture()
def printer() -> ExternalOwnerMessage:
    """Return an owner."""
    return ExternalOwnerMessage(namespace=NAMESPACE, name="printer")


def _two_networks() -> Cluster:
    cluster = Cluster()
    cluster.add_network("lan", cidr="10.0.0.0/24")
    cluster.add_network("san", cidr="10.0.1.0/32")
    return cluster


async def test_a_move_that_fails_costs_the_owner_nothing(printer: ExternalOwnerMessage) -> None:
    """As long as a request may fail, what its owner had before is not dead."""
    # SPEC I2; DESIGN P3
    cluster = _two_networks()
    async with cluster.running(2) as (replica, holder):
        await cluster.reserve(replica, pod("other"), attachment("san"))
        await cluster.reserve(
            replica, printer, attachment("lan", interface=""), attempt=100, node=""
        )
        looking, proving = (cluster.kube.hold_next("list", DANMIPBLOCKS) for _ in range(2))
        moving = asyncio.create_task(
            cluster.reserve(
                replica,
                printer,
                attachment("lan", interface="", ip="10.0.0.50/24"),
                attachment("san", interface=""),
                attempt=101,
                node="",
            )
        )
        await looking.reached.wait()
        looking.open()
        await proving.reached.wait()
        await eventually(lambda: len(holder.ledger.dead_doubles(cluster.network("lan").uid)) == 0)
        assert cluster.addresses() == ["10.0.0.1", "10.0.0.50", "10.0.1.0"]
        lease = Lease(cluster, holder)
        await lease.round()
        assert cluster.addresses() == ["10.0.0.1", "10.0.0.50", "10.0.1.0"]
        proving.open()
        with pytest.raises(PoolExhaustedError):
            await moving
        assert cluster.addresses() == ["10.0.0.1", "10.0.1.0"]
        await lease.round()
        assert cluster.addresses() == ["10.0.0.1", "10.0.1.0"]


async def _leave_something(cluster: Cluster, replica: Replica, owner: ExternalOwnerMessage) -> None:
    """Have a move fail that cannot take back what it took, and its repetition refused as well."""
    asked = [
        attachment("lan", interface="", ip="10.0.0.50/24"),
        attachment("san", interface=""),
    ]
    await cluster.reserve(replica, pod("other"), attachment("san"))
    await cluster.reserve(replica, owner, attachment("lan", interface=""), attempt=100, node="")
    looking, proving = (cluster.kube.hold_next("list", DANMIPBLOCKS) for _ in range(2))
    moving = asyncio.create_task(cluster.reserve(replica, owner, *asked, attempt=101, node=""))
    await looking.reached.wait()
    looking.open()
    await proving.reached.wait()
    cluster.kube.fail_next("replace", DANMIPBLOCKS, ApiError("refused", status=403))
    proving.open()
    with pytest.raises(PoolExhaustedError):
        await moving
    with pytest.raises(PoolExhaustedError):
        await cluster.reserve(replica, owner, *asked, attempt=102, node="")
    await Lease(cluster, replica).round()
    assert cluster.addresses() == ["10.0.0.1", "10.0.0.50", "10.0.1.0"]


async def test_what_a_failed_move_leaves_behind_goes_and_not_what_its_owner_has(
    printer: ExternalOwnerMessage,
) -> None:
    """Neither a replica that ends in the middle nor a retry that is refused costs the address."""
    # DESIGN P2, P3
    cluster = _two_networks()
    async with cluster.running() as (replica,):
        await _leave_something(cluster, replica, printer)
        cluster.clock.seconds += 60
        await Lease(cluster, replica).round()
        assert cluster.addresses() == ["10.0.0.1", "10.0.1.0"]
        (event,) = cluster.kube.all_stored(EVENTS)
        assert (event["reason"], event["regarding"]["name"]) == ("FreedUnfinishedAddress", "lan")


async def test_whoever_asks_for_any_keeps_what_it_was_told_of(
    printer: ExternalOwnerMessage,
) -> None:
    """What a failed move has left behind is later, and nobody's."""
    # SPEC G7; DESIGN P3
    cluster = _two_networks()
    anything = attachment("lan", interface="")
    async with cluster.running() as (replica,):
        await _leave_something(cluster, replica, printer)
        (answer,) = await cluster.reserve(replica, printer, anything, attempt=103, node="")
        assert answer.ip == "10.0.0.1/24"
        assert cluster.addresses() == ["10.0.0.1", "10.0.1.0"]


async def test_a_move_is_one_for_whoever_asks_again(printer: ExternalOwnerMessage) -> None:
    """The new address is the owner's when it is told so, and the one before is free."""
    # SPEC G7
    cluster = _two_networks()
    anything = attachment("lan", interface="")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, printer, anything, attempt=1, node="")
        await cluster.reserve(
            replica,
            printer,
            attachment("lan", interface="", ip="10.0.0.50/24"),
            attempt=2,
            node="",
        )
        assert cluster.addresses() == ["10.0.0.50"]
        (answer,) = await cluster.reserve(replica, printer, anything, attempt=3, node="")
        assert answer.ip == "10.0.0.50/24"
        cluster.clock.seconds += 60
        await Lease(cluster, replica).round()
        assert cluster.addresses() == ["10.0.0.50"]


async def test_a_move_that_was_given_up_for_lost_does_not_succeed(
    printer: ExternalOwnerMessage,
) -> None:
    """Whoever is told of an address has it, also after somebody has freed what seemed left over."""
    # DESIGN P1
    cluster = _two_networks()
    async with cluster.running(2) as (replica, holder):
        await cluster.reserve(replica, printer, attachment("lan", interface=""), attempt=1, node="")
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS, took_effect=True)
        moving = asyncio.create_task(
            cluster.reserve(
                replica,
                printer,
                attachment("lan", interface="", ip="10.0.0.50/24"),
                attempt=2,
                node="",
                timeout_s=300,
            )
        )
        await gate.reached.wait()
        await eventually(lambda: "10.0.0.50" in _addresses_of(holder))
        cluster.clock.seconds += 60
        await Lease(cluster, holder).round()
        assert cluster.addresses() == ["10.0.0.1"]
        gate.open()
        with pytest.raises(DanmError) as caught:
            await moving
        assert caught.value.transient
        assert cluster.addresses() == ["10.0.0.1"]


def _addresses_of(replica: Replica) -> list[str]:
    return [
        str(entry.address) for block in replica.ledger.all_blocks() for entry in held_entries(block)
    ]


async def test_caller_of_a_move_that_hung_up_keeps_an_address(
    printer: ExternalOwnerMessage,
) -> None:
    """What it had is free by then, so what it has now is not given back."""
    # DESIGN P3
    cluster = _two_networks()
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, printer, attachment("lan", interface=""), attempt=1, node="")
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS)
        gone = asyncio.create_task(
            cluster.reserve(
                replica,
                printer,
                attachment("lan", interface="", ip="10.0.0.50/24"),
                attempt=2,
                node="",
            )
        )
        await gate.reached.wait()
        gone.cancel()
        await asyncio.wait((gone,))
        gate.open()
        await replica.close()
        assert cluster.addresses() == ["10.0.0.50"]


async def test_an_attempt_that_is_sent_twice_gives_back_only_what_it_took(
    printer: ExternalOwnerMessage,
) -> None:
    """What the first send has got, its caller was told of: a second one that fails leaves it."""
    # SPEC I2; DESIGN P3
    cluster = _two_networks()
    mine, full = attachment("lan", interface=""), attachment("aaa", interface="")
    cluster.add_network("aaa", cidr="10.0.2.0/32")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("other"), attachment("aaa"))
        await cluster.reserve(replica, printer, mine, attempt=1, node="")
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, printer, full, mine, attempt=1, node="")
        assert cluster.addresses() == ["10.0.0.1", "10.0.2.0"]
        # As it is repeated when its answer was lost; and nothing can be proven now.
        away = ApiUnavailableError("silent", status=0)
        cluster.kube.fail_next("get", DANMIPBLOCKS, away, times=200)
        with pytest.raises(DeadlineExceededError):
            await cluster.reserve(replica, printer, mine, attempt=1, node="", timeout_s=2)
        cluster.kube.fail_no_more()
        assert cluster.addresses() == ["10.0.0.1", "10.0.2.0"]
        again = await cluster.reserve(replica, printer, mine, attempt=1, node="")
        assert [each.ip for each in again] == ["10.0.0.1/24"]


async def test_a_network_that_was_not_come_to_is_left_alone(printer: ExternalOwnerMessage) -> None:
    """What has got there meanwhile is another send's, also of the same attempt."""
    # SPEC I2; DESIGN P3
    cluster = _two_networks()
    async with cluster.running(2) as (replica, other):
        gate = cluster.kube.hold_next("create", DANMIPBLOCKS)
        slow = asyncio.create_task(
            cluster.reserve(
                replica,
                printer,
                attachment("lan", interface="", ip="10.0.0.7/24"),
                attachment("san", interface=""),
                attempt=1,
                node="",
                timeout_s=2,
            )
        )
        await gate.reached.wait()
        await cluster.reserve(other, printer, attachment("san", interface=""), attempt=1, node="")
        cluster.clock.seconds += 3
        gate.open()
        with pytest.raises(DeadlineExceededError):
            await slow
        await replica.close()
        assert cluster.addresses() == ["10.0.1.0"]


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
