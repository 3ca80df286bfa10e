"""Who uses a link of the node."""

from danm_api.codec.danmep import encode_danmep
from danm_api.kube.api import DANMEPS
from danm_api.names import InterfaceName, NodeName
from danm_api.testing.builders import NAMESPACE, NODE, a_danmep
from danm_api.testing.fake_kube import FakeKube
from netwatcher.links import ObservedLink, OtherKind
from netwatcher.testing.fake_kernel import FakeKernel
from netwatcher.users import ClusterLinkUsers


async def test_only_the_nodes_own_danmeps_count_readable_or_not() -> None:
    """A DanmEp of rubbish keeps its link; one that another node labelled as ours does not."""
    kube = FakeKube()
    spoilt = encode_danmep(a_danmep("spoilt", pod="processor-2"))
    spoilt["spec"]["Interface"]["Address"] = "x"
    forged = encode_danmep(a_danmep("forged", pod="processor-3"))
    forged["spec"]["Host"] = "rooted"
    for raw in (encode_danmep(a_danmep()), spoilt, forged):
        await kube.create(DANMEPS, raw, namespace=NAMESPACE)
    link = ObservedLink(
        index=7,
        name=InterfaceName("vx_internal"),
        alias="",
        group=0,
        up=True,
        carrier=True,
        mtu=1450,
        kind=OtherKind(name="vxlan"),
    )
    users = ClusterLinkUsers(api=kube, kernel=FakeKernel(), node=NodeName(NODE))
    # DESIGN, "A rooted node must stay one node"
    found = await users.users_of(link.name, link, plain=())
    assert found == [f"Pod {NAMESPACE}/processor-{number}" for number in (1, 2)]
