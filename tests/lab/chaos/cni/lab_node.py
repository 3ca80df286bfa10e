"""A node of the lab in a chaos run: its traps, what strikes it, and what it has."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import msgspec

from tests.lab.agent_client import Completed
from tests.lab.chaos.cni import look, strike, trap
from tests.lab.chaos.cni.facts import NodeView
from tests.lab.chaos.cni.lab_plan import Kind, PlannedFault, PlannedTrap
from tests.lab.errors import LabError
from tests.lab.guest_kernel import guest_python
from tests.lab.lab import Lab
from tests.lab.topology import Node

# On the node; danmd's container has it as /chaos.
DIRECTORY: Final = "/run/danm-chaos"
MOUNTED: Final = "/chaos"
_PLAN: Final = f"{DIRECTORY}/traps"
_STATE: Final = "/var/lib/danm"
_PLUGIN_STATE: Final = "/var/lib/cni"
_HOST_LOCAL: Final = f"{_PLUGIN_STATE}/networks"
# A node without these would give Pods another network until danmd has installed them.
_INSTALLED: Final = (DIRECTORY, "/etc/cni/net.d", "/opt/cni/bin/danm", "/opt/cni/bin/fakeipam")
_HOLD_S: Final = 8.0
_BOOT_S: Final = 240.0
_LOOK_S: Final = 120.0
_POLL_S: Final = 1.0
# An agent that is not there in this time is not there; a strike may look for somebody meanwhile.
_STRIKE_S: Final = 180.0
# An executable or a delegate is there only while a Pod comes or goes.
_MEET_S: Final = 30.0
# A Pod with addresses may take this long to come: many are struck before they run.
_MEET_SANDBOX_S: Final = 120.0
_STRIKES: Final = {
    Kind.DANMD: ("kill", "danmd"),
    Kind.CONTAINERD: ("kill", "containerd"),
    Kind.SHIMS: ("kill", "shims"),
    Kind.PLUGINS: ("kill", "plugins"),
}


class Reach(Protocol):
    """How a node is reached."""

    def run(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """Run a command on it, as root; raises LabError when it does not answer."""

    def answers(self) -> bool:
        """Say whether it runs commands."""

    def keep(self, archive: bytes) -> None:
        """Have files, as a tar archive, on its disk when it boots again."""

    def set_wire(self, *, whole: bool) -> None:
        """Have its wire to the API server whole, or cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabReach:
    """Reaches a node of a lab."""

    lab: Lab
    node: Node

    def run(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """Run a command on it."""
        return self.lab.node_exec(self.node, argv, stdin=stdin, timeout_s=timeout_s)

    def answers(self) -> bool:
        """Say whether it runs commands."""
        return self.lab.agent(self.node).answers()

    def keep(self, archive: bytes) -> None:
        """Put the archive where the node's first script looks for it."""
        (self.lab.state / self.node.name / "restore.tar").write_bytes(archive)

    def set_wire(self, *, whole: bool) -> None:
        """Have its tap on the wire or on none: what it sends is lost then, and nobody is told."""
        nic = next(nic for nic in self.node.nics if nic.name == "eth0")
        where = ["master", nic.bridge] if whole else ["nomaster"]
        done = self.lab.namespace.run(["ip", "link", "set", nic.tap, *where])
        if done.returncode != 0:
            raise LabError(f"the wire of {self.node.name}: {done.stderr.strip()}")


@dataclass(slots=True, kw_only=True)
class LabNode:
    """One node."""

    name: str
    reach: Reach
    traps: Sequence[PlannedTrap] = ()
    own_links: frozenset[str] = frozenset()

    # Traps

    def install(self, traps: Sequence[PlannedTrap]) -> None:
        """Put the program and a plan onto the node."""
        self.traps = traps
        self._put(f"{DIRECTORY}/trap.py", Path(trap.__file__).read_bytes())
        planned = [
            {"point": each.point, "action": each.action, "hold_s": _HOLD_S} for each in traps
        ]
        lines = "".join(json.dumps(each) + "\n" for each in planned).encode()
        self.run(["rm", "-rf", _PLAN])
        self._put(f"{_PLAN}/plan", lines)

    def met(self) -> int:
        """Return how many traps were met; a node that does not answer has met none more.

        Raises:
            LabError: It does not answer.
        """
        done = self.run(["sh", "-c", f"cat {_PLAN}/met 2> /dev/null || true"])
        return len(done.stdout.splitlines())

    def next_trap(self) -> PlannedTrap | None:
        """Return the trap whose turn it is; None when all were met.

        Raises:
            LabError: The node does not answer.
        """
        met = self.met()
        return self.traps[met] if met < len(self.traps) else None

    # Strikes

    def suffer(self, fault: PlannedFault) -> int:
        """Do one fault to this node, and mend it.

        Returns:
            How many it has met: processes, or the node itself.

        Raises:
            LabError: The node did not come back.
        """
        match fault.kind:
            case Kind.CUT:
                self.reach.set_wire(whole=False)
                time.sleep(fault.duration_s)
                self.reach.set_wire(whole=True)
            case Kind.CONTAINERD_STOPPED:
                return self._strike("stop", "containerd", str(fault.duration_s), f"{_MEET_S:g}")
            case Kind.SANDBOX:
                return self.kill_sandbox(str(fault.at), within_s=_MEET_SANDBOX_S)
            case Kind.REBOOT:
                self._restart([*_INSTALLED, _STATE, _PLUGIN_STATE])
            case Kind.REPLACE:
                self._restart(_INSTALLED)
            case Kind.IPAM:
                raise AssertionError("ipam-svc is no node's")
            case _:
                return self._strike(*_STRIKES[fault.kind], str(fault.at), f"{_MEET_S:g}")
        return 1

    def kill_sandbox(self, seed: str, *, within_s: float = 0.0) -> int:
        """Have one Pod get another sandbox; return whether there was one, as a number."""
        return self._strike("kill", "sandbox", seed, f"{within_s:g}", f"{_STATE}/journal")

    def _restart(self, kept: Sequence[str]) -> None:
        """Start the node's kernel anew, at once; its disk is empty then but for some files."""
        self._strike("freeze", "danmd")
        paths = [path.lstrip("/") for path in kept]
        self.reach.keep(self.run(["tar", "-C", "/", "-cf", "-", *paths]).stdout)
        # It ends with the node, and so does its answer.
        with suppress(LabError, OSError):
            self._strike("reboot")
        self.wait_answering()

    def wait_answering(self) -> None:
        """Wait until the node runs commands.

        Raises:
            LabError: It does not.
        """
        deadline = time.monotonic() + _BOOT_S
        while not self.reach.answers():
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} has not come back within {_BOOT_S:.0f} s.")
            time.sleep(_POLL_S)

    def _strike(self, *arguments: str) -> int:
        """Strike, and return how many processes were met."""
        return int(self._python(Path(strike.__file__), arguments) or 0)

    # Looking

    def look(self) -> NodeView:
        """Return what the node has.

        Raises:
            LabError: It does not answer.
        """
        done = self._python(
            Path(look.__file__), [self.name, _STATE, _HOST_LOCAL], timeout_s=_LOOK_S
        )
        return msgspec.json.decode(done, type=NodeView)

    def _python(
        self, program: Path, arguments: Sequence[str], *, timeout_s: float = _STRIKE_S
    ) -> bytes:
        command = [guest_python(), "-IS", "-", *arguments]
        return self.run(command, stdin=program.read_bytes(), timeout_s=timeout_s).stdout

    def _put(self, path: str, data: bytes) -> None:
        self.run(["sh", "-c", f"mkdir -p $(dirname {path}) && cat > {path}"], stdin=data)

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = _STRIKE_S
    ) -> Completed:
        """Run a command on it and return what it printed.

        Raises:
            LabError: It does not answer, or the command failed.
        """
        done = self.reach.run(argv, stdin=stdin, timeout_s=timeout_s)
        if done.status != 0:
            told = done.stderr.decode(errors="replace").strip()
            raise LabError(f"{self.name}: {argv[0]} ended with {done.status}: {told}")
        return done


def trap_patch() -> dict[str, object]:
    """Return the patch that has danmd's DaemonSet run the program with traps."""
    container = {
        "name": "danmd",
        "command": ["/app/bin/python", "-s", f"{MOUNTED}/trap.py"],
        "env": [
            {"name": trap.VARIABLE, "value": f"{MOUNTED}/traps"},
            {"name": trap.STAYS, "value": "1"},
        ],
        # A danmd that stands still is to stand still.
        "livenessProbe": None,
        "volumeMounts": [{"name": "chaos", "mountPath": MOUNTED}],
    }
    volume = {"name": "chaos", "hostPath": {"path": DIRECTORY, "type": "Directory"}}
    return {"spec": {"template": {"spec": {"containers": [container], "volumes": [volume]}}}}


def eventually(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Wait for a condition of the lab; a node or server that does not answer is asked again.

    Raises:
        LabError: It did not come true in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
            last = ""
        except (LabError, OSError) as error:
            last = f" ({error})"
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {timeout_s:.0f} s{last}")
        time.sleep(_POLL_S)
