"""What is dead makes way for whoever needs it: in time, told of, and for few requests."""

import asyncio
import logging
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from danm_api.errors import DeadlineExceededError, PoolExhaustedError
from danm_api.ipam_api import AttachmentRequest, ExternalOwnerMessage
from danm_api.kube.api import DANMIPBLOCKS, EVENTS
from danm_api.record.entries import CLOCK_SKEW
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod

# One block, wholly.
_BLOCK = {"start": "10.0.0.64", "end": "10.0.0.127"}
_LIFE_S = 60.0


def _tool(cluster: Cluster, name: str) -> ExternalOwnerMessage:
    """Return an owner that agrees to lose its address after a minute."""
    expires = cluster.clock.now() + timedelta(seconds=_LIFE_S)
    return ExternalOwnerMessage(namespace=NAMESPACE, name=name, expires=expires)


def _let_expire(cluster: Cluster) -> None:
    cluster.clock.seconds += _LIFE_S + CLOCK_SKEW.total_seconds()


async def _fill(cluster: Cluster, replica: Replica, *names: str) -> None:
    """Let tools take addresses."""
    await asyncio.gather(
        *(
            cluster.reserve(
                replica, _tool(cluster, name), attachment(interface=""), node="", fresh=True
            )
            for name in names
        )
    )


async def test_an_expired_address_in_a_full_block_is_found() -> None:
    """Among 64 entries of a block one that has expired is enough for whoever needs an address."""
    # DESIGN, "Full means full"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_BLOCK)
    async with cluster.running() as (replica,):
        await _fill(cluster, replica, "tool")
        for number in range(63):
            await cluster.reserve(replica, pod(f"p{number}"), attachment())
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, pod("late"), attachment())
        _let_expire(cluster)
        (answer,) = await cluster.reserve(replica, pod("late"), attachment())
        assert answer.ip == "10.0.0.64/24"
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(replica, pod("later"), attachment())


async def test_what_was_released_does_not_come_into_a_full_block_late() -> None:
    """A reserve that is dead by its time and was released takes no expired owner's place either."""
    # README, "Release after an unknown outcome"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_BLOCK)
    tool = ExternalOwnerMessage(namespace=NAMESPACE, name="late")
    async with cluster.running(2) as (frozen, other):
        await _fill(cluster, other, *(f"tool-{number}" for number in range(64)))
        _let_expire(cluster)
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS)
        wanted = attachment(interface="", ip="10.0.0.64/24")
        late = asyncio.create_task(
            cluster.reserve(frozen, tool, wanted, attempt=7, node="", timeout_s=5)
        )
        await gate.reached.wait()
        cluster.clock.seconds += 6
        await cluster.release(other, tool, attempt=7, node="")
        gate.open()
        with pytest.raises(DeadlineExceededError):
            await late
        await frozen.close()
        assert "late" not in [getattr(held.owner, "name", "") for held in cluster.held()]


async def test_what_still_cools_costs_no_write() -> None:
    """A pool whose expired addresses cool is refused as full from what was read, each time."""
    # SPEC A7
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/28", cooldown=3600)
    async with cluster.running() as (replica,):
        await _fill(cluster, replica, *(f"tool-{number}" for number in range(14)))
        _let_expire(cluster)
        cluster.kube.calls.clear()
        for number in range(3):
            with pytest.raises(PoolExhaustedError):
                await cluster.reserve(replica, pod(f"p{number}"), attachment(), fresh=True)
        assert dict(cluster.kube.calls) == {("list", DANMIPBLOCKS.plural): 3}


async def test_hundreds_that_wait_share_what_has_expired() -> None:
    """As many as need it get what expired owners leave, for some requests a block, and no more."""
    # DESIGN P4; peers' complaint 1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await _fill(cluster, replica, *(f"tool-{number}" for number in range(254)))
        _let_expire(cluster)
        before = cluster.kube.calls.total() - cluster.kube.calls["create", EVENTS.plural]
        answers = await asyncio.gather(
            *(
                cluster.reserve(replica, pod(f"p{number}"), attachment(), fresh=True)
                for number in range(300)
            ),
            return_exceptions=True,
        )
        refused = [each for each in answers if isinstance(each, BaseException)]
        assert {type(each) for each in refused} == {PoolExhaustedError}
        assert len(refused) == 300 - 254
        assert len(set(cluster.addresses())) == 254
        assert {held.node for held in cluster.held()} == {"n1"}
        calls = cluster.kube.calls.total() - cluster.kube.calls["create", EVENTS.plural] - before
        # Each of the four blocks: read, swept, written; and once more around for those in vain.
        assert calls <= 4 * 5


_STATIC = attachment(ip="10.0.0.2/24")
_OTHER = attachment(ip="10.0.0.70/24")


@pytest.mark.parametrize(
    ("asked", "reason", "event", "words"),
    [
        pytest.param(
            attachment(), "expired", "FreedExpiredAddress", "time is over", id="expired, any"
        ),
        pytest.param(
            _STATIC, "expired", "FreedExpiredAddress", "time is over", id="expired, this one"
        ),
        pytest.param(attachment(), "double", "FreedDeadAddress", "a newer one", id="double"),
        pytest.param(_OTHER, "double", "FreedDeadAddress", "a newer one", id="left for another"),
    ],
)
async def test_whatever_makes_way_is_told(
    asked: AttachmentRequest,
    reason: str,
    event: str,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a request frees comes with a metric, an Event and a log line, once, as by the leader."""
    # SPEC I4; DESIGN P7
    cluster = Cluster()
    pool = {"start": "10.0.0.2", "end": "10.0.0.2"}
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=pool)
    async with cluster.running() as (replica,):
        requester = pod("p")
        if reason == "expired":
            await _fill(cluster, replica, "x")
            _let_expire(cluster)
        else:
            async with cluster.frozen_watch() as behind:
                await cluster.reserve(replica, pod("x"), _STATIC)
                if asked == _OTHER:
                    requester = pod("x")
                else:
                    await cluster.reserve(behind, pod("x"), _OTHER, fresh=True)
        sample = ("danm_ipam_reclaimed_total", {"reason": reason})
        before = REGISTRY.get_sample_value(*sample) or 0
        with caplog.at_level("INFO"):
            await cluster.reserve(replica, requester, asked)
        assert REGISTRY.get_sample_value(*sample) == before + 1
        assert [_message(record) for record in caplog.records].count("Freed an address") == 1
        await eventually(lambda: bool(cluster.kube.all_stored(EVENTS)))
        (told,) = cluster.kube.all_stored(EVENTS)
        assert (told["reason"], told["regarding"]["name"]) == (event, "net")
        assert words in told["note"]
        assert "freed 10.0.0.2 of" in told["note"]


def _message(record: logging.LogRecord) -> str:
    return str(record.msg["event"] if isinstance(record.msg, dict) else record.msg)
