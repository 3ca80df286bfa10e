"""What an ADD does at once, and what it does not begin before something else is done."""

import asyncio

import pytest

from danm_api.errors import (
    ApiUnavailableError,
    DanmError,
    DeadlineExceededError,
    DelegateError,
    InvalidRequestError,
    PoolExhaustedError,
)
from danm_api.kube.api import DANMEPS, DANMNETS
from danm_api.testing.builders import NAMESPACE
from danm_api.testing.fake_plans import Gate
from danm_cni.concurrency import ChainTurns
from danm_cni.request import Verb
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode


async def test_a_plugin_waits_for_no_danmep(node: FakeNode) -> None:
    """It runs while its own and others' are written; the answer waits for all of them."""
    # docs/decisions/0027; SPEC A2; DESIGN, "An ADD", step 5
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    gates = [node.kube.hold_next("create", DANMEPS) for _ in range(2)]
    adding = asyncio.create_task(node.add())
    await node.until(
        lambda: any(
            each.ip and each.network == "management"
            for record in node.daemon.journal.records()
            for each in record.interfaces
        )
    )
    for gate in gates:
        await gate.reached.wait()
    assert not adding.done()
    assert {"eth0": []} == node.interfaces()
    assert node.endpoints() == []
    for gate in gates:
        gate.open()
    told = {str(each.address) for each in (await adding).ips}
    assert told == {each["spec"]["Interface"]["Address"] for each in node.endpoints()}
    await node.end_pod()
    await node.delete()
    assert {} == node.leftovers()


async def test_a_danmep_that_is_refused_does_not_wait_for_the_plugin(node: FakeNode) -> None:
    """The ADD fails with what is wrong, long before its time is over; the plugin is ended."""
    # SPEC C3
    node.add_pod(interfaces=[MANAGEMENT])
    node.plugins.failures.hang("bridge-half")
    gate = node.kube.hold_next("create", DANMEPS, error=InvalidRequestError("no such field"))
    adding = asyncio.create_task(node.add(timeout_s=600))
    await node.until(lambda: node.plugins.failures.hanging["bridge-half"] == 1)
    gate.open()
    with pytest.raises(DanmError, match="no such field"):
        await adding
    assert {} == node.leftovers()


async def test_a_network_that_goes_while_its_plugin_runs_is_noticed(node: FakeNode) -> None:
    """It is read when the DanmEp is there, which keeps it from then on; the plugin is ended."""
    # DESIGN, "Life and death of a DanmNet"
    node.add_pod(interfaces=[MANAGEMENT])
    node.plugins.failures.hang("bridge-half")
    gate = node.kube.hold_next("create", DANMEPS)
    adding = asyncio.create_task(node.add(timeout_s=600))
    await node.until(lambda: node.plugins.failures.hanging["bridge-half"] == 1)
    await node.kube.delete(DANMNETS, "management", namespace=NAMESPACE)
    gate.open()
    with pytest.raises(DanmError, match="management"):
        await adding
    assert {} == node.leftovers()


async def test_danms_own_links_wait_for_their_danmeps(node: FakeNode) -> None:
    """Netwatcher takes a host link for unused as long as no DanmEp says otherwise."""
    # docs/decisions/0004
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    gate = node.kube.hold_next("create", DANMEPS)
    adding = asyncio.create_task(node.add())
    await gate.reached.wait()
    await node.until(lambda: len(node.endpoints()) == 1)
    assert {} == node.interfaces()
    gate.open()
    await adding
    assert {"eth0", "ext"} == set(node.interfaces())


async def test_a_plugin_that_waits_for_its_turn_has_no_danmep(node: FakeNode) -> None:
    """Nothing is there yet, and the processors are busy with what runs."""
    node.plugins.turns = ChainTurns(limit=1)
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL])
    async with node.plugins.turn(Verb.ADD):
        adding = asyncio.create_task(node.add())
        await node.until(lambda: len(node.interfaces()) == 1)
        assert [each["spec"]["NetworkID"] for each in node.endpoints()] == ["internal"]
    await adding
    assert len(node.endpoints()) == 2


async def test_the_answer_waits_for_a_danmep_that_has_nothing_more_to_say(node: FakeNode) -> None:
    """Whoever makes use of the DanmEp finds it as soon as the Pod has its interface."""
    # SPEC A2
    node.add_pod(interfaces=[MANAGEMENT])
    gate = node.kube.hold_next("create", DANMEPS)
    with pytest.raises(DeadlineExceededError, match="writing DanmEps"):
        await node.add(timeout_s=5.0)
    await _until_no_create_is_under_way(gate)
    assert {} == node.leftovers()


