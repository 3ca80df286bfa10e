"""Who uses a DanmNet."""

from ipaddress import ip_address

import pytest

from danm_api.codec.danmep import encode_danmep
from danm_api.codec.ip_block import encode_ip_block
from danm_api.errors import ConflictError
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.testing.builders import (
    NAMESPACE,
    a_block,
    a_danmep,
    a_danmnet,
    a_held_entry,
    a_pod_owner,
)
from danm_api.testing.fake_kube import FakeKube
from netwatcher.network_use import ClusterUseReader


async def test_an_unreadable_danmep_is_a_user_nevertheless() -> None:
    """What only one node's daemon could have spoilt neither hides its Pod nor stops the look."""
    kube = FakeKube()
    spoilt = encode_danmep(a_danmep("spoilt", pod="processor-2"))
    spoilt["spec"]["Interface"]["Address"] = "x"
    for raw in (encode_danmep(a_danmep()), spoilt, encode_danmep(a_danmep("o", network="other"))):
        await kube.create(DANMEPS, raw, namespace=NAMESPACE)
    # DESIGN, "A rooted node must stay one node"; SPEC N5
    use = await ClusterUseReader(kube).use_of(a_danmnet())
    names = [f"Pod {NAMESPACE}/processor-{number}" for number in (1, 2)]
    assert sorted(use.interfaces) == names


class OddBlock:
    """A network with a block of a later release, and one after it that can be read."""

    def __init__(self, net: DanmNet) -> None:
        self._kube = FakeKube()
        self.use = ClusterUseReader(self._kube)
        odd = encode_ip_block(a_block("10.0.0.0", network=net.name, network_uid=net.uid))
        odd["spec"]["entries"] = ['{"kind": "OfALaterRelease"}']
        self._stored = self._kube.add(DANMIPBLOCKS, odd)
        entry = a_held_entry("10.0.0.64", owner=a_pod_owner("readable"))
        readable = a_block("10.0.0.64", entry, network=net.name, network_uid=net.uid)
        self._kube.add(DANMIPBLOCKS, encode_ip_block(readable))
        self.words = f"the unreadable DanmIPBlock {NAMESPACE}/{odd['metadata']['name']}"

    def untouched(self) -> bool:
        """Say whether nobody has written it: it may say what such a write would lose."""
        name = self._stored["metadata"]["name"]
        return self._kube.stored(DANMIPBLOCKS, name, namespace=NAMESPACE) == self._stored


@pytest.mark.parametrize("fence", [pytest.param(True, id="fenced"), pytest.param(False, id="read")])
async def test_an_unreadable_block_uses_its_network_and_hides_nobody(*, fence: bool) -> None:
    """Each of its addresses is held, as one of them may be, and those after it are found."""
    # SPEC N5; DESIGN P1, P7
    net = a_danmnet(cidr="10.0.0.0/24")
    odd = OddBlock(net)
    use = await odd.use.use_of(net, fence=(lambda _: True) if fence else None)
    assert set(use.everybody) == {odd.words, f"Pod {NAMESPACE}/readable"}
    assert use.holders[ip_address("10.0.0.63")] == odd.words
    assert use.holders[ip_address("10.0.0.64")] == f"Pod {NAMESPACE}/readable"
    assert len(use.holders) == 65
    assert odd.untouched()


@pytest.mark.parametrize("fence", [pytest.param(True, id="fenced"), pytest.param(False, id="read")])
@pytest.mark.parametrize(
    ("former", "count"),
    [
        pytest.param(False, 5, id="of a neighbour, in the pool"),
        pytest.param(True, 65, id="of a former network of the name, in its subnet"),
    ],
)
async def test_an_unreadable_block_on_the_wire_keeps_its_addresses(
    *, former: bool, count: int, fence: bool
) -> None:
    """Each of them has a holder, who is named, and so have those of the blocks after it."""
    # SPEC N1; DESIGN P1, P7
    other = a_danmnet("internal" if former else "neighbour", uid="other", cidr="10.0.0.0/24")
    pool = {"start": "10.0.0.60", "end": "10.0.0.70"}
    net = a_danmnet(cidr="10.0.0.0/24", allocation_pool=pool)
    odd = OddBlock(other)
    assert isinstance(net.spec, NetworkSpec)
    others = [] if former else [other]
    found = await odd.use.holders_in_pools(net, net.spec, others, fence=fence)
    where = f"a former DanmNet {NAMESPACE}/internal" if former else f"DanmNet {NAMESPACE}/neighbour"
    assert found[ip_address("10.0.0.63")] == f"{odd.words} on {where}"
    assert found[ip_address("10.0.0.64")] == f"Pod {NAMESPACE}/readable on {where}"
    assert len(found) == count
    assert odd.untouched()


async def test_an_object_that_is_no_block_is_a_user_without_addresses() -> None:
    """Somebody has made it by hand: what it says of whom can only be read by people."""
    net = a_danmnet(cidr="10.0.0.0/24")
    kube = FakeKube()
    odd = encode_ip_block(a_block("10.0.0.0", network=net.name, network_uid=net.uid))
    odd["metadata"]["name"], odd["spec"]["cidr"] = "by-hand", "x"
    kube.add(DANMIPBLOCKS, odd)
    use = await ClusterUseReader(kube).use_of(net)
    words = f"the unreadable DanmIPBlock {NAMESPACE}/by-hand"
    assert (use.interfaces, use.holders) == ((words,), {})


class BusyBlock:
    """A block that somebody else writes just before each of some writes."""

    def __init__(self, *, conflicts: int) -> None:
        self.pauses: list[float] = []
        self._kube = FakeKube()
        self._net = a_danmnet()
        self._block = a_block(network_uid=self._net.uid)
        self._kube.add(DANMIPBLOCKS, encode_ip_block(self._block))
        error = ConflictError("ipam-svc was quicker")
        self._kube.fail_next("replace", DANMIPBLOCKS, error, times=conflicts)

    async def fence(self) -> None:
        """Fence it as an edit of its network does."""
        await ClusterUseReader(self._kube, sleep=self._sleep).use_of(
            self._net, fence=lambda _: True
        )

    def fences(self) -> int:
        """Return how often it was fenced."""
        stored = self._kube.stored(DANMIPBLOCKS, self._block.name, namespace=NAMESPACE)
        assert stored is not None
        fences: int = stored["spec"].get("fence", 0)
        return fences

    async def _sleep(self, delay_s: float) -> None:
        self.pauses.append(delay_s)


async def test_a_fence_waits_between_its_tries() -> None:
    """Whoever writes the block is not hurried, and the fence is in it in the end."""
    busy = BusyBlock(conflicts=3)  # decision 0010
    await busy.fence()
    assert busy.fences() == 1
    assert [pause > 0 for pause in busy.pauses] == [True] * 3


async def test_a_fence_gives_up_on_a_block_that_never_rests() -> None:
    """The validator, which judges one DanmNet after the other, has others to judge."""
    busy = BusyBlock(conflicts=1000)  # SPEC N1
    with pytest.raises(ConflictError, match="times in a row"):
        await busy.fence()
    assert busy.fences() == 0
    assert sum(busy.pauses) < 5
