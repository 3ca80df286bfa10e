"""Whole pools, taken to their last address through a replica (SPEC G2 to G5, A7)."""

import asyncio
from random import Random
from typing import Any, Final

import pytest

from danm_api.errors import ApiUnavailableError, DeadlineExceededError, PoolExhaustedError
from danm_api.kube.api import DANMIPBLOCKS, Answer, RawObject, Resource
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import Cluster, attachment, eventually, pod

_LOST: Final = ApiUnavailableError("lost", status=0)
_ROUTES: Final = {"routes": {"192.0.2.0/24": "10.0.0.3"}}


async def _drain(cluster: Cluster, replica: Replica, *, ip: str, ip6: str) -> list[str]:
    """Take until the network is exhausted; return the addresses in the order of taking."""
    taken: list[str] = []
    while True:
        owner = pod(f"p{len(taken)}")
        try:
            (answer,) = await cluster.reserve(replica, owner, attachment(ip=ip, ip6=ip6))
        except PoolExhaustedError:
            return taken
        taken.append(str(answer.ip or answer.ip6).partition("/")[0])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"cidr": "10.0.0.0/29"}, [1, 2, 3, 4, 5, 6], id="all usable addresses"),
        pytest.param({"cidr": "10.0.0.4/30"}, [5, 6], id="/30"),
        pytest.param({"cidr": "10.0.0.4/31"}, [4, 5], id="/31, RFC 3021"),
        pytest.param({"cidr": "10.0.0.4/32"}, [4], id="/32, RFC 3021"),
        pytest.param(
            {"cidr": "10.0.0.0/24", "allocation_pool": {"start": "10.0.0.62", "end": "10.0.0.65"}},
            [62, 63, 64, 65],
            id="both ends, across blocks",
        ),
        pytest.param({"cidr": "10.0.0.0/29"} | _ROUTES, [1, 2, 4, 5, 6], id="gateway"),
        pytest.param(
            {"cidr": "10.0.0.0/29", "exclude": ["10.0.0.0/30", "10.0.0.6"]}, [4, 5], id="exclude"
        ),
        pytest.param(
            {"cidr": "10.0.0.0/29", "allocation_pool": {"start": "10.0.0.0", "end": "10.0.0.7"}},
            [1, 2, 3, 4, 5, 6],
            id="never network and broadcast address",
        ),
    ],
)
async def test_ipv4_pool(options: dict[str, Any], expected: list[int]) -> None:
    """Exactly the addresses of the pool are given, in order, and then none."""
    cluster = Cluster()
    cluster.add_network(**options)
    async with cluster.running() as (replica,):
        taken = await _drain(cluster, replica, ip="dynamic", ip6="none")
        assert taken == [f"10.0.0.{last}" for last in expected]


async def test_ipv6_pool() -> None:
    """allocation_pool6 gives its both ends, less exclusions and gateways (SPEC G5, A7)."""
    cluster = Cluster()
    cluster.add_network(
        net6="2001:db8::/120",
        allocation_pool6={"start": "2001:db8::3e", "end": "2001:db8::42"},
        exclude=["2001:db8::3f"],
        routes6={"2001:db8:1::/64": "2001:db8::41"},
    )
    async with cluster.running() as (replica,):
        taken = await _drain(cluster, replica, ip="none", ip6="dynamic")
        assert taken == ["2001:db8::3e", "2001:db8::40", "2001:db8::42"]


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        pytest.param({}, ["10.0.0.1", "10.0.0.2"], id="its begin"),
        pytest.param(
            {"allocation_pool": {"start": "10.255.255.253", "end": "10.255.255.255"}},
            ["10.255.255.253", "10.255.255.254"],
            id="its end",
        ),
    ],
)
async def test_pool_of_a_whole_8(pool: dict[str, Any], expected: list[str]) -> None:
    """Sixteen million addresses cost what ten cost: blocks exist for those in use (DESIGN, P6)."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/8", **pool)
    async with cluster.running() as (replica,):
        answers = [
            (await cluster.reserve(replica, pod(name), attachment()))[0] for name in ("a", "b")
        ]
        assert [answer.ip for answer in answers] == [f"{address}/8" for address in expected]
        assert len({answer.mac for answer in answers}) == 2
        assert len(cluster.blocks()) == 1


async def test_dual_stack_on_several_networks_at_once() -> None:
    """One request takes both families on several networks, several times on one; all or nothing."""
    # SPEC I2, B5
    cluster = Cluster()
    cluster.add_network("a", cidr="10.0.0.0/24", net6="2001:db8:a::/64")
    cluster.add_network("b", cidr="10.0.0.0/30")
    wanted = [
        attachment("b", interface="eth0"),
        attachment("a", interface="eth1", ip6="dynamic"),
        attachment("a", interface="eth2", ip6="dynamic"),
    ]
    async with cluster.running() as (replica,):
        answers = await cluster.reserve(replica, pod("p"), *wanted, attempt=1)
        assert [(answer.interface, answer.ip, answer.ip6) for answer in answers] == [
            ("eth0", "10.0.0.1/30", None),
            ("eth1", "10.0.0.1/24", "2001:db8:a:0:f816:3eff:fe00:1/64"),
            ("eth2", "10.0.0.2/24", "2001:db8:a:0:f816:3eff:fe00:2/64"),
        ]
        await cluster.reserve(replica, pod("q"), attachment("b"))
        before = cluster.addresses()
        with pytest.raises(PoolExhaustedError, match="ns/b"):
            await cluster.reserve(replica, pod("r"), *wanted)
        assert cluster.addresses() == before


async def test_the_deadline_of_a_request_ends_it() -> None:
    """A request is answered when its own time is over, whatever the API server does."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment())
        begun = cluster.clock.seconds
        _lose_writes(cluster.kube)
        with pytest.raises(DeadlineExceededError):
            await cluster.reserve(replica, pod("b"), attachment(), timeout_s=2)
        # The rest of the time is for giving back what may have been taken.
        assert 2 <= cluster.clock.seconds - begun <= 13


