"""The DanmNets that danmd knows of."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.errors import NetworkNotFoundError
from danm_api.kube.api import DANMNETS, PODS
from danm_api.names import Namespace, NetworkName
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from danm_cni.networks import Networks

_HERE = Namespace(NAMESPACE)
_NEW = NetworkName("new")


@pytest.fixture()
def kube() -> FakeKube:
    """Give an empty cluster."""
    return FakeKube()


@pytest.fixture()
async def watched(kube: FakeKube) -> AsyncIterator[Networks]:
    """Watch the DanmNets of the cluster."""
    networks = Networks(kube)
    watch = asyncio.create_task(networks.informer.run())
    await networks.informer.wait_synced(30)
    yield networks
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def _until_shown(networks: Networks, name: str) -> None:
    async with asyncio.timeout(30):
        while not any(each.name == name for each in networks.informer.items()):
            await asyncio.sleep(0.005)


async def test_the_watch_s_copy_beats_a_fetched_one(kube: FakeKube) -> None:
    """What was fetched before the watch came up is not what an edit has made since."""
    networks = Networks(kube)
    kube.add(DANMNETS, a_raw_danmnet("new", host_device="ens3"))
    await networks.refresh(_HERE, [_NEW])
    patch = {"spec": {"Options": {"host_device": "ens4"}}}
    await kube.patch(DANMNETS, "new", patch, namespace=NAMESPACE)
    watch = asyncio.create_task(networks.informer.run())
    await networks.informer.wait_synced(30)
    found = networks.get(_HERE, _NEW)
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    assert found is not None
    assert "ens4" in str(found.spec)


async def test_what_the_watch_has_is_not_fetched(kube: FakeKube, watched: Networks) -> None:
    """An ADD reads nothing in the usual case, and a name that is asked twice once."""
    kube.add(DANMNETS, a_raw_danmnet("shown"))
    await _until_shown(watched, "shown")
    await watched.refresh(_HERE, [NetworkName("shown")])
    # DESIGN, "An ADD", step 2
    assert kube.calls["get", "danmnets"] == 0
    await watched.refresh(_HERE, [_NEW, _NEW])
    assert kube.calls["get", "danmnets"] == 1


async def test_what_was_read_counts_until_the_watch_has_come_as_far(kube: FakeKube) -> None:
    """A watch that has died silently shows what was; once it is back, its own copy counts."""
    networks = Networks(kube)
    watch = asyncio.create_task(networks.informer.run())
    kube.add(DANMNETS, a_raw_danmnet("new", host_device="ens3"))
    await _until_shown(networks, "new")
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)
    await kube.delete(DANMNETS, "new", namespace=NAMESPACE)
    kube.add(DANMNETS, a_raw_danmnet("new", host_device="ens4", uid="uid-2"))
    assert "ens3" in _spec_of(networks)
    await networks.read(_HERE, _NEW)
    assert "ens4" in _spec_of(networks)
    # A look for others does not throw it away.
    await networks.refresh(_HERE, [_NEW])
    assert "ens4" in _spec_of(networks)
    watch = asyncio.create_task(networks.informer.run())
    patch = {"spec": {"Options": {"host_device": "ens5"}}}
    await kube.patch(DANMNETS, "new", patch, namespace=NAMESPACE)
    await _until_spec_has(networks, "ens5")
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_what_was_read_does_not_come_back_while_all_is_read_anew(
    kube: FakeKube, watched: Networks
) -> None:
    """A watch that the API server has forgotten begins with a list; what it has shown is newer."""
    kube.add(DANMNETS, a_raw_danmnet("new", host_device="ens3"))
    await watched.read(_HERE, _NEW)
    patch = {"spec": {"Options": {"host_device": "ens4"}}}
    await kube.patch(DANMNETS, "new", patch, namespace=NAMESPACE)
    await _until_spec_has(watched, "ens4")
    gate = kube.hold_next("list", DANMNETS)
    kube.add(PODS, {"metadata": {"namespace": NAMESPACE, "name": "any"}})
    kube.compact()
    async with asyncio.timeout(30):
        await gate.reached.wait()
    assert "ens4" in _spec_of(watched)
    gate.open()


async def test_what_was_read_before_a_restored_backup_counts_no_more(
    kube: FakeKube, watched: Networks
) -> None:
    """Versions begin again where they were."""
    kube.add(DANMNETS, a_raw_danmnet("new", host_device="ens3"))
    backup = kube.backup()
    patch = {"spec": {"Options": {"host_device": "ens4"}}}
    await kube.patch(DANMNETS, "new", patch, namespace=NAMESPACE)
    await watched.read(_HERE, _NEW)
    await _until_spec_has(watched, "ens4")
    kube.restore(backup)
    await _until_spec_has(watched, "ens3")


async def _until_spec_has(networks: Networks, text: str) -> None:
    async with asyncio.timeout(30):
        while (found := networks.get(_HERE, _NEW)) is None or text not in str(found.spec):
            await asyncio.sleep(0.005)


def _spec_of(networks: Networks) -> str:
    found = networks.get(_HERE, _NEW)
    assert found is not None
    return str(found.spec)


async def test_another_namespace_has_networks_of_its_own(kube: FakeKube) -> None:
    """A Pod gets its own namespace's network, whatever others call theirs."""
    networks = Networks(kube)
    kube.add(DANMNETS, a_raw_danmnet("new", namespace="elsewhere"))
    await networks.refresh(_HERE, [_NEW])
    # SPEC B1
    assert networks.get(_HERE, _NEW) is None
    with pytest.raises(NetworkNotFoundError, match=f"no DanmNet {NAMESPACE}/new; create it"):
        await networks.read(_HERE, _NEW)
    assert (await networks.read(Namespace("elsewhere"), _NEW)).name == "new"


async def test_static_types_are_those_that_pods_may_use(kube: FakeKube, watched: Networks) -> None:
    """GC goes to no plugin of a DanmNet that was refused or not judged yet."""
    for name, network_type, judged in (
        ("a", "calico", True),
        ("b", "calico", True),
        ("c", "macvlan", True),
        ("d", "flannel", False),
    ):
        raw = a_raw_danmnet(name, network_type=network_type, host_device="ens3")
        status = encode_status(accepted(decode_danmnet(raw)).status)
        kube.add(DANMNETS, {**raw, "status": status} if judged else raw)
    await _until_shown(watched, "d")
    # SPEC C6, G1
    assert watched.static_types() == {"calico"}
