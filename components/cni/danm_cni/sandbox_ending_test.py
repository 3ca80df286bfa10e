"""Which DELs are done, which wait, and what becomes of a sandbox that nobody asks for any more."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from danm_api.errors import DelegateError, LinkSetupError, SeveralErrors
from danm_api.kube.api import PODS
from danm_api.names import ContainerId, InterfaceName, PodUid
from danm_api.testing.builders import NAMESPACE
from danm_cni.journal import SandboxState
from danm_cni.sandbox_ending import SandboxEnding, pod_key
from danm_cni.testing.demo import INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode, counted, netns_of

_FALLBACK = {"cniVersion": "1.1.0", "name": "old", "type": "ptp"}
_C1 = ContainerId("c1")


def _ending(node: FakeNode) -> SandboxEnding:
    return node.daemon.sandboxes.ending


def _states(node: FakeNode) -> dict[str, SandboxState]:
    return {each.container_id: each.state for each in node.daemon.journal.records()}


def _left_for_later(node: FakeNode) -> list[str]:
    return sorted(each.name for each in node.config.paths.tombstones.iterdir())


async def _delete(
    node: FakeNode, container_id: str = "c1", *, wait_s: float = 30, informed: bool = True
) -> None:
    await _ending(node).delete(
        node.request("DEL", container_id),
        deadline_s=time.monotonic() + wait_s,
        informed=informed,
    )


async def _have(node: FakeNode, *, state: SandboxState = SandboxState.ADDED) -> None:
    """Have a sandbox of a living Pod, with a delegate's interface and one of danmd's own."""
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL])
    await node.add()
    if state is SandboxState.HELD:
        await node.delete()
    else:
        record = node.daemon.journal.existing(_C1)
        await node.daemon.journal.put(msgspec.structs.replace(record, state=state))
    assert _states(node) == {"c1": state}


@pytest.mark.parametrize("informed", [True, False])
async def test_a_del_of_a_known_container_is_done(node: FakeNode, *, informed: bool) -> None:
    """The journal is enough to know what there is; the Pod lives, so its addresses stay."""
    await _have(node)
    await _delete(node, informed=informed)
    assert (_states(node), _left_for_later(node)) == ({"c1": SandboxState.HELD}, [])
    assert node.interfaces() == {}


async def test_before_the_watches_are_read_an_unknown_container_may_be_known(
    node: FakeNode,
) -> None:
    """Its DanmEps may tell of it later: nothing is called for it, and the DEL is kept."""
    # DESIGN, P5
    node.write_cni_config("10-old.conf", _FALLBACK)
    await _delete(node, "unknown", informed=False)
    assert (_left_for_later(node), node.plugins.deleted_with) == (["unknown"], [])
    await _delete(node, "unknown")
    assert len(node.plugins.deleted_with) == 1


async def test_a_failure_is_answered_only_where_danmd_knows_nothing(node: FakeNode) -> None:
    """Of what the journal has, danmd will go on by itself; a DEL of the fallback it forgets."""
    # SPEC C4; DESIGN, P5
    node.write_cni_config("10-old.conf", _FALLBACK)
    node.plugins.failures.fail("ptp-del", DelegateError("no", code=5))
    with pytest.raises(DelegateError, match="no"):
        await _delete(node, "unknown")
    await _have(node)
    node.plugins.failures.fail("bridge-del", DelegateError("no", code=5))
    await _delete(node)
    assert (_states(node), _left_for_later(node)) == ({"c1": SandboxState.REMOVING}, [])


async def test_a_del_that_takes_too_long_is_answered_in_time(node: FakeNode) -> None:
    """A little before the deadline, while it goes on; the journal has it, so nothing is left."""
    # DESIGN, P5
    await _have(node)
    node.plugins.failures.hang("bridge-del")
    first = asyncio.create_task(_delete(node))
    await node.until(lambda: node.plugins.failures.hanging["bridge-del"] == 1)
    began = time.monotonic()
    await _delete(node, wait_s=0.5)
    assert time.monotonic() - began >= 0.25
    assert (_states(node), _left_for_later(node)) == ({"c1": SandboxState.REMOVING}, [])
    assert not first.done()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_del_whose_turn_does_not_come_is_kept(node: FakeNode) -> None:
    """Whoever holds the container does not know of it; danmd may die before the turn comes."""
    # DESIGN, P5
    await _have(node)
    locks = node.daemon.sandboxes.locks
    async with locks.hold("c1"):
        await _delete(node, wait_s=-1)
        assert (_states(node), _left_for_later(node)) == ({"c1": SandboxState.ADDED}, ["c1"])
    await node.until(lambda: _states(node) == {"c1": SandboxState.HELD})


async def test_a_del_of_what_an_add_has_not_written_yet_is_kept(node: FakeNode) -> None:
    """Its ADD holds the container, and the journal does not know it."""
    async with node.daemon.sandboxes.locks.hold("c1"):
        await _delete(node, wait_s=-1)
        assert _left_for_later(node) == ["c1"]


async def test_a_del_waits_for_the_pod(node: FakeNode) -> None:
    """Another sandbox of the Pod is being made: its ADD may be about to take over addresses."""
    await _have(node)
    async with node.daemon.sandboxes.locks.hold(pod_key(PodUid("uid-pod-1"))):
        await _delete(node, wait_s=-1)
        assert (_states(node), _left_for_later(node)) == ({"c1": SandboxState.ADDED}, ["c1"])
        assert set(node.interfaces()) == {"eth0", "eth1"}
    await node.until(lambda: _states(node) == {"c1": SandboxState.HELD})


def test_a_pod_is_no_container() -> None:
    """A container that is called as a Pod's uid has a lock of its own."""
    locked = {pod_key(PodUid("c1")), ContainerId("c1"), pod_key(PodUid("c1"))}
    assert len(locked) == 2