async def test_the_deadline_ends_a_request_that_only_looks() -> None:
    """A read that is not answered does not hold a request beyond its time either."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        gate = cluster.kube.hold_next("list", DANMIPBLOCKS)
        with pytest.raises(DeadlineExceededError, match="could not be read"):
            async with asyncio.timeout(HANGS_S):
                await cluster.reserve(replica, pod("a"), attachment(), timeout_s=0.05)
        gate.open()
        assert cluster.held() == []


def _lose_writes(kube: FakeKube) -> None:
    for _ in range(100):
        kube.fail_next("replace", DANMIPBLOCKS, _LOST)


async def test_who_lost_an_address_unheard_gets_another() -> None:
    """A replica that believes an owner to have what is somebody else's now asks nobody to wait."""
    # SPEC G2: only a static address is ever refused as taken.
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        async with cluster.frozen_watch() as behind:
            await cluster.release(replica, pod("a"), attempt=1)
            await cluster.reserve(replica, pod("b"), attachment(ip="10.0.0.1/24"))
            (answer,) = await cluster.reserve(behind, pod("a"), attachment(), attempt=9)
            assert answer.ip != "10.0.0.1/24"
            assert len(cluster.held()) == 2


async def test_two_batches_for_the_last_addresses() -> None:
    """Of two that want the same last addresses, named in any order, one gets them all."""
    # DESIGN, "Several networks are taken in canonical order"
    cluster = Cluster()
    for name in ("a", "b"):
        cluster.add_network(name, cidr="10.0.0.4/32")
    there = [attachment("a", interface="eth0"), attachment("b", interface="eth1")]
    back = [attachment("b", interface="eth0"), attachment("a", interface="eth1")]
    async with cluster.running() as (replica,):
        results = await asyncio.gather(
            cluster.reserve(replica, pod("p"), *there),
            cluster.reserve(replica, pod("q"), *back),
            return_exceptions=True,
        )
        failed = [each for each in results if isinstance(each, BaseException)]
        assert [type(each) for each in failed] == [PoolExhaustedError]
        assert len(cluster.held()) == 2


async def test_networks_with_plenty_are_written_at_once() -> None:
    """A batch takes the time of its slowest network, not of all of them."""
    # PEERS, complaint 1
    cluster = Cluster()
    for name in ("a", "b"):
        cluster.add_network(name, cidr="10.0.0.0/16")
    async with cluster.running() as (replica,):
        gates = [cluster.kube.hold_next("replace", DANMIPBLOCKS) for _ in ("a", "b")]
        reserving = asyncio.create_task(
            cluster.reserve(replica, pod("p"), attachment("a"), attachment("b", interface="eth1"))
        )
        for gate in gates:
            await asyncio.wait_for(gate.reached.wait(), timeout=HANGS_S)
        for gate in gates:
            gate.open()
        answers = await reserving
        assert [answer.ip for answer in answers] == ["10.0.0.1/16", "10.0.0.1/16"]