async def _until_no_create_is_under_way(gate: Gate) -> None:
    """Let a create go on that somebody may have left behind, for as long as it could take."""
    gate.open()
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_plugin_that_fails_does_not_wait_for_its_danmep(node: FakeNode) -> None:
    """The ADD fails with what is wrong, while the API server does not answer."""
    node.add_pod(interfaces=[MANAGEMENT])
    gate = node.kube.hold_next("create", DANMEPS)
    node.plugins.failures.hang("bridge-half")
    adding = asyncio.create_task(node.add(timeout_s=600))
    await gate.reached.wait()
    await node.until(lambda: node.plugins.failures.hanging["bridge-half"] == 1)
    node.plugins.failures.end("bridge-half", DelegateError("no bridge", code=100))
    with pytest.raises(DelegateError, match="no bridge"):
        await adding
    await _until_no_create_is_under_way(gate)
    assert {} == node.leftovers()


async def test_a_reservation_that_fails_takes_back_the_danmep(node: FakeNode) -> None:
    """Also one that is being written."""
    # SPEC C3
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL])
    gate = node.kube.hold_next("create", DANMEPS)
    node.addresses.failures.hang("reserve")
    adding = asyncio.create_task(node.add(timeout_s=600))
    await gate.reached.wait()
    node.addresses.failures.end("reserve", PoolExhaustedError("full"))
    with pytest.raises(PoolExhaustedError, match="full"):
        await adding
    await _until_no_create_is_under_way(gate)
    assert {} == node.leftovers()


async def _has_two_static_types(node: FakeNode) -> None:
    await node.have_network("hung", network_type="hung", container_prefix="net1")
    node.write_cni_config("hung.conf", {"cniVersion": "1.0.0", "name": "hung", "type": "ptp"})
    node.add_pod(interfaces=[MANAGEMENT, {"network": "hung"}])


@pytest.mark.parametrize("took_effect", [False, True])
async def test_what_one_has_failed_with_is_told_when_another_hangs(
    node: FakeNode, *, took_effect: bool
) -> None:
    """The time is over for the one that hangs, and not for the plugin that danmd has ended."""
    # SPEC C3; DESIGN, P7
    await _has_two_static_types(node)
    for plugin in ("bridge-half", "ptp-half"):
        node.plugins.failures.hang(plugin)
    error = ApiUnavailableError("no quorum", status=0)
    node.kube.fail_next("create", DANMEPS, error, took_effect=took_effect)
    with pytest.raises(DeadlineExceededError) as caught:
        await node.add(timeout_s=5.0)
    assert "needs plugin ptp of hung.conf" in caught.value.reason
    assert "flannel.conf" not in caught.value.reason
    assert "after this had failed: no quorum" in caught.value.reason
    assert {} == node.leftovers()


async def test_a_refused_danmep_is_told_when_another_one_hangs(node: FakeNode) -> None:
    """Those of danmd's own interfaces are written at once, and one has come to its end."""
    # DESIGN, P7
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    node.kube.fail_next("create", DANMEPS, InvalidRequestError("no such field"))
    gate = node.kube.hold_next("create", DANMEPS)
    with pytest.raises(DeadlineExceededError, match="writing DanmEps.*failed: no such field"):
        await node.add(timeout_s=5.0)
    await _until_no_create_is_under_way(gate)
    assert {} == node.leftovers()


async def test_a_slow_undo_tells_why_it_undoes(node: FakeNode) -> None:
    """Who has lost patience learns what was wrong, and not what was under way when it was."""
    # DESIGN, P7
    node.add_pod(interfaces=[MANAGEMENT])
    node.plugins.failures.hang("bridge-del")
    node.plugins.failures.fail("bridge-half", DelegateError("no bridge", code=100))
    with pytest.raises(DeadlineExceededError) as caught:
        await node.add(timeout_s=1.0)
    told = "while undoing what was done, after this had failed: flannel.conf: no bridge"
    assert told in caught.value.reason
    node.plugins.failures.heal()


async def test_a_turn_ends_with_the_plugin(node: FakeNode) -> None:
    """An API server that does not answer keeps no other Pod's plugin waiting."""
    # DESIGN, P6
    node.write_cni_config("10-old.conf", {"cniVersion": "1.1.0", "name": "old", "type": "ptp"})
    node.plugins.turns = ChainTurns(limit=1)
    node.add_pod(interfaces=[MANAGEMENT])
    node.add_pod("pod-2")
    gate = node.kube.hold_next("create", DANMEPS)
    adding = asyncio.create_task(node.add())
    await node.until(lambda: bool(node.plugins.alive))
    await node.add("c2", pod="pod-2")
    gate.open()
    await adding