async def test_a_sandbox_that_is_gone_is_not_removed_again(node: FakeNode) -> None:
    """Only its addresses are kept, which are the Pod's."""
    # DESIGN, "When an address is released"
    await _have(node, state=SandboxState.HELD)
    await node.end_pod()
    await _delete(node)
    assert _states(node) == {"c1": SandboxState.HELD}
    assert len(node.plugins.deleted_with) == 1


async def test_a_del_of_another_interface_removes_nothing(node: FakeNode) -> None:
    """The container has its interfaces by the ADD of one CNI_IFNAME."""
    # CNI 1.1.0, section 2
    await _have(node)
    request = replace(node.request("DEL", "c1"), interface=InterfaceName("net1"))
    await _ending(node).delete(request, deadline_s=time.monotonic() + 30, informed=True)
    assert set(node.interfaces()) == {"eth0", "eth1"}
    assert _states(node) == {"c1": SandboxState.ADDED}


async def test_what_only_danmeps_tell_of_is_removed(node: FakeNode) -> None:
    """After the journal is lost a DEL finds the sandbox, and calls no other plugin for it."""
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await node.until(lambda: len(node.daemon.informers[2].items()) == 1)
    await node.end_pod()
    await node.lose_journal()
    node.write_cni_config("10-old.conf", _FALLBACK)
    await _delete(node)
    assert (node.leftovers(), node.plugins.deleted_with) == ({}, [])


async def test_what_an_add_of_this_danmd_was_refused_is_not_the_fallbacks(
    node: FakeNode,
) -> None:
    """Such a container has nothing; one that danmd never heard of may be of before."""
    node.write_cni_config("10-old.conf", _FALLBACK)
    node.daemon.journal.note_add(_C1)
    await _delete(node)
    assert node.plugins.deleted_with == []
    await _delete(node, "c2")
    assert len(node.plugins.deleted_with) == 1


async def test_an_answer_that_nobody_took_is_undone_in_the_background(node: FakeNode) -> None:
    """As by a DEL."""
    await _have(node)
    await node.end_pod()
    await _ending(node).abandon(node.request("ADD", "c1"))
    await node.until(lambda: not node.leftovers())


async def test_a_del_that_was_left_is_done(node: FakeNode) -> None:
    """And what fails is told, since nobody else tries it again."""
    await _have(node)
    await node.end_pod()
    node.kernel.failures.fail("take_down", LinkSetupError("busy"))
    with pytest.raises(LinkSetupError, match="busy"):
        await _ending(node).finish_tombstone(node.request("DEL", "c1"))
    await _ending(node).finish_tombstone(node.request("DEL", "c1"))
    assert node.leftovers() == {}


