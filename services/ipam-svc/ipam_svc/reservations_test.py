"""Reservations: the rules of networks, and all or nothing."""

import asyncio
from datetime import timedelta

import pytest

from danm_api.errors import (
    AddressTakenError,
    ApiError,
    ApiUnavailableError,
    ConflictError,
    DanmError,
    DeadlineExceededError,
    InvalidRequestError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    PoolExhaustedError,
)
from danm_api.ipam_api import ExternalOwnerMessage, ReservationQuery
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS
from danm_api.labels import DANMNET_FINALIZER
from danm_api.names import Namespace, NetworkName
from danm_api.record.entries import CLOCK_SKEW
from danm_api.testing.hangs import HANGS_S
from ipam_svc.lookup import Lookup, listing_of
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, eventually, pod

_POOL = {"start": "10.0.0.10", "end": "10.0.0.13"}
_NS = Namespace(NAMESPACE)
_NET = NetworkName("net")
_LOST = ApiUnavailableError("lost", status=0)


async def test_dynamic_addresses_use_both_ends_of_the_pool() -> None:
    """Each address of the pool is handed out once, the pool's end too."""
    # SPEC G2: the old program left out the pool's end.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,):
        answers = [
            (await cluster.reserve(replica, pod(f"p{i}"), attachment()))[0] for i in range(4)
        ]
        assert [f"10.0.0.{i}/24" for i in range(10, 14)] == [answer.ip for answer in answers]
        assert answers[0].mac == "fa:16:3e:00:00:0a"


async def test_the_wire_that_was_judged_by_is_told_to_whoever_makes_the_interface() -> None:
    """By the spec in force, as danmd may know another one; an external owner has no interface."""
    # DESIGN, P1; SPEC N5
    cluster = Cluster()
    cluster.add_network(host_device="ens4", vlan=300, cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        (answer,) = await cluster.reserve(replica, pod("p"), attachment())
        assert answer.wire == "ens4/vlan/300"
        external = ExternalOwnerMessage(namespace=NAMESPACE, name="printer")
        asked = attachment(interface="")
        (answer,) = await cluster.reserve(replica, external, asked, node="")
        assert answer.wire is None


async def test_same_owner_gets_the_same_answer() -> None:
    """A repeated request keeps the address, also through another replica and on a full pool."""
    # SPEC G7, C5; peers' complaint 7.
    cluster = Cluster()
    cluster.add_network(
        cidr="10.0.0.0/24", allocation_pool={"start": "10.0.0.10", "end": "10.0.0.10"}
    )
    async with cluster.running(2) as (one, two):
        first = await cluster.reserve(one, pod("p"), attachment())
        again = await cluster.reserve(two, pod("p"), attachment())
        assert first == again
        assert cluster.held()[0].attempt == 2


async def test_the_first_reservation_protects_the_network() -> None:
    """The DanmNet has its finalizer before an address of it is held."""
    # SPEC A5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment())
        assert cluster.network().finalizers == (DANMNET_FINALIZER,)


async def test_dual_stack_follows_the_mac() -> None:
    """Dynamic IPv6 is the EUI-64 address of the MAC that the IPv4 address gives."""
    # SPEC G5, G6
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", net6="2001:db8::/64")
    async with cluster.running() as (replica,):
        (answer,) = await cluster.reserve(replica, pod("p"), attachment(ip6="dynamic"))
        assert answer.ip == "10.0.0.1/24"
        assert answer.ip6 == "2001:db8::f816:3eff:fe00:1/64"
        assert ["10.0.0.1", "2001:db8::f816:3eff:fe00:1"] == cluster.addresses()


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        pytest.param("10.0.0.20/24", None, id="outside the pool"),
        pytest.param("10.0.0.0/24", InvalidRequestError, id="network address"),
        pytest.param("10.0.0.255/24", InvalidRequestError, id="broadcast address"),
        pytest.param("10.0.0.20/25", InvalidRequestError, id="other prefix length"),
        pytest.param("10.0.1.20/24", InvalidRequestError, id="other subnet"),
        pytest.param("10.0.0.10/24", AddressTakenError, id="taken"),
    ],
)
async def test_static_address(asked: str, error: type[Exception] | None) -> None:
    """A static address must be usable and free; it may lie outside the pool."""
    # SPEC G3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", allocation_pool=_POOL)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("first"), attachment())
        if error is not None:
            with pytest.raises(error):
                await cluster.reserve(replica, pod("p"), attachment(ip=asked))
            return
        (answer,) = await cluster.reserve(replica, pod("p"), attachment(ip=asked))
        assert asked == answer.ip


