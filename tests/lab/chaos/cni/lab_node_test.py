"""A node of the lab in a chaos run, as far as it goes without a lab."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
import yaml

from tests.lab.agent_client import Completed
from tests.lab.chaos.cni.facts import Link, Netns, NodeView
from tests.lab.chaos.cni.lab_node import DIRECTORY, LabNode, eventually, trap_patch
from tests.lab.chaos.cni.lab_plan import Kind, PlannedFault, PlannedTrap, TrapAction
from tests.lab.deployed import DEPLOY
from tests.lab.errors import LabError

TRAPS = (
    PlannedTrap(point="before reserving", action=TrapAction.KILL),
    PlannedTrap(point="after reserving", action=TrapAction.ERROR),
)


@dataclass(slots=True, kw_only=True)
class FakeReach:
    """Writes down what is done to a node.

    Attributes:
        answer: What commands print.
        away: How often it does not answer.
    """

    answer: Callable[[Sequence[str]], bytes] = lambda _: b""
    away: int = 0
    done: list[str] = field(default_factory=list)
    given: list[bytes] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, stdin: bytes, timeout_s: float) -> Completed:
        """Note a command; a program is noted by its arguments."""
        del timeout_s
        words = argv[3:] if argv[1] == "-IS" else argv
        self.done.append(" ".join(words))
        self.given.append(stdin)
        if list(words) == ["reboot"]:
            raise LabError("the connection ended")
        status = 1 if words[0] == "false" else 0
        return Completed(status=status, stdout=self.answer(words), stderr=b"no")

    def answers(self) -> bool:
        """Say that it is there after it was asked often enough."""
        self.done.append("answers?")
        self.away -= 1
        return self.away < 0

    def keep(self, archive: bytes) -> None:
        """Note it."""
        self.done.append(f"keep {archive.decode()}")

    def set_wire(self, *, whole: bool) -> None:
        """Note it."""
        self.done.append(f"wire {'whole' if whole else 'cut'}")


def _fault(kind: Kind, duration_s: float = 0.0) -> PlannedFault:
    return PlannedFault(at=3.0, kind=kind, node=0, duration_s=duration_s)


def test_a_plan_goes_to_the_node() -> None:
    """The program and the plan are put there, and what was met of an earlier round is gone."""
    reach = FakeReach()
    LabNode(name="node1", reach=reach).install(TRAPS)
    assert reach.done[1] == f"rm -rf {DIRECTORY}/traps"
    assert b"danmd with traps" in reach.given[0]
    planned = [msgspec.json.decode(line) for line in reach.given[2].splitlines()]
    assert [("before reserving", "kill"), ("after reserving", "error")] == [
        (each["point"], each["action"]) for each in planned
    ]


@pytest.mark.parametrize(
    ("met", "wanted"), [(b"", TRAPS[0]), (b"{}\n", TRAPS[1]), (b"{}\n{}\n", None)]
)
def test_the_next_trap(met: bytes, wanted: PlannedTrap | None) -> None:
    """A node says how many traps were met; the one after them is next."""
    node = LabNode(name="node1", reach=FakeReach(answer=lambda _: met), traps=TRAPS)
    assert wanted == node.next_trap()


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (_fault(Kind.CUT), ["wire cut", "wire whole"]),
        (_fault(Kind.DANMD), ["kill danmd 3.0 30"]),
        (_fault(Kind.SHIMS), ["kill shims 3.0 30"]),
        (_fault(Kind.PLUGINS), ["kill plugins 3.0 30"]),
        (_fault(Kind.SANDBOX), ["kill sandbox 3.0 120 /var/lib/danm/journal"]),
        (_fault(Kind.CONTAINERD), ["kill containerd 3.0 30"]),
        (_fault(Kind.CONTAINERD_STOPPED, 4.0), ["stop containerd 4.0 30"]),
        (
            _fault(Kind.REBOOT),
            [
                "freeze danmd",
                "tar -C / -cf - run/danm-chaos etc/cni/net.d opt/cni/bin/danm opt/cni/bin/fakeipam"
                " var/lib/danm var/lib/cni",
                "keep disk",
                "reboot",
                "answers?",
            ],
        ),
        (
            _fault(Kind.REPLACE),
            [
                "freeze danmd",
                "tar -C / -cf - run/danm-chaos etc/cni/net.d opt/cni/bin/danm opt/cni/bin/fakeipam",
                "keep disk",
                "reboot",
                "answers?",
            ],
        ),
    ],
    ids=lambda each: str(each.kind) if isinstance(each, PlannedFault) else "",
)
def test_what_a_node_suffers(fault: PlannedFault, wanted: list[str]) -> None:
    """Each fault is done and mended; a rebooted node has its disk again, a replaced one less."""
    reach = FakeReach(answer=lambda words: b"disk" if words[0] == "tar" else b"")
    LabNode(name="node1", reach=reach).suffer(fault)
    assert wanted == reach.done


@pytest.mark.parametrize(
    ("fault", "told", "met"),
    [
        pytest.param(_fault(Kind.PLUGINS), b"3\n", 3, id="some"),
        pytest.param(_fault(Kind.PLUGINS), b"0\n", 0, id="nobody"),
        pytest.param(_fault(Kind.CONTAINERD_STOPPED, 4.0), b"1\n", 1, id="stopped"),
        pytest.param(_fault(Kind.CUT), b"", 1, id="a node"),
    ],
)
def test_whom_a_fault_has_met_is_told(fault: PlannedFault, told: bytes, met: int) -> None:
    """A fault that meets nobody shows nothing."""
    reach = FakeReach(answer=lambda _: told)
    assert met == LabNode(name="node1", reach=reach).suffer(fault)


def test_a_command_that_fails_is_told() -> None:
    """What a node's command complains of is the error."""
    node = LabNode(name="node1", reach=FakeReach())
    with pytest.raises(LabError, match="node1: false ended with 1: no"):
        node.run(["false", "x"])


def test_a_look_is_read() -> None:
    """What the program on the node prints is the node's view."""
    view = NodeView(node="node1", host=Netns(links=(Link(name="eth0"),)))
    reach = FakeReach(answer=lambda _: msgspec.json.encode(view))
    assert view == LabNode(name="node1", reach=reach).look()
    assert ["node1 /var/lib/danm /var/lib/cni/networks"] == reach.done


def test_eventually_asks_again() -> None:
    """A node that does not answer is asked again, and at the end its last complaint is told."""
    left = ["no answer", "no answer"]

    def condition() -> bool:
        if left:
            raise LabError(left.pop())
        return True

    eventually(condition, "It answers", 60.0)
    left.append("gone")
    with pytest.raises(LabError, match=r"It answers: not within 0 s \(gone\)"):
        eventually(condition, "It answers", 0.0)


def test_the_patch_is_of_danmd_s_container() -> None:
    """It names the container of the DaemonSet, and takes no volume's name."""
    daemon_set = yaml.safe_load((DEPLOY / "danm-cni/daemonset.yaml").read_text())
    deployed = daemon_set["spec"]["template"]["spec"]
    patch = trap_patch()["spec"]["template"]["spec"]  # type: ignore[index]
    assert {each["name"] for each in patch["containers"]} == {
        each["name"] for each in deployed["containers"]
    }
    assert not {each["name"] for each in patch["volumes"]} & {
        each["name"] for each in deployed["volumes"]
    }