@pytest.mark.parametrize(
    ("state", "namespace_gone", "pod_gone", "left"),
    [
        pytest.param(SandboxState.ADDED, False, False, SandboxState.ADDED, id="lives"),
        pytest.param(
            SandboxState.ADDED, False, True, SandboxState.ADDED, id="its Pod ends, and no DEL came"
        ),
        pytest.param(
            SandboxState.ADDED, True, False, SandboxState.HELD, id="its namespace is gone"
        ),
        pytest.param(SandboxState.ADDED, True, True, None, id="namespace and Pod are gone"),
        pytest.param(SandboxState.ADDING, False, False, SandboxState.HELD, id="half made"),
        pytest.param(SandboxState.ADDING, False, True, None, id="half made, of no Pod"),
        pytest.param(SandboxState.REMOVING, False, False, SandboxState.HELD, id="half removed"),
        pytest.param(SandboxState.REMOVING, False, True, None, id="half removed, of no Pod"),
        pytest.param(SandboxState.HELD, False, False, SandboxState.HELD, id="kept for its Pod"),
        pytest.param(SandboxState.HELD, True, True, None, id="kept for no Pod any more"),
    ],
)
async def test_what_is_left_to_do_follows_from_the_state(
    node: FakeNode,
    state: SandboxState,
    left: SandboxState | None,
    *,
    namespace_gone: bool,
    pod_gone: bool,
) -> None:
    """What is not to be removed keeps its interfaces, and a living Pod its addresses."""
    # DESIGN, P2 and P3
    await _have(node, state=state)
    if pod_gone:
        await node.end_pod()
    if namespace_gone:
        node.kernel.gone.add(netns_of("c1"))
        node.kernel.namespaces.clear()
    await _ending(node).finish(_C1)
    assert _states(node) == ({} if left is None else {"c1": left})
    assert bool(node.interfaces()) == (left is SandboxState.ADDED)
    assert len(node.addresses.entries) == (0 if left is None else 1)


async def test_only_what_nobody_asked_for_is_news(node: FakeNode) -> None:
    """An address that comes back since its namespace is gone is told; a half-made one's is not."""
    # Issue 4
    before = counted("danmd_addresses_given_back_total")
    for state, more in ((SandboxState.REMOVING, 0), (SandboxState.ADDED, 1)):
        await _have(node, state=state)
        await node.end_pod()
        node.kernel.gone.add(netns_of("c1"))
        await _ending(node).finish(_C1)
        assert counted("danmd_addresses_given_back_total") == before + more
        node.kernel.gone.clear()
        node.kernel.namespaces.clear()
        await node.kube.delete(PODS, "pod-1", namespace=NAMESPACE)


async def test_nothing_is_finished_of_what_is_unknown(node: FakeNode) -> None:
    """It may have been forgotten since it was listed."""
    await _ending(node).finish(_C1)
    assert node.leftovers() == {}


async def test_who_holds_a_container_is_not_waited_for(node: FakeNode) -> None:
    """A comparison of all sandboxes does not hang on one ADD; that goes on by itself."""
    await _have(node, state=SandboxState.REMOVING)
    async with node.daemon.sandboxes.locks.hold("c1"), asyncio.timeout(30):
        await _ending(node).finish(_C1)
    assert _states(node) == {"c1": SandboxState.REMOVING}


async def test_what_is_finished_waits_for_the_pod(node: FakeNode) -> None:
    """Another sandbox of the Pod is being made; nobody else works on this one meanwhile."""
    await _have(node, state=SandboxState.REMOVING)
    locks = node.daemon.sandboxes.locks
    async with locks.hold(pod_key(PodUid("uid-pod-1"))):
        work = asyncio.create_task(_ending(node).finish(_C1))
        await asyncio.wait({work}, timeout=0.1)
        assert (work.done(), locks.is_held("c1")) == (False, True)
        assert set(node.interfaces()) == {"eth0", "eth1"}
    await work
    assert _states(node) == {"c1": SandboxState.HELD}


def _gc(*listed: str, name: str = "danm") -> Mapping[str, Any]:
    return {
        "name": name,
        "cni.dev/valid-attachments": [{"containerID": e, "ifname": "eth0"} for e in listed],
    }


