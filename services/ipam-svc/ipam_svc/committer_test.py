"""Group commit on a store that refuses, stalls and loses answers."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from prometheus_client import REGISTRY

from danm_api.errors import (
    ApiUnavailableError,
    ConflictError,
    DanmError,
    DeadlineExceededError,
    InvalidObjectError,
    NotFoundError,
    OverloadedError,
)
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import IPBlock, PodOwner, owner_key
from danm_api.names import InterfaceName, Namespace, NetworkName, NetworkUid, NodeName, PodUid
from danm_api.record.entries import held_entries
from danm_api.telemetry import correlated, current_request_ids, extract, span
from danm_api.testing.recorded_traces import recorded
from ipam_svc.address_space import AddressSpace
from ipam_svc.block_change import (
    Change,
    Contended,
    GaveBack,
    GiveBack,
    Seal,
    Sealed,
    TakeAny,
    TakeExact,
    Took,
)
from ipam_svc.block_ref import BlockRef
from ipam_svc.committer import Committer
from ipam_svc.ledger import Ledger
from ipam_svc.store import BlockList, KnownBlock, nothing_known

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_START = int(ip_address("10.0.0.0"))
_REF = BlockRef(
    namespace=Namespace("ns"),
    network=NetworkName("net"),
    network_uid=NetworkUid("uid"),
    version=4,
    start=_START,
)


class _Store:
    """One block in memory; refuses a write that holds a certain address."""

    def __init__(self) -> None:
        self.block: IPBlock | None = None
        self.version = 0
        self.writes: list[int] = []
        self.refused = ip_address("10.0.0.13")
        self.errors: list[Exception] = []

    async def read_block(self, namespace: Namespace, name: str) -> IPBlock:
        await asyncio.sleep(0)
        if self.block is None:
            raise NotFoundError("no block")
        return self.block

    async def create_block(self, block: IPBlock) -> IPBlock:
        await asyncio.sleep(0)
        if self.block is not None:
            raise ConflictError("exists")
        return self._store(replace(block, uid="u1"))

    async def write_block(self, block: IPBlock) -> IPBlock:
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        if self.block is None or self.block.resource_version != block.resource_version:
            raise ConflictError("stale")
        if any(entry.address == self.refused for entry in block.entries):
            raise InvalidObjectError("thirteen is not allowed")
        self.writes.append(len(block.entries))
        return self._store(block)

    async def remove_block(self, block: IPBlock) -> None:
        self.block = None

    async def list_blocks(
        self,
        namespace: Namespace,
        network_uid: NetworkUid,
        *,
        known: KnownBlock = nothing_known,
    ) -> BlockList:
        blocks = () if self.block is None else (self.block,)
        return BlockList(blocks=blocks, resource_version=str(self.version))

    async def read_network(self, namespace: Namespace, name: NetworkName) -> DanmNet:
        return DanmNet(
            namespace=namespace,
            name=name,
            uid=_REF.network_uid,
            generation=1,
            resource_version="1",
            spec=NetworkSpec(network_id=name),
            created=_NOW,
        )

    async def list_networks(self) -> list[DanmNet]:
        return []

    async def protect_network(self, net: DanmNet) -> None:
        """Nothing to protect."""

    def _store(self, block: IPBlock) -> IPBlock:
        self.version += 1
        self.block = replace(block, resource_version=str(self.version))
        return self.block


class _Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, delay_s: float) -> None:
        self.seconds += delay_s
        await asyncio.sleep(0)


def _committer(store: _Store, clock: _Clock | None = None, *, now: datetime = _NOW) -> Committer:
    clock = clock or _Clock()
    return Committer(
        store=store,
        ledger=Ledger(now=lambda: now),
        now=lambda: now,
        clock=clock,
        sleep=clock.sleep,
    )


def _pod(name: str) -> PodOwner:
    return PodOwner(
        namespace=Namespace("ns"),
        name=name,
        uid=PodUid(name),
        interface=InterfaceName("eth0"),
    )


def _take(last: int) -> TakeExact:
    return TakeExact(
        owner=_pod(f"p{last}"),
        node=NodeName("n1"),
        attempt=1,
        address=ip_address(_START + last),
        mac="fa:16:3e:00:00:00",
    )


def _back(last: int) -> GiveBack:
    return GiveBack(
        key=owner_key(_pod(f"p{last}")),
        attempt=1,
        address=ip_address(_START + last),
        cooldown_s=0,
    )


async def _commit(committer: Committer, change: Change, deadline: float = 5.0) -> object:
    return await committer.commit(_REF, change, deadline=deadline)


async def test_one_write_carries_all_that_wait() -> None:
    """Changes that queue together are written together."""
    store = _Store()
    committer = _committer(store)
    await asyncio.gather(*(_commit(committer, _take(last)) for last in range(1, 11)))
    assert store.writes == [10]


async def test_bad_change_fails_alone() -> None:
    """A batch that the API server refuses is split until the bad change is alone."""
    # DESIGN, "Group commit"
    store = _Store()
    committer = _committer(store)
    results = await asyncio.gather(
        *(_commit(committer, _take(last)) for last in range(10, 18)), return_exceptions=True
    )
    assert [type(each) for each in results] == [
        InvalidObjectError if last == 13 else Took for last in range(10, 18)
    ]
    assert store.block is not None
    assert len(held_entries(store.block)) == 7


async def test_conflict_is_judged_anew() -> None:
    """After somebody else's write the change is judged on what that left."""
    store = _Store()
    committer, other = _committer(store), _committer(store)
    await _commit(committer, _take(1))
    await _commit(other, _take(2))
    await _commit(committer, _take(3))
    assert store.block is not None
    assert [str(entry.address) for entry in store.block.entries] == [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
    ]


