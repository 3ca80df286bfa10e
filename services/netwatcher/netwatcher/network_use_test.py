"""Who uses a DanmNet."""

import pytest

from danm_api.codec.danmep import encode_danmep
from danm_api.codec.ip_block import encode_ip_block
from danm_api.errors import ConflictError
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS
from danm_api.testing.builders import NAMESPACE, a_block, a_danmep, a_danmnet
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
