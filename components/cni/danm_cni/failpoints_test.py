"""Every effect of an ADD and a DEL has its failpoints, none of them is dead, and none is armed."""

import asyncio
import time
from pathlib import Path

import pytest

from danm_api.errors import LinkSetupError
from danm_api.kube.api import DANMEPS, PODS
from danm_api.names import ContainerId
from danm_api.node_call import call_daemon
from danm_api.node_frame import PROGRAM_DANM, encode_request
from danm_cni import __main__ as program
from danm_cni.failpoints import FAILPOINTS, IN_THE_KERNEL, Effect, effect, observed_by
from danm_cni.handlers import Readiness, SandboxRequests
from danm_cni.request import Program
from danm_cni.server import CniServer
from danm_cni.testing.demo import EXTERNAL, INTERNAL, MANAGEMENT
from danm_cni.testing.node import FakeNode

_HOST_LOCAL = "var/lib/cni/networks/cbr0/203.0.113.5"


class Witness:
    """Sees all failpoints, and what has changed in the world when none was open."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node
        self._open = 0
        self._seen = self._world()
        self.passed: list[str] = []
        self.unmarked: list[str] = []
        self.journal: dict[str, bytes] = {}

    def __call__(self, point: str) -> None:
        """Note a failpoint, and what has changed since the last one."""
        self.passed.append(point)
        if point == f"after {Effect.WRITE_PLUGIN}":
            self.journal = self._files("journal")
        if point.startswith("before"):
            if not self._open:
                self.look(point)
            self._open += 1
            return
        self._open -= 1
        if not self._open:
            self._seen = self._world()

    def look(self, now: str) -> None:
        """Note what nobody has told of before it changed."""
        found = self._world()
        self.unmarked += [
            f"{now}: {part} changed without an effect"
            for part, value in found.items()
            if value != self._seen[part]
        ]
        self._seen = found

    def _files(self, directory: str) -> dict[str, bytes]:
        paths = (self._node.config.paths.state / directory).glob("*")
        return {path.name: path.read_bytes() for path in paths if path.is_file()}

    def _world(self) -> dict[str, object]:
        node = self._node
        return {
            "the journal": self._files("journal"),
            "the DELs that were left": self._files("tombstones"),
            "flannel's file": (node.root / _HOST_LOCAL).exists(),
            "DanmEps": [
                (each["metadata"]["name"], each["spec"]) for each in node.kube.all_stored(DANMEPS)
            ],
            "annotations": [each["metadata"]["annotations"] for each in node.kube.all_stored(PODS)],
            "addresses": list(node.addresses.entries),
            "plugins": dict(node.plugins.alive),
        }


async def _call(node: FakeNode, verb: str, container_id: str) -> tuple[int, bytes]:
    """Send a request through danmd's socket."""
    readiness = Readiness(node.root / "ready")
    readiness.set()
    requests = SandboxRequests(sandboxes=node.daemon.sandboxes, readiness=readiness)
    server = CniServer(node.root / "d.sock", handlers={Program.DANM: requests})
    request = node.request(verb, container_id)
    frame = encode_request(
        program=PROGRAM_DANM,
        deadline_ns=time.monotonic_ns() + 5_000_000_000,
        environment=b"\0".join(f"{k}={v}".encode() for k, v in request.environment.items()),
        stdin=request.config,
    )
    async with server:
        return await asyncio.to_thread(
            call_daemon,
            str(node.root / "d.sock"),
            frame,
            deadline_ns=time.monotonic_ns() + 5_000_000_000,
        )