@pytest.mark.parametrize(
    ("listed", "name", "left"),
    [
        pytest.param(["c1", "c2"], "danm", {"c1", "c2"}, id="all are listed"),
        pytest.param(["c2"], "danm", {"c2"}, id="one is not"),
        pytest.param([], "danm", set(), id="none is"),
        pytest.param([], "other", {"c1", "c2"}, id="of another configuration"),
    ],
)
async def test_what_a_runtime_does_not_list_is_removed(
    node: FakeNode, listed: list[str], name: str, left: set[str]
) -> None:
    """Of its own network configuration alone."""
    # SPEC C6
    for number in (1, 2):
        node.add_pod(f"pod-{number}", interfaces=[INTERNAL])
        await node.add(f"c{number}", pod=f"pod-{number}")
    for number in (1, 2):
        await node.end_pod(f"pod-{number}")
    request = node.request("GC", "", **_gc(*listed, name=name))
    await _ending(node).remove_unlisted(request)
    assert set(_states(node)) == left


async def test_a_sandbox_of_an_unknown_configuration_is_anybodys(node: FakeNode) -> None:
    """What only DanmEps have told of says nothing of its configuration."""
    await _have(node)
    await node.end_pod()
    record = node.daemon.journal.existing(_C1)
    await node.daemon.journal.put(msgspec.structs.replace(record, config_name=""))
    await _ending(node).remove_unlisted(node.request("GC", "", **_gc(name="other")))
    assert _states(node) == {}


@pytest.mark.parametrize("state", [SandboxState.ADDING, SandboxState.REMOVING, SandboxState.HELD])
async def test_gc_is_for_what_was_added(node: FakeNode, state: SandboxState) -> None:
    """The rest is in somebody's hands, or is the comparison's."""
    await _have(node, state=state)
    await node.end_pod()
    before = node.interfaces()
    await _ending(node).remove_unlisted(node.request("GC", "", **_gc()))
    assert _states(node) == {"c1": state}
    assert node.interfaces() == before


async def test_gc_waits_for_a_container_and_its_pod(node: FakeNode) -> None:
    """And looks anew: what an ADD has taken over meanwhile stays."""
    await _have(node)
    await node.end_pod()
    request = node.request("GC", "", **_gc())
    for key in ("c1", pod_key(PodUid("uid-pod-1"))):
        async with node.daemon.sandboxes.locks.hold(key):
            work = asyncio.create_task(_ending(node).remove_unlisted(request))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await asyncio.shield(work)
            assert set(node.interfaces()) == {"eth0", "eth1"}
            record = node.daemon.journal.existing(_C1)
            await node.daemon.journal.put(
                msgspec.structs.replace(record, state=SandboxState.ADDING)
            )
        await work
        assert _states(node) == {"c1": SandboxState.ADDING}
        await node.daemon.journal.put(record)


async def test_gc_tells_all_that_stays(node: FakeNode) -> None:
    """What can be removed is."""
    for number in range(3):
        node.add_pod(f"pod-{number}", interfaces=[INTERNAL])
        await node.add(f"c{number}", pod=f"pod-{number}")
        await node.end_pod(f"pod-{number}")
    node.kernel.failures.fail("take_down", LinkSetupError("busy"), times=2)
    with pytest.raises(SeveralErrors, match="busy; busy"):
        await _ending(node).remove_unlisted(node.request("GC", "", **_gc()))
    assert list(_states(node).values()) == [SandboxState.REMOVING] * 2


@pytest.mark.parametrize("what", ["finish", "delete", "reassert"])
async def test_who_waits_for_the_pods_turn_looks_again(node: FakeNode, what: str) -> None:
    """The Pod's next ADD has given back and forgotten meanwhile what the older sandbox was."""
    await _have(node, state=SandboxState.ADDED)
    record = node.daemon.journal.existing(_C1)
    node.kernel.gone.add(netns_of("c1"))
    locks = node.daemon.sandboxes.locks
    async with locks.hold(pod_key(PodUid(record.pod_uid))):
        match what:
            case "finish":
                work = asyncio.create_task(_ending(node).finish(_C1))
            case "delete":
                work = asyncio.create_task(_delete(node))
            case _:
                endpoints = [each["metadata"]["name"] for each in node.endpoints()]
                work = asyncio.create_task(node.daemon.sandboxes.reassert(_C1, endpoints=endpoints))
        await node.until(lambda: locks.is_held("c1"))
        await node.daemon.journal.forget(_C1)
        before = node.kube.calls.total()
    async with asyncio.timeout(30):
        await work
    assert (_states(node), node.plugins.deleted_with) == ({}, [])
    assert node.kube.calls.total() == before