@pytest.mark.parametrize("error", [ApiUnavailableError("lost", status=0), ConflictError("stale")])
async def test_entry_from_before_is_not_taken_for_a_lost_write(error: DanmError) -> None:
    """What an owner had, unknown to this replica, is kept and not made: a failure leaves it."""
    # DESIGN P3
    store = _Store()
    behind, other = _committer(store), _committer(store, now=_NOW - timedelta(seconds=5))
    await _commit(behind, _take(9))
    await _commit(other, _take(1))
    store.errors.append(error)
    outcome = await _commit(behind, replace(_take(1), attempt=2))
    assert isinstance(outcome, Took)
    assert not outcome.new


async def test_what_is_too_late_is_not_written() -> None:
    """A change whose deadline has passed is not carried by any write."""
    store, clock = _Store(), _Clock()
    committer = _committer(store, clock)
    clock.seconds = 10
    with pytest.raises(DeadlineExceededError):
        await _commit(committer, _take(1), deadline=10)
    assert store.block is None


async def test_silent_store_ends_at_the_deadline() -> None:
    """While the API server does not answer the change is tried again until its deadline."""
    store, clock = _Store(), _Clock()
    committer = _committer(store, clock)
    store.errors = [ApiUnavailableError("silent", status=0)] * 100
    with pytest.raises(DeadlineExceededError):
        await _commit(committer, _take(1), deadline=3)
    assert 3 <= clock.seconds < 4


async def test_change_of_a_caller_that_went_away_is_dropped() -> None:
    """Nothing is taken for a caller that was cancelled while its change queued."""
    store = _Store()
    committer = _committer(store)
    task = asyncio.create_task(committer.commit(_REF, _take(1), deadline=5))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    await committer.close()
    assert store.block is None


async def test_giving_back_what_is_not_there_makes_no_block() -> None:
    """A release or a seal of a block that does not exist writes nothing."""
    store = _Store()
    committer = _committer(store)
    await _commit(committer, _back(1))
    assert await _commit(committer, Seal()) == Sealed()
    assert store.block is None
    await _commit(committer, _take(1))
    assert isinstance(await _commit(committer, _back(1)), GaveBack)


async def test_queue_is_bounded() -> None:
    """More takes than the bound are refused; what is given back is let in, and all is answered."""
    # DESIGN P6; SPEC I2: what was taken must be given back.
    store = _Store()
    committer = _committer(store)
    waiting = [
        asyncio.create_task(committer.commit(_REF, _take(1), deadline=5)) for _ in range(4200)
    ]
    back = asyncio.create_task(committer.commit(_REF, _back(1), deadline=5))
    results = await asyncio.gather(*waiting, return_exceptions=True)
    refused = sum(isinstance(each, OverloadedError) for each in results)
    assert refused == 4200 - 4096
    assert isinstance(await back, GaveBack)


