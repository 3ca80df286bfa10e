"""Attachments of both families: pairs of an IPv4 address and its EUI-64 address (SPEC G5)."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from danm_api.errors import (
    AddressTakenError,
    ApiUnavailableError,
    InvalidRequestError,
    PoolExhaustedError,
)
from danm_api.ipam_api import ExternalOwnerMessage
from danm_api.kube.api import DANMIPBLOCKS
from danm_api.record.entries import CLOCK_SKEW
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, pod

_POOL = {"start": "10.0.0.1", "end": "10.0.0.3"}
_EUI64 = "2001:db8::f816:3eff:fe00:"
_BOTH = attachment(ip6="dynamic")


def _cluster(**options: Any) -> Cluster:  # noqa: ANN401  (a DanmNet's)
    """Return a cluster with a network of three addresses in both families."""
    cluster = Cluster()
    common = {"cidr": "10.0.0.0/24", "net6": "2001:db8::/64", "allocation_pool": _POOL}
    cluster.add_network(**(common | options))
    return cluster


async def _take_static(
    cluster: Cluster, replica: Replica, last: str, *, expires: datetime | None = None
) -> None:
    """Let a tool have an EUI-64 address of the network."""
    tool = ExternalOwnerMessage(namespace=NAMESPACE, name=f"tool-{last}", expires=expires)
    wanted = attachment(interface="", ip="none", ip6=f"{_EUI64}{last}/64")
    await cluster.reserve(replica, tool, wanted, attempt=1, node="")


async def _drain(cluster: Cluster, replica: Replica) -> tuple[list[str], str]:
    """Take pairs until there are none; return their last parts, and the refusal."""
    taken: list[str] = []
    while True:
        try:
            (answer,) = await cluster.reserve(replica, pod(f"p{len(taken)}"), _BOTH, fresh=True)
        except PoolExhaustedError as error:
            return taken, str(error)
        last = str(answer.ip).partition("/")[0].rpartition(".")[2]
        assert answer.ip6 == f"{_EUI64}{last}/64"
        taken.append(last)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, ["1", "2", "3"], id="nothing barred"),
        pytest.param({"exclude": [f"{_EUI64}1"]}, ["2", "3"], id="exclude"),
        pytest.param({"exclude": [f"{_EUI64}2/127"]}, ["1"], id="exclude a range"),
        pytest.param({"exclude": ["2001:db8::/65"]}, ["1", "2", "3"], id="exclude elsewhere"),
        pytest.param({"exclude": ["2001:db8::/64"]}, [], id="exclude all"),
        pytest.param(
            {"routes6": {"2001:db8:1::/64": f"{_EUI64}2"}}, ["1", "3"], id="gateway of routes6"
        ),
        pytest.param({"exclude": ["10.0.0.3", f"{_EUI64}1"]}, ["2"], id="exclude of both families"),
    ],
)
async def test_what_is_excluded_bars_its_pair(options: dict[str, Any], expected: list[str]) -> None:
    """No IPv4 address is given together with an IPv6 address that is never handed out."""
    # SPEC A7, G2, G5
    cluster = _cluster(**options)
    async with cluster.running() as (replica,):
        taken, refusal = await _drain(cluster, replica)
        assert taken == expected
        assert ("EUI-64" in refusal) == (len(expected) < 3)
        # Who wants IPv4 alone is not concerned.
        if options != {"exclude": ["10.0.0.3", f"{_EUI64}1"]}:
            for number in range(3 - len(expected)):
                await cluster.reserve(replica, pod(f"q{number}"), attachment())


@pytest.mark.parametrize("holders", [["1"], ["2"], ["1", "3"], ["1", "2", "3"]])
async def test_what_somebody_else_holds_bars_its_pair(holders: list[str]) -> None:
    """A dynamic request goes on to the next pair, and to the end; it is never told to ask again."""
    # SPEC G2, G5
    cluster = _cluster()
    async with cluster.running() as (replica,):
        for last in holders:
            await _take_static(cluster, replica, last)
        taken, refusal = await _drain(cluster, replica)
        assert sorted(taken) == sorted({"1", "2", "3"} - set(holders))
        assert "EUI-64" in refusal
        # Nothing is left of what was tried.
        assert len(cluster.held()) == 2 * len(taken) + len(holders)
        for number in range(len(holders)):
            await cluster.reserve(replica, pod(f"q{number}"), attachment())


async def test_a_pair_is_free_again_with_its_ipv6_address() -> None:
    """Exhausted is said only while it is so: by the record, not by what a replica remembers."""
    # DESIGN, "Full means full"
    cluster = _cluster(allocation_pool={"start": "10.0.0.1", "end": "10.0.0.1"})
    async with cluster.running() as (other,):
        await _take_static(cluster, other, "1")
        async with cluster.frozen_watch() as behind:
            with pytest.raises(PoolExhaustedError):
                await cluster.reserve(behind, pod("p"), _BOTH)
            tool = ExternalOwnerMessage(namespace=NAMESPACE, name="tool-1")
            await cluster.release(other, tool, attempt=1, node="")
            (answer,) = await cluster.reserve(behind, pod("p"), _BOTH, fresh=True)
            assert answer.ip6 == f"{_EUI64}1/64"


async def test_many_at_once_share_the_pairs_that_there_are() -> None:
    """Every pair that can be had is had, once, also when all ask at the same time."""
    # DESIGN P4
    cluster = _cluster(allocation_pool={"start": "10.0.0.1", "end": "10.0.0.90"})
    async with cluster.running(2) as running:
        for last in range(0x10, 0x20):
            await _take_static(cluster, running[0], f"{last:x}")
        answers = await asyncio.gather(
            *(cluster.reserve(running[i % 2], pod(f"p{i}"), _BOTH, fresh=True) for i in range(80)),
            return_exceptions=True,
        )
        refused = [each for each in answers if isinstance(each, BaseException)]
        assert [type(each) for each in refused] == [PoolExhaustedError] * 6
        assert len(cluster.held()) == 16 + 2 * 74


async def test_a_cooling_ipv6_address_bars_its_pair() -> None:
    """A dynamic request does not get what cools; it counts again when its time is over."""
    # SPEC A7
    cluster = _cluster(allocation_pool={"start": "10.0.0.1", "end": "10.0.0.1"}, cooldown=30)
    async with cluster.running() as (replica,):
        await _take_static(cluster, replica, "1")
        tool = ExternalOwnerMessage(namespace=NAMESPACE, name="tool-1")
        await cluster.release(replica, tool, attempt=1, node="")
        with pytest.raises(PoolExhaustedError, match="EUI-64"):
            await cluster.reserve(replica, pod("p"), _BOTH)
        cluster.clock.seconds += 30
        await cluster.reserve(replica, pod("p"), _BOTH)


async def test_an_expired_ipv6_address_makes_way_for_its_pair() -> None:
    """What its owner agreed to lose bars no pair, once it has cooled."""
    # SPEC I3, A7
    cluster = _cluster(allocation_pool={"start": "10.0.0.1", "end": "10.0.0.1"}, cooldown=30)
    async with cluster.running() as (replica,):
        expires = cluster.clock.now() + timedelta(seconds=60)
        await _take_static(cluster, replica, "1", expires=expires)
        cluster.clock.seconds += 60 + CLOCK_SKEW.total_seconds()
        with pytest.raises(PoolExhaustedError, match="EUI-64"):
            await cluster.reserve(replica, pod("p"), _BOTH)
        cluster.clock.seconds += 30
        await cluster.reserve(replica, pod("p"), _BOTH)


async def test_who_has_half_of_a_pair_that_is_taken_moves() -> None:
    """What a replica that died left of a pair is given up for a whole one, and told of."""
    # DESIGN, "Attempts fence"
    cluster = _cluster()
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment(), attempt=1)
        await _take_static(cluster, replica, "1")
        first = await cluster.reserve(replica, pod("p"), _BOTH, attempt=2)
        assert [answer.ip for answer in first] == ["10.0.0.2/24"]
        assert cluster.addresses() == ["10.0.0.2", f"{_EUI64}1", f"{_EUI64}2"]
        # SPEC G7
        assert first == await cluster.reserve(replica, pod("p"), _BOTH, attempt=3)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_half_of_a_pair_stays_when_there_is_no_other(attempt: int) -> None:
    """What the owner had before a request that fails is its own afterwards."""
    # SPEC I2; DESIGN P3
    cluster = _cluster(allocation_pool={"start": "10.0.0.1", "end": "10.0.0.1"})
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment(), attempt=1)
        await _take_static(cluster, replica, "1")
        with pytest.raises(PoolExhaustedError, match="EUI-64"):
            await cluster.reserve(replica, pod("p"), _BOTH, attempt=attempt)
        assert cluster.addresses() == ["10.0.0.1", f"{_EUI64}1"]


async def test_who_had_ipv4_alone_gets_no_excluded_address_with_it() -> None:
    """An address that was had without its pair is left for one whose pair may be given."""
    # SPEC A7
    cluster = _cluster(exclude=[f"{_EUI64}1"])
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment(), attempt=1)
        (answer,) = await cluster.reserve(replica, pod("p"), _BOTH, attempt=2)
        assert (answer.ip, answer.ip6) == ("10.0.0.2/24", f"{_EUI64}2/64")
        assert len(cluster.held()) == 2


@pytest.mark.parametrize("cidr", ["10.0.0.0/24", "10.0.0.0/7"])
async def test_a_static_address_whose_pair_is_excluded_is_refused(cidr: str) -> None:
    """Who asks for just this IPv4 address hears why there is no IPv6 address to it, and of what."""
    # SPEC A7, G5
    cluster = _cluster(cidr=cidr, exclude=["2001:db8::/64"])
    async with cluster.running() as (replica,):
        wanted = attachment(ip=f"10.0.0.2/{cidr[-2:].strip('/')}", ip6="dynamic")
        with pytest.raises(InvalidRequestError, match="is excluded") as caught:
            await cluster.reserve(replica, pod("p"), wanted)
        assert [each.field for each in caught.value.violations] == ["attachments[0].ip6"]
        assert cluster.held() == []


async def test_a_static_address_whose_pair_is_taken_says_so() -> None:
    """Who asks for just this IPv4 address is told who has the IPv6 address."""
    # SPEC G3
    cluster = _cluster()
    async with cluster.running() as (replica,):
        await _take_static(cluster, replica, "2")
        with pytest.raises(AddressTakenError, match="fe00:2 of .* external owner ns/tool-2"):
            await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.2/24", ip6="dynamic"))
        assert len(cluster.held()) == 1


@pytest.mark.parametrize("took_effect", [True, False])
async def test_lost_answers_while_pairs_are_sought_lose_nothing(*, took_effect: bool) -> None:
    """Whatever write of the search is not answered, the owner ends with one pair, or with none."""
    # DESIGN P1, P2
    for lost in range(1, 6):
        cluster = _cluster()
        async with cluster.running() as (replica,):
            await _take_static(cluster, replica, "1")
            await cluster.reserve(replica, pod("first"), attachment(ip="10.0.0.200/24"))
            for _ in range(lost - 1):
                cluster.kube.hold_next("replace", DANMIPBLOCKS).open()
            cluster.kube.fail_next(
                "replace",
                DANMIPBLOCKS,
                ApiUnavailableError("lost", status=0),
                took_effect=took_effect,
            )
            (answer,) = await cluster.reserve(replica, pod("p"), _BOTH)
            assert (answer.ip, answer.ip6) == ("10.0.0.2/24", f"{_EUI64}2/64")
            assert len(cluster.held()) == 4
