"""Which requests wait for a danmd that is starting, which are refused, and which are served."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.handlers import AllocationRequests, Readiness, SandboxRequests
from danm_cni.request import CniRequest, Frame, Program
from danm_cni.testing.demo import INTERNAL
from danm_cni.testing.ipam_caller import Caller
from danm_cni.testing.node import FakeNode

_STARTING: Final = "the API server has not been read yet"


def _readiness(directory: Path, *, ready: bool = False) -> Readiness:
    made = Readiness(directory / "ready")
    if ready:
        made.set()
    return made


def _soon() -> float:
    return time.monotonic() + 0.05


def _late() -> float:
    return time.monotonic() + 30


def test_a_danmd_begins_as_not_ready(tmp_path: Path) -> None:
    """It says why, and leaves a mark once it is ready."""
    readiness = _readiness(tmp_path)
    assert (readiness.reason, (tmp_path / "ready").exists()) == (_STARTING, False)
    with pytest.raises(CniRequestError) as caught:
        readiness.require(CniCode.TRY_AGAIN)
    assert caught.value.code is CniCode.TRY_AGAIN
    assert caught.value.reason == f"danmd of this node is still starting: {_STARTING}"
    readiness.set()
    assert (readiness.reason, (tmp_path / "ready").exists()) == (None, True)
    readiness.require(CniCode.TRY_AGAIN)


def test_status_looks_at_what_was_before(tmp_path: Path) -> None:
    """Once ready since the boot is enough: Pods would leave a node that is NotReady."""
    # DESIGN, step 9
    with pytest.raises(CniRequestError) as caught:
        _readiness(tmp_path).require_once()
    assert caught.value.code is CniCode.NOT_AVAILABLE
    before = _readiness(tmp_path, ready=True)
    before.refuse("the API server is away")
    before.require_once()
    _readiness(tmp_path).require_once()


async def test_who_is_ready_lets_nobody_wait(tmp_path: Path) -> None:
    """Not even one whose time is over."""
    await _readiness(tmp_path, ready=True).wait(until_s=time.monotonic() - 1)


@pytest.mark.parametrize("was_ready", [False, True])
async def test_the_wait_ends_with_the_requests_time(tmp_path: Path, *, was_ready: bool) -> None:
    """The runtime is to try again then; what was ready before and is not now is waited for, too."""
    readiness = _readiness(tmp_path, ready=was_ready)
    readiness.refuse("no answer")
    with pytest.raises(CniRequestError, match="still starting: no answer") as caught:
        await readiness.wait(until_s=_soon())
    assert caught.value.code is CniCode.TRY_AGAIN


async def test_one_that_was_ready_is_waited_for_again(tmp_path: Path) -> None:
    """It is not ready now, and nobody is told so before his time is over."""
    readiness = _readiness(tmp_path, ready=True)
    readiness.refuse("no answer")
    waiting = asyncio.create_task(readiness.wait(until_s=_late()))
    await asyncio.wait({waiting}, timeout=0.05)
    assert not waiting.done()
    readiness.set()
    async with asyncio.timeout(10):
        await waiting


async def test_all_who_wait_go_on_when_it_is_ready(tmp_path: Path) -> None:
    """At once, long before their time is over."""
    readiness = _readiness(tmp_path)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(readiness.wait(until_s=_late()))
        await asyncio.sleep(0)
        readiness.set()


async def test_a_danmd_that_ends_lets_go_who_waits_and_who_comes(tmp_path: Path) -> None:
    """Even if it says anew why it is not ready; they are told that another one comes."""
    readiness = _readiness(tmp_path)
    waiting = asyncio.create_task(readiness.wait(until_s=_late()))
    await asyncio.sleep(0)
    readiness.end()
    readiness.refuse("no answer")
    async with asyncio.timeout(10):
        for each in (waiting, readiness.wait(until_s=_late())):
            with pytest.raises(CniRequestError, match=r"stopped before .* \(no answer\)") as caught:
                await each
            assert caught.value.code is CniCode.TRY_AGAIN


async def test_one_that_was_ready_serves_until_its_end(tmp_path: Path) -> None:
    """Who has connected is served."""
    readiness = _readiness(tmp_path, ready=True)
    readiness.end()
    await readiness.wait(until_s=_late())
    readiness.require(CniCode.TRY_AGAIN)


def _frame(request: CniRequest, program: Program = Program.DANM) -> Frame:
    return Frame(
        program=program,
        deadline_s=None,
        environment=request.environment,
        stdin=request.config,
    )


async def test_danm_is_served_verb_by_verb(node: FakeNode, tmp_path: Path) -> None:
    """ADD prints a result and all others nothing; what each does is seen in the node."""
    requests = SandboxRequests(
        sandboxes=node.daemon.sandboxes, readiness=_readiness(tmp_path, ready=True)
    )

    async def ask(verb: str, container: str = "c1", **config: Any) -> bytes:  # noqa: ANN401  (JSON)
        request = node.request(verb, container, pod=f"pod-{container}", **config)
        return await requests.answer(_frame(request), deadline_s=_late())

    for name in ("c1", "c2"):
        node.add_pod(f"pod-{name}", interfaces=[INTERNAL])
        assert msgspec.json.decode(await ask("ADD", name))["ips"]
        await node.end_pod(f"pod-{name}")
    assert await ask("CHECK") == b""
    with pytest.raises(CniRequestError, match="has not added container c3"):
        await ask("CHECK", "c3")
    assert await ask("STATUS", "") == b""
    listed = {"cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]}
    assert await ask("GC", "", **listed) == b""
    assert (set(node.interfaces("c1")), set(node.interfaces("c2"))) == ({"eth0"}, set())
    assert await ask("DEL") == b""
    assert node.leftovers() == {}


async def test_a_starting_danmd_serves_what_needs_no_watch(node: FakeNode, tmp_path: Path) -> None:
    """CHECK looks at the journal; a DEL of what that does not know waits on the disk."""
    # DESIGN, P5
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    requests = SandboxRequests(sandboxes=node.daemon.sandboxes, readiness=_readiness(tmp_path))

    async def ask(verb: str, container: str = "c1") -> bytes:
        listed: dict[str, Any] = {"cni.dev/valid-attachments": []}
        request = node.request(verb, container, **listed)
        deadline_s = _soon() if verb == "ADD" else _late()
        return await requests.answer(_frame(request), deadline_s=deadline_s)

    assert await ask("CHECK") == b""
    for verb, code in (
        ("ADD", CniCode.TRY_AGAIN),
        ("GC", CniCode.TRY_AGAIN),
        ("STATUS", CniCode.NOT_AVAILABLE),
    ):
        with pytest.raises(CniRequestError, match="still starting") as caught:
            await ask(verb)
        assert caught.value.code is code
    assert set(node.interfaces()) == {"eth0"}, "GC was refused"
    assert await ask("DEL", "unknown") == b""
    assert [each.name for each in node.config.paths.tombstones.iterdir()] == ["unknown"]


async def test_what_nobody_took_of_danm_is_removed(node: FakeNode, tmp_path: Path) -> None:
    """The runtime was told a failure."""
    requests = SandboxRequests(sandboxes=node.daemon.sandboxes, readiness=_readiness(tmp_path))
    node.add_pod(interfaces=[INTERNAL])
    await node.add()
    await node.end_pod()
    await requests.abandon(_frame(node.request("ADD", "c1")))
    await node.until(lambda: not node.leftovers())


async def test_fakeipam_is_served_verb_by_verb(caller: Caller, tmp_path: Path) -> None:
    """ADD prints an address and all others nothing."""
    # SPEC F2
    requests = AllocationRequests(
        allocations=caller.allocations,
        delegates=caller.node.daemon.delegate_addresses,
        readiness=_readiness(tmp_path, ready=True),
    )

    async def ask(verb: str, **config: Any) -> bytes:  # noqa: ANN401  (JSON)
        frame = _frame(caller.request(verb, **config).call, Program.FAKEIPAM)
        return await requests.answer(frame, deadline_s=_late())

    with pytest.raises(CniRequestError, match="has given no address"):
        await ask("CHECK")
    (address,) = msgspec.json.decode(await ask("ADD"))["ips"]
    assert caller.held() == [address["address"]]
    assert await ask("CHECK") == b""
    assert await ask("STATUS") == b""
    await caller.grow_old()
    assert await ask("GC", **{"cni.dev/valid-attachments": []}) == b""
    assert caller.held() == []
    await ask("ADD")
    assert await ask("DEL") == b""
    assert caller.held() == []


async def test_a_starting_danmd_gives_addresses_back(caller: Caller, tmp_path: Path) -> None:
    """The journal and ipam-svc are enough for that; an ADD waits."""
    await caller.add()
    caller.remove_interface()
    requests = AllocationRequests(
        allocations=caller.allocations,
        delegates=caller.node.daemon.delegate_addresses,
        readiness=_readiness(tmp_path),
    )

    async def ask(verb: str) -> bytes:
        frame = _frame(caller.request(verb).call, Program.FAKEIPAM)
        return await requests.answer(frame, deadline_s=_soon() if verb == "ADD" else _late())

    assert await ask("CHECK") == b""
    for verb, code in (("ADD", CniCode.TRY_AGAIN), ("STATUS", CniCode.NOT_AVAILABLE)):
        with pytest.raises(CniRequestError, match="still starting") as caught:
            await ask(verb)
        assert caught.value.code is code
    assert await ask("DEL") == b""
    assert caller.held() == []


async def test_what_nobody_took_of_fakeipam_is_given_back(caller: Caller, tmp_path: Path) -> None:
    """The plugin was told a failure."""
    requests = AllocationRequests(
        allocations=caller.allocations,
        delegates=caller.node.daemon.delegate_addresses,
        readiness=_readiness(tmp_path),
    )
    await caller.add()
    caller.remove_interface()
    await requests.abandon(_frame(caller.request("ADD").call, Program.FAKEIPAM))
    await caller.node.until(lambda: not caller.held())
