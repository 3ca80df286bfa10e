"""Who uses a DanmNet."""

from danm_api.codec.danmep import encode_danmep
from danm_api.kube.api import DANMEPS
from danm_api.testing.builders import NAMESPACE, a_danmep, a_danmnet
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