async def test_static_address_on_a_shared_wire_must_lie_in_the_pool() -> None:
    """Where two DanmNets share a wire, neither takes addresses of the other's pool."""
    # SPEC G3; DESIGN P1
    cluster = Cluster()
    for name, last in (("a", 19), ("b", 29)):
        cluster.add_network(
            name,
            host_device="ens4",
            cidr="10.0.0.0/24",
            allocation_pool={"start": f"10.0.0.{last - 9}", "end": f"10.0.0.{last}"},
        )
    async with cluster.running() as (replica,):
        with pytest.raises(InvalidRequestError, match="wire"):
            await cluster.reserve(replica, pod("p"), attachment("a", ip="10.0.0.25/24"))
        await cluster.reserve(replica, pod("p"), attachment("a", ip="10.0.0.15/24"))


async def test_networks_that_may_not_be_used() -> None:
    """An unknown network and one that was not validated give their own errors."""
    # SPEC G1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", valid=False)
    async with cluster.running() as (replica,):
        with pytest.raises(NetworkNotReadyError, match="has not been validated yet"):
            await cluster.reserve(replica, pod("p"), attachment())
        with pytest.raises(NetworkNotFoundError, match="no DanmNet ns/other"):
            await cluster.reserve(replica, pod("p"), attachment("other"))


async def test_network_validated_a_moment_ago_is_found_so() -> None:
    """A replica whose watch is behind asks the API server before it refuses."""
    cluster = Cluster()
    async with cluster.running() as (replica,):
        cluster.add_network(cidr="10.0.0.0/24")
        (answer,) = await cluster.reserve(replica, pod("p"), attachment())
        assert answer.ip == "10.0.0.1/24"


async def test_all_or_nothing() -> None:
    """When one attachment cannot be had, what was taken for the others is given back."""
    # SPEC I2
    cluster = Cluster()
    cluster.add_network("a", cidr="10.0.0.0/24")
    cluster.add_network("b", cidr="10.0.1.0/32")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("other"), attachment("b"))
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(
                replica, pod("p"), attachment("a"), attachment("b", interface="eth1")
            )
        assert ["10.0.1.0"] == cluster.addresses()


async def test_what_a_failed_batch_took_is_given_back_at_once() -> None:
    """Its caller waits for that, for no longer than one network takes."""
    cluster = Cluster()
    for name in ("a", "b", "c"):
        cluster.add_network(name, cidr="10.0.0.0/16")
    asked = [attachment(name, interface=f"eth{i}") for i, name in enumerate("abc")]
    async with cluster.running() as (replica,):
        cluster.kube.fail_next("replace", DANMIPBLOCKS, ApiError("refused", status=403))
        gates = [cluster.kube.hold_next("replace", DANMIPBLOCKS, took_effect=True) for _ in "ab"]
        reserving = asyncio.create_task(cluster.reserve(replica, pod("p"), *asked))
        for gate in gates:
            await asyncio.wait_for(gate.reached.wait(), timeout=HANGS_S)
        given_back = [cluster.kube.hold_next("replace", DANMIPBLOCKS) for _ in gates]
        for gate in gates:
            gate.open()
        for gate in given_back:
            await asyncio.wait_for(gate.reached.wait(), timeout=HANGS_S)
        assert not reserving.done()
        for gate in given_back:
            gate.open()
        with pytest.raises(ApiError):
            await reserving
        assert cluster.held() == []


async def test_networks_are_protected_at_once() -> None:
    """The first Pod of several networks waits for one write of a DanmNet, not for all."""
    # SPEC A5
    cluster = Cluster()
    names = ("a", "b", "c")
    for name in names:
        cluster.add_network(name, cidr="10.0.0.0/16")
    asked = [attachment(name, interface=f"eth{i}") for i, name in enumerate(names)]
    async with cluster.running() as (replica,):
        gates = [cluster.kube.hold_next("patch", DANMNETS) for _ in names]
        reserving = asyncio.create_task(cluster.reserve(replica, pod("p"), *asked))
        for gate in gates:
            await asyncio.wait_for(gate.reached.wait(), timeout=HANGS_S)
        assert cluster.blocks() == []
        for gate in gates:
            gate.open()
        await reserving
        assert {cluster.network(name).finalizers for name in names} == {(DANMNET_FINALIZER,)}