async def _live(node: FakeNode, witness: Witness) -> None:
    """Have a Pod, another sandbox of it, its end, and what danmd finds when it starts again."""
    node.add_pod(interfaces=[MANAGEMENT, EXTERNAL])
    assert (await _call(node, "ADD", "c1"))[0] == 0
    await node.until(lambda: f"after {Effect.ANNOTATE}" in witness.passed)
    left = node.root / _HOST_LOCAL
    left.parent.mkdir(parents=True)
    left.write_text("c1")
    witness.look("flannel's file is the test's")
    witness.unmarked.clear()
    # The Pod lives, so its addresses are kept for the next sandbox.
    await _call(node, "DEL", "c1")
    assert (await _call(node, "ADD", "c2"))[0] == 0
    # What a danmd leaves that is killed when a plugin was about to start.
    killed = witness.journal
    await node.end_pod()
    await _call(node, "DEL", "c2")
    await node.stop()
    for name, data in killed.items():
        (node.config.paths.state / "journal" / name).write_bytes(data)
    witness.look("the kill is the test's")
    witness.unmarked.clear()
    await node.restart()
    await node.daemon.upkeep.compare()
    # A DEL of a danmd that does not know yet what there is.
    await node.daemon.sandboxes.ending.delete(
        node.request("DEL", "c3"), deadline_s=time.monotonic() + 5, informed=False
    )
    await node.daemon.upkeep.compare()
    # A journal that was lost.
    node.add_pod("pod-2", interfaces=[INTERNAL])
    await node.add("c4", pod="pod-2")
    await node.until(lambda: len(node.daemon.informers[2].items()) == 1)
    await node.lose_journal()
    witness.look("the loss is the test's")
    witness.unmarked.clear()
    await node.daemon.upkeep.compare()


async def test_no_effect_is_without_failpoint_and_no_failpoint_is_dead(node: FakeNode) -> None:
    """Nothing of the world changes but between two failpoints, and an ADD or DEL passes each."""
    # Issue 5, "a failpoint for each step, so that each is hit for certain"
    witness = Witness(node)
    with observed_by(witness):
        await _live(node, witness)
        witness.look("the end")
    assert [] == witness.unmarked
    wanted = {f"{when} {each}" for each in Effect for when in ("before", "after")}
    # The kernel is a fake here; tests/lab/chaos/cni/failpoints_apiserver_test.py meets them.
    in_kernel = {f"{when} {each}" for each in IN_THE_KERNEL for when in ("before", "after")}
    assert wanted - in_kernel == set(witness.passed)
    assert wanted == set(FAILPOINTS)


async def test_an_observer_may_fail_what_it_is_told_of(node: FakeNode) -> None:
    """An error at a failpoint is the effect's own: the ADD fails with it and is undone."""
    node.add_pod(interfaces=[INTERNAL])

    def fail(point: str) -> None:
        if point == f"after {Effect.CREATE_ENDPOINT}":
            message = "the answer was lost"
            raise LinkSetupError(message)

    with observed_by(fail), pytest.raises(LinkSetupError, match="the answer was lost"):
        await node.add()
    assert {} == node.leftovers()
    assert node.daemon.journal.get(ContainerId("c1")) is None


def test_what_fails_is_not_told_to_have_come() -> None:
    """What did not come about has no "after"; an observer hears nothing after its block."""
    passed: list[str] = []
    with observed_by(passed.append):
        with pytest.raises(LinkSetupError), effect(Effect.FORGET):
            raise LinkSetupError("no")
        with effect(Effect.RELEASE):
            pass
    with effect(Effect.RESERVE):
        pass
    wanted = [f"before {Effect.FORGET}", f"before {Effect.RELEASE}", f"after {Effect.RELEASE}"]
    assert wanted == passed


def test_nothing_that_ships_observes() -> None:
    """No module of danmd but its own names what sets an observer: there is no switch."""
    # docs/decisions/0019-failpoints.md
    root = Path(program.__file__).parent
    shipped = [path for path in root.rglob("*.py") if not path.name.endswith("_test.py")]
    assert len(shipped) > len(["this one"])
    naming = {path.name for path in shipped if "observed_by" in path.read_text()}
    assert {"failpoints.py"} == naming