@pytest.mark.parametrize(
    ("cidr", "ip"), [("10.0.0.0/24", "dynamic"), ("10.0.0.0/16", "10.0.0.9/16")]
)
async def test_networks_that_others_may_wait_for_are_taken_in_order(cidr: str, ip: str) -> None:
    """Few addresses, or a certain one: the second network is not touched before the first.

    What others have plenty of comes after them, all at once, whatever its name.
    """
    # DESIGN, "Several networks are taken in canonical order"
    cluster = Cluster()
    names = ("a", "b", "c", "d")
    for name in names:
        cluster.add_network(name, cidr="10.0.0.0/16" if name in ("a", "c") else cidr)
    asked = [
        attachment(name, interface=f"eth{i}", ip="dynamic" if name in ("a", "c") else ip)
        for i, name in enumerate(names)
    ]
    async with cluster.running() as (replica,):
        gates = [cluster.kube.hold_next("replace", DANMIPBLOCKS) for _ in names]
        reserving = asyncio.create_task(cluster.reserve(replica, pod("p"), *asked))
        seen = []
        for begin, end in ((0, 1), (1, 2), (2, 4)):
            for gate in gates[begin:end]:
                await asyncio.wait_for(gate.reached.wait(), timeout=HANGS_S)
            seen.append({block.network for block in cluster.blocks()})
            for gate in gates[begin:end]:
                gate.open()
        await reserving
    assert seen == [{"b"}, {"b", "d"}, {"a", "b", "c", "d"}]


async def test_a_batch_that_lacks_an_address_has_written_nothing_elsewhere() -> None:
    """Pods that are tried again and again cost the networks with plenty nothing."""
    # DESIGN P6
    cluster = Cluster()
    cluster.add_network("a", cidr="10.0.0.0/16")
    cluster.add_network("b", cidr="10.1.0.0/32")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("first"), attachment("b"))
        cluster.kube.calls.clear()
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(
                replica, pod("p"), attachment("a"), attachment("b", interface="eth1")
            )
        assert cluster.kube.calls["create", DANMIPBLOCKS.plural] == 0
        assert cluster.kube.calls["replace", DANMIPBLOCKS.plural] == 0


class _Uneven(FakeKube):
    """An API server whose writes take different times."""

    def __init__(self, seed: int) -> None:
        """Draw the times, in turns of the event loop."""
        super().__init__()
        self._random = Random(seed)

    async def replace(
        self,
        resource: Resource,
        body: RawObject,
        *,
        namespace: str | None = None,
        subresource: str = "",
        answer: Answer = Answer.OBJECT,
    ) -> RawObject:
        """Replace an object, some time later."""
        for _ in range(self._random.randrange(30)):
            await asyncio.sleep(0)
        return await super().replace(
            resource, body, namespace=namespace, subresource=subresource, answer=answer
        )


@pytest.mark.parametrize("replicas", [2, 4])
@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_batches_fills_networks_exactly(replicas: int, seed: int) -> None:
    """As many batches as there are addresses get theirs, however many want the same networks."""
    # DESIGN P4 and "Several networks are taken in canonical order"
    cluster = Cluster()
    cluster.kube = _Uneven(seed)
    for name in ("a", "b"):
        cluster.add_network(name, cidr="10.0.0.0/24")
    cluster.add_network("c", cidr="10.1.0.0/16")
    async with cluster.running(replicas) as running:
        results = await asyncio.gather(
            *(
                cluster.reserve(
                    running[i % replicas],
                    pod(f"p{i}"),
                    *(
                        attachment(name, interface=f"eth{number}")
                        # Named in any order; nobody lacks one of c.
                        for number, name in enumerate("abc" if i % 2 else "cba")
                    ),
                    fresh=True,
                    timeout_s=1e6,
                )
                for i in range(300)
            ),
            return_exceptions=True,
        )
        failed = [each for each in results if isinstance(each, BaseException)]
        assert {type(each) for each in failed} == {PoolExhaustedError}
        assert len(failed) == 300 - 254
        assert len(cluster.held()) == 3 * 254


async def test_an_address_comes_back_last_whichever_replica_is_asked() -> None:
    """What was given back is handed out again when the search has come around, not at once."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/28")
    async with cluster.running(2) as replicas:

        async def take(number: int) -> str:
            owner, attempt = pod(f"p{number}"), number + 1
            replica, other = replicas[number % 2], replicas[1 - number % 2]
            (answer,) = await cluster.reserve(replica, owner, attachment(), attempt=attempt)
            if number >= len(replicas):
                await cluster.release(other, owner, attempt=attempt)
            versions = {each.resource_version for each in cluster.blocks()}
            await eventually(
                lambda: versions
                == {b.resource_version for r in replicas for b in r.ledger.all_blocks()}
            )
            return str(answer.ip).partition("/")[0]

        # The first ones stay: each replica has handed out something.
        taken = [await take(number) for number in range(16)]
    assert taken == [f"10.0.0.{last}" for last in (*range(1, 15), 3, 4)]