async def test_failed_batch_keeps_what_the_owner_had() -> None:
    """A batch that fails gives back only what it made: an older entry may be in use."""
    # DESIGN P3
    cluster = Cluster()
    cluster.add_network("a", cidr="10.0.0.0/24")
    cluster.add_network("b", cidr="10.0.1.0/32")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment("a"))
        await cluster.reserve(replica, pod("other"), attachment("b"))
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(
                replica, pod("p"), attachment("a"), attachment("b", interface="eth1")
            )
        assert ["10.0.0.1", "10.0.1.0"] == cluster.addresses()


async def test_several_attachments_on_one_network() -> None:
    """Several interfaces of a Pod may be on one network, with an address each."""
    # SPEC B5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        answers = await cluster.reserve(
            replica, pod("p"), attachment(), attachment(interface="eth1")
        )
        assert {"10.0.0.1/24", "10.0.0.2/24"} == {answer.ip for answer in answers}
        # One write carried both (and one opened the block).
        assert cluster.kube.calls["replace", "danmipblocks"] == 1


async def test_deleting_network_gives_nothing_new() -> None:
    """A DanmNet that is being deleted keeps its owners' addresses and refuses new ones."""
    # SPEC A5
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        first = await cluster.reserve(replica, pod("p"), attachment())
        cluster.kube.mark_deleted(DANMNETS, "net", namespace=NAMESPACE)
        await eventually(lambda: all(net.deleting for net in replica.cache.all()))
        with pytest.raises(NetworkNotReadyError):
            await cluster.reserve(replica, pod("q"), attachment())
        assert first == await cluster.reserve(replica, pod("p"), attachment())


async def test_external_owner() -> None:
    """Somebody outside of Pods reserves by a name, and loses the address at its expiry."""
    # SPEC I3
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/32")
    expires = cluster.clock.now() + timedelta(seconds=60)
    printer = ExternalOwnerMessage(
        namespace=NAMESPACE, name="printer", reason="third floor", expires=expires
    )
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, printer, attachment(interface=""), node="")
        assert ["10.0.0.0"] == cluster.addresses()
        cluster.clock.seconds += 60 + CLOCK_SKEW.total_seconds()
        await cluster.reserve(replica, pod("p"), attachment())
        assert cluster.held()[0].owner.namespace == NAMESPACE
        assert cluster.held()[0].node == "n1"


async def test_network_without_subnet() -> None:
    """An L2 network refuses "dynamic", takes any static address untracked, and "none" works."""
    # SPEC G3, G4
    cluster = Cluster()
    cluster.add_network()
    async with cluster.running() as (replica,):
        with pytest.raises(InvalidRequestError, match="dynamic"):
            await cluster.reserve(replica, pod("p"), attachment())
        (static,) = await cluster.reserve(replica, pod("p"), attachment(ip="192.0.2.7/24"))
        assert static.ip == "192.0.2.7/24"
        (none,) = await cluster.reserve(replica, pod("p"), attachment(ip="none"))
        assert (none.ip, none.ip6) == (None, None)
        assert none.mac == (await cluster.reserve(replica, pod("p"), attachment(ip="none")))[0].mac
        assert cluster.blocks() == []


async def test_ipv6_pool_and_ipv6_only() -> None:
    """IPv6 comes out of allocation_pool6, or as EUI-64 from a start of the network's own."""
    # SPEC G5, A7
    cluster = Cluster()
    cluster.add_network(
        "pool",
        net6="2001:db8::/64",
        allocation_pool6={"start": "2001:db8::10", "end": "2001:db8::11"},
    )
    cluster.add_network("eui", net6="2001:db8:1::/64")
    async with cluster.running() as (replica,):
        (first,) = await cluster.reserve(
            replica, pod("p"), attachment("pool", ip="none", ip6="dynamic")
        )
        assert (first.ip, first.ip6, first.mac) == (
            None,
            "2001:db8::10/64",
            "fa:16:3e:00:00:10",
        )
        (second,) = await cluster.reserve(
            replica, pod("q"), attachment("eui", ip="none", ip6="dynamic")
        )
        assert second.ip6 is not None
        assert second.ip6.startswith("2001:db8:1:0:f816:3eff:fe")
        low = second.mac.removeprefix("fa:16:3e:").split(":")
        assert second.ip6.removesuffix("/64").endswith(f"{int(low[1] + low[2], 16):x}")


