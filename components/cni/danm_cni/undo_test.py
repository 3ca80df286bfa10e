"""ADDs that fail: all of it is told, and nothing is left."""

import asyncio
from typing import NoReturn

import pytest

from danm_api.errors import (
    ApiUnavailableError,
    DanmError,
    DeadlineExceededError,
    DelegateError,
    LinkSetupError,
    PoolExhaustedError,
    SeveralErrors,
)
from danm_api.kube.api import DANMEPS, EVENTS
from danm_cni.journal import SandboxState
from danm_cni.request import Verb
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode


def _makes_interfaces() -> bool:
    """Say whether a delegate's interface is being made."""
    return any("make_static" in repr(task.get_coro()) for task in asyncio.all_tasks())


def _boom(reason: str = "boom") -> DanmError:
    return LinkSetupError(reason)


async def test_a_slow_undo_keeps_its_pod_to_itself(node: FakeNode) -> None:
    """While an ADD is undone, the Pod's next ADD waits, and says what for."""
    node.add_pod(interfaces=[MANAGEMENT])
    node.plugins.failures.fail("bridge-half", _boom())
    node.plugins.failures.hang("bridge-del")
    first = asyncio.create_task(node.add("c1"))
    await node.until(
        lambda: any(each.state is SandboxState.REMOVING for each in node.daemon.journal.records())
    )
    with pytest.raises(DeadlineExceededError, match="waiting for another sandbox"):
        await node.add("c2", timeout_s=0.2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize(
    ("edge", "step"),
    [
        pytest.param("kernel", "parents", id="reading parents"),
        pytest.param("addresses", "reserve", id="reserving"),
        pytest.param("addresses", "reserve-lost", id="the answer of the reserve is lost"),
        pytest.param("kernel", "create", id="creating a link"),
        pytest.param("kernel", "create-half", id="setting a link up"),
        pytest.param("plugins", "bridge", id="a static delegate"),
        pytest.param("plugins", "bridge-half", id="a static delegate that did half"),
        pytest.param("plugins", "sriov-half", id="a dynamic delegate that did half"),
        pytest.param("kernel", "set_up", id="routes of a delegate"),
    ],
)
async def test_a_failure_at_any_step_leaves_nothing(node: FakeNode, edge: str, step: str) -> None:
    """Whatever step of an ADD fails, no interface, rule, address, DanmEp or record is left."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL, {"network": "device", "ip": "dynamic"}])
    getattr(node, edge).failures.fail(step, _boom())
    # SPEC C3
    with pytest.raises(DanmError, match="boom"):
        await node.add()
    assert {} == node.leftovers()
    assert len((await node.add("c2")).ips) == 3


@pytest.mark.parametrize("took_effect", [False, True])
async def test_a_failing_danmep_leaves_nothing(node: FakeNode, took_effect: bool) -> None:
    """A DanmEp that cannot be written, or was written and not answered, undoes the ADD."""
    node.add_pod(interfaces=[INTERNAL, EXTERNAL])
    error = ApiUnavailableError("no answer", status=0)
    node.kube.fail_next("create", DANMEPS, error, took_effect=took_effect)
    with pytest.raises(ApiUnavailableError):
        await node.add()
    assert {} == node.leftovers()


@pytest.mark.parametrize(
    ("edge", "step"),
    [
        pytest.param("addresses", "reserve", id="ipam-svc"),
        pytest.param("kernel", "create-half", id="the kernel"),
        pytest.param("plugins", "bridge-half", id="a delegate"),
    ],
)
async def test_the_deadline_undoes_too(node: FakeNode, edge: str, step: str) -> None:
    """An ADD that cannot be done in time fails, says what it waited for, and leaves nothing."""
    node.add_pod(interfaces=[MANAGEMENT, INTERNAL | {"network": "external"}])
    getattr(node, edge).failures.hang(step)
    with pytest.raises(DeadlineExceededError, match="waiting for addresses|making the interfaces"):
        await node.add(timeout_s=1.0)
    assert {} == node.leftovers()


async def test_all_errors_are_told_together(node: FakeNode) -> None:
    """Two attachments that fail are both named in the answer and in an Event on the Pod."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    node.plugins.failures.fail("bridge", DelegateError("no bridge", code=123))
    node.kernel.failures.fail("create", _boom("no link"))
    # SPEC C3
    with pytest.raises(SeveralErrors, match="no link.*no bridge") as caught:
        await node.add()
    assert len(caught.value.errors) == 2
    await node.until(lambda: bool(node.kube.all_stored(EVENTS)))
    (event,) = node.kube.all_stored(EVENTS)
    assert "no bridge" in event["note"]
    assert "no link" in event["note"]


async def test_what_a_plugin_has_told_before_is_told_too(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That there are no addresses is not all that is wrong."""
    # SPEC C3
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    node.plugins.failures.fail("bridge", DelegateError("no bridge", code=123))

    async def none_left(*_: object, **__: object) -> NoReturn:
        await node.until(
            lambda: ("bridge", Verb.ADD) in node.plugins.environments and not _makes_interfaces()
        )
        raise PoolExhaustedError("no address")

    monkeypatch.setattr(node.addresses, "reserve", none_left)
    with pytest.raises(SeveralErrors, match="no address.*no bridge"):
        await node.add()


async def test_no_plugin_is_waited_for_in_vain(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no addresses, that is told at once; the plugin beside is ended and undone."""
    # SPEC C3
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    node.plugins.failures.hang("bridge")

    async def none_left(*_: object, **__: object) -> NoReturn:
        await node.until(lambda: node.plugins.failures.hanging["bridge"] == 1)
        raise PoolExhaustedError("no address")

    monkeypatch.setattr(node.addresses, "reserve", none_left)
    with pytest.raises(PoolExhaustedError, match="no address"):
        await node.add(timeout_s=60)
    assert node.plugins.failures.hanging["bridge"] == 0
    assert {} == node.leftovers()


@pytest.mark.parametrize("output", [b"rubbish", b"[]", b'{"ips":[{"address":"nope"}]}'])
async def test_rubbish_of_a_delegate_undoes_the_add(node: FakeNode, output: bytes) -> None:
    """A plugin that succeeds and prints no result is an error that names its configuration."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    node.plugins.results["bridge"] = output
    with pytest.raises(DelegateError, match="flannel.conf"):
        await node.add()
    assert {} == node.leftovers()
