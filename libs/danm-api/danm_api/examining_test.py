"""Looking twice at the whole cluster."""

from danm_api.codec.ip_block import encode_ip_block
from danm_api.errors import ApiError
from danm_api.examining import examine_twice, look
from danm_api.kube.api import DANMIPBLOCKS, NODES, PODS
from danm_api.model.ipam_report import FindingKind
from danm_api.testing.builders import NAMESPACE, a_block, a_held_entry
from danm_api.testing.clock import START
from danm_api.testing.fake_kube import FakeKube


def a_cluster() -> FakeKube:
    """Return one whose record holds an address of a Pod that is gone, as is its DanmNet."""
    kube = FakeKube()
    kube.add(NODES, {"metadata": {"name": "node-1"}})
    kube.add(DANMIPBLOCKS, encode_ip_block(a_block("10.0.0.1", a_held_entry("10.0.0.1"))))
    return kube


async def test_only_what_both_looks_see_is_found() -> None:
    """What ends between them was in flight; the report counts what the second one has seen."""
    kube = a_cluster()

    async def give_back(_: float) -> None:
        block = kube.all_stored(DANMIPBLOCKS)[0]
        block["spec"]["entries"] = []
        await kube.replace(DANMIPBLOCKS, block, namespace=NAMESPACE)

    async def nothing(_: float) -> None:
        pass

    seen = await examine_twice(kube, now=lambda: START, sleep=nothing, between_looks_s=1)
    kinds = [each.finding.kind for each in seen.found]
    assert kinds == [FindingKind.ADDRESS_WITHOUT_POD, FindingKind.BLOCK_WITHOUT_NETWORK]
    assert seen.report(()).examined.addresses == 1
    seen = await examine_twice(kube, now=lambda: START, sleep=give_back, between_looks_s=1)
    kinds = [each.finding.kind for each in seen.found]
    assert kinds == [FindingKind.BLOCK_WITHOUT_NETWORK]
    assert seen.report(()).examined.addresses == 0


async def test_a_list_that_is_forgotten_is_read_anew() -> None:
    """Each object is seen once, and none is missing, whatever page it was on."""
    kube = a_cluster()
    for name in ("a", "b", "c"):
        kube.add(PODS, {"metadata": {"namespace": NAMESPACE, "name": name, "uid": name}})
        kube.add(
            DANMIPBLOCKS, {"metadata": {"namespace": NAMESPACE, "name": name}, "spec": {"cidr": 1}}
        )
    for resource in (PODS, DANMIPBLOCKS):
        kube.fail_next("page", resource, ApiError("expired", status=410))
    seen = await look(kube, now=lambda: START)
    assert [pod.name for pod in seen.pods] == ["a", "b", "c"]
    assert [each.name for each in seen.unreadable] == ["a", "b", "c"]


async def test_it_only_reads() -> None:
    """List rights are enough."""
    kube = a_cluster()
    await look(kube, now=lambda: START)
    assert {method for method, _ in kube.calls} == {"list"}


async def test_what_cannot_be_read_is_kept_apart() -> None:
    """Nothing may be concluded from the absence of an object that is there."""
    kube = a_cluster()
    kube.add(
        DANMIPBLOCKS, {"metadata": {"namespace": NAMESPACE, "name": "broken"}, "spec": {"cidr": 1}}
    )
    kube.add(PODS, {"metadata": {"namespace": NAMESPACE, "name": "p", "uid": "u"}})
    seen = await look(kube, now=lambda: START)
    assert [each.name for each in seen.unreadable] == ["broken"]
    assert (len(seen.blocks), len(seen.pods)) == (1, 1)