def _take_any(name: str) -> TakeAny:
    space = AddressSpace(version=4, intervals=((_START + 1, _START + 62),), start=_START + 1)
    return TakeAny(
        owner=_pod(name), node=NodeName("n1"), attempt=1, space=space, after=_START, mac=None
    )


async def test_who_loses_a_block_may_take_another_one() -> None:
    """A replica that loses a race sends new addresses elsewhere, and what must stay is retried."""
    # DESIGN, "Group commit"
    store = _Store()
    here, there = _committer(store), _committer(store)
    await _commit(here, _take(1))
    await _commit(there, _take(2))
    assert store.block is not None
    before = store.block
    outcome = await here.commit(_REF, _take_any("p3"), deadline=5.0, may_move=True)
    assert outcome == Contended()
    assert store.block == before
    await _commit(there, _take(4))
    assert isinstance(await here.commit(_REF, _take_any("p3"), deadline=5.0), Took)


async def test_an_owner_that_the_block_knows_is_judged_there() -> None:
    """What another replica wrote for the same owner meanwhile is kept, not doubled elsewhere."""
    # DESIGN, "Attempts fence"
    store = _Store()
    here, there = _committer(store), _committer(store)
    await _commit(here, _take(1))
    await _commit(there, _take_any("p3"))
    outcome = await here.commit(_REF, _take_any("p3"), deadline=5.0, may_move=True)
    assert isinstance(outcome, Took)
    assert store.block is not None
    assert [str(entry.address) for entry in held_entries(store.block)] == ["10.0.0.1", "10.0.0.2"]


def _traceparent(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"


async def _commit_traced(committer: Committer, last: int) -> object:
    """Commit as a request of its own trace, with its own id."""
    parent = extract({"traceparent": _traceparent(last)})
    with correlated([f"c{last}"]), span(f"request {last}", parent=parent):
        return await _commit(committer, _take(last))


async def test_a_write_is_of_those_whom_it_carries() -> None:
    """A batch is traced below the first of its requests, with links to the others, and no later."""
    committer = _committer(_Store())
    with recorded() as traces:
        await asyncio.gather(*(_commit_traced(committer, last) for last in (1, 2, 3)))
        # While its task goes on, the next batch is none of theirs.
        first = asyncio.create_task(_commit_traced(committer, 4))
        await asyncio.sleep(0)
        second = asyncio.create_task(_commit_traced(committer, 5))
        await asyncio.gather(first, second)
    by_trace = {n: traces.paths(f"{n:032x}") for n in range(1, 6)}
    assert by_trace[1] == ["request 1", "request 1 > commit"]
    assert by_trace[2] == ["request 2"]
    (shared,) = (each for each in traces.spans(f"{1:032x}") if each.name == "commit")
    assert sorted(link.context.trace_id for link in shared.links) == [2, 3]
    assert shared.attributes is not None
    assert shared.attributes["changes"] == 3
    assert "request 4 > commit" in by_trace[4]
    assert "request 4" not in " ".join(by_trace[5])


async def test_lines_about_a_write_name_whom_it_carries(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever looks for one of the requests finds what went wrong with the write of all."""
    store = _Store()
    store.errors = [ApiUnavailableError("no answer", status=0)]
    seen: list[tuple[str, ...]] = []

    class Note(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if record.getMessage() == "Retrying a block":
                seen.append(current_request_ids())
            return True

    caplog.handler.addFilter(note := Note())
    retries = REGISTRY.get_sample_value("danm_ipam_block_retries_total") or 0
    committer = _committer(store)
    await asyncio.gather(*(_commit_traced(committer, last) for last in (1, 2)))
    caplog.handler.removeFilter(note)
    assert seen == [("c1", "c2")]
    assert REGISTRY.get_sample_value("danm_ipam_block_retries_total") == retries + 1


async def test_what_waits_is_shown() -> None:
    """The gauge says how many changes wait, and returns to where it was."""
    before = REGISTRY.get_sample_value("danm_ipam_queued_changes") or 0
    committer = _committer(_Store())
    waiting = [asyncio.create_task(_commit(committer, _take(last))) for last in range(1, 11)]
    await asyncio.sleep(0)
    assert REGISTRY.get_sample_value("danm_ipam_queued_changes") == before + 10
    await asyncio.gather(*waiting)
    assert REGISTRY.get_sample_value("danm_ipam_queued_changes") == before