async def test_networks_and_static_types() -> None:
    """A network of a static delegate ignores what is asked: its plugin gives the addresses."""
    # SPEC G
    cluster = Cluster()
    cluster.add_network(network_type="flannel", cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        (answer,) = await cluster.reserve(replica, pod("p"), attachment())
        assert (answer.ip, answer.ip6) == (None, None)
        assert cluster.blocks() == []


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(_LOST, id="no answer"),
        # aiohttp sends a PUT again by itself when a kept connection breaks before its answer.
        pytest.param(ConflictError("modified"), id="sent twice by the HTTP client"),
    ],
)
async def test_lost_answer_is_given_back_when_the_rest_fails(error: DanmError) -> None:
    """What a write with a lost answer has taken counts as new: all or nothing holds for it too."""
    # SPEC I2
    cluster = Cluster()
    cluster.add_network("a", cidr="10.0.0.0/24")
    cluster.add_network("b", cidr="10.0.1.0/32")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("other"), attachment("b"))
        cluster.kube.fail_next("replace", DANMIPBLOCKS, error, took_effect=True)
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(
                replica, pod("p"), attachment("a"), attachment("b", interface="eth1")
            )
        assert cluster.addresses() == ["10.0.1.0"]


async def test_time_out_while_the_api_server_is_away_leaves_nothing() -> None:
    """A write that took effect for a caller who then ran out of time is taken back."""
    # Peers' complaint 6; DESIGN P2
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.frozen_watch() as replica:
        await cluster.reserve(replica, pod("first"), attachment())
        cluster.kube.fail_next("replace", DANMIPBLOCKS, _LOST, took_effect=True)
        cluster.kube.fail_next("get", DANMIPBLOCKS, _LOST, times=100)
        cluster.kube.fail_next("replace", DANMIPBLOCKS, _LOST, times=20)
        with pytest.raises(DeadlineExceededError):
            await cluster.reserve(replica, pod("p"), attachment(), fresh=True, timeout_s=2)
        assert cluster.addresses() == ["10.0.0.1"]


async def test_time_out_of_a_repeated_request_keeps_what_the_owner_had() -> None:
    """What an earlier attempt took is not given back with a later one, whatever clocks say."""
    # DESIGN P3: the time of an entry is that of the clock of the replica which wrote it.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running(2) as (ahead, replica):
        await cluster.reserve(ahead, pod("p"), attachment(), attempt=1)
        cluster.clock.seconds -= 5
        cluster.kube.fail_next("replace", DANMIPBLOCKS, _LOST, took_effect=True)
        cluster.kube.fail_next("get", DANMIPBLOCKS, _LOST, times=100)
        cluster.kube.fail_next("replace", DANMIPBLOCKS, _LOST, times=20)
        with pytest.raises(DeadlineExceededError):
            await cluster.reserve(replica, pod("p"), attachment(), attempt=2, timeout_s=2)
        assert [(str(held.address), held.attempt) for held in cluster.held()] == [("10.0.0.1", 2)]


async def test_what_was_taken_for_a_caller_that_went_away_is_given_back() -> None:
    """A caller that hangs up during the write holds nothing when the write is done."""
    # DESIGN P2: no danmd compares what an external owner holds.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    owner = ExternalOwnerMessage(namespace=NAMESPACE, name="tool")
    async with cluster.frozen_watch() as replica:
        await cluster.reserve(replica, pod("first"), attachment())
        gate = cluster.kube.hold_next("replace", DANMIPBLOCKS)
        gone = asyncio.create_task(
            cluster.reserve(replica, owner, attachment(interface=""), node="")
        )
        await gate.reached.wait()
        gone.cancel()
        await asyncio.wait((gone,))
        gate.open()
        await replica.close()
        assert cluster.addresses() == ["10.0.0.1"]


async def test_each_version_of_the_record_names_the_owner_of_every_used_address() -> None:
    """Owner and address are written as one: what is counted as used is what somebody holds."""
    # Peers' complaint 3: a pool and its reservations that disagree.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", net6="2001:db8::/64")
    async with cluster.running() as (replica,):
        lookup = Lookup(networks=replica.networks, ledger=replica.ledger, reach=replica.reach)
        everything = listing_of(ReservationQuery(), usual_limit=None)
        for method in ("create", "replace", "replace"):
            for took_effect in (True, False):
                cluster.kube.fail_next(method, DANMIPBLOCKS, _LOST, took_effect=took_effect)
                owner = pod(f"p{cluster.next_attempt()}")
                (answer,) = await cluster.reserve(replica, owner, attachment(ip6="dynamic"))
                listed = (await lookup.of_network(_NS, _NET, everything)).items
                mine = {each.address for each in listed if each.owner == owner}
                told = {(text or "").split("/")[0] for text in (answer.ip, answer.ip6)}
                assert mine == told
                usage = await lookup.usage(_NS, _NET)
                assert usage.ipv4 is not None
                assert usage.ipv6 is not None
                assert usage.ipv4.used + usage.ipv6.used == len(cluster.held()) == len(listed)
