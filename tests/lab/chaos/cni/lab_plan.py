"""What a round of `lab chaos cni` breaks on which node, by its seed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from danm_cni.failpoints import Effect


class Kind(StrEnum):
    """What is broken, beside what danmd's traps do.

    SANDBOX: a Pod's pause container is killed: its sandbox is made anew, and its addresses stay.
    CUT: the node's wire to the API server and the other node.
    REBOOT: the node's kernel starts anew at once; its disk stays as it was.
    REPLACE: the same, and what danmd and plugins have kept on the disk is lost.
    """

    DANMD = "danmd killed"
    CONTAINERD = "containerd killed"
    CONTAINERD_STOPPED = "containerd stopped"
    SHIMS = "executables killed"
    PLUGINS = "delegates killed"
    SANDBOX = "sandbox killed"
    CUT = "node cut off"
    IPAM = "ipam-svc killed"
    REBOOT = "node rebooted"
    REPLACE = "node replaced"


class TrapAction(StrEnum):
    """What danmd does at a failpoint by itself."""

    KILL = "kill"
    STOP = "stop"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrap:
    """A trap; those of one node are met in their order.

    Attributes:
        needs_new_sandbox: Only a Pod that gets another sandbox comes there.
    """

    point: str
    action: TrapAction
    needs_new_sandbox: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A fault at a time.

    Attributes:
        at: Seconds after the round's beginning.
        node: Which one, from 0.
    """

    at: float
    kind: Kind
    node: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """A round: each node's traps, and faults in the order of time."""

    traps: tuple[tuple[PlannedTrap, ...], ...]
    faults: tuple[PlannedFault, ...]


# No Pod of a usual life comes there: a plugin that forgets, a DEL of a danmd that is starting, and
# a journal that is lost while its DanmEps stay. The failpoints' own tests meet these.
NOT_IN_A_USUAL_LIFE: Final = frozenset(
    {Effect.CLEAN_FLANNEL, Effect.LEAVE_DEL, Effect.WRITE_ADOPTED}
)
_NEW_SANDBOX: Final = frozenset({Effect.WRITE_HELD, Effect.FORGET_OLDER})
# Where danmd has to be killed for somebody to come to an effect.
_KILLED_BEFORE: Final = {
    Effect.END_STRAYS: Effect.WRITE_ADDED,
    Effect.FORGET_DEL: Effect.WRITE_REMOVING,
}
# Twice what is quick to mend, once what is not.
_DECK: Final = (
    *(Kind.DANMD, Kind.SHIMS, Kind.PLUGINS, Kind.SANDBOX, Kind.CONTAINERD) * 2,
    *(Kind.CONTAINERD_STOPPED, Kind.CUT, Kind.IPAM, Kind.REBOOT, Kind.REPLACE),
)
_SLOW: Final = frozenset({Kind.REBOOT, Kind.REPLACE})
_FIRST_S: Final = 15.0
_APART_S: Final = (5.0, 15.0)
# A node takes so long to boot and to be Ready again; it is left alone meanwhile.
_BOOT_S: Final = 60.0
_LASTS_S: Final = {Kind.CUT: (5.0, 25.0), Kind.CONTAINERD_STOPPED: (3.0, 12.0)}


def round_plan(seed: int, *, nodes: int, without: Sequence[Kind] = ()) -> RoundPlan:
    """Return a round's plan; three rounds of following seeds meet every failpoint in every way."""
    chance = Random(seed)  # noqa: S311  (a plan is no secret)
    return RoundPlan(
        traps=_traps(seed, chance, nodes), faults=_faults(chance, nodes, frozenset(without))
    )


def _traps(seed: int, chance: Random, nodes: int) -> tuple[tuple[PlannedTrap, ...], ...]:
    actions = list(TrapAction)
    groups: list[tuple[PlannedTrap, ...]] = []
    points = [
        (effect, when)
        for effect in Effect
        if effect not in NOT_IN_A_USUAL_LIFE
        for when in ("before", "after")
    ]
    for number, (effect, when) in enumerate(points):
        trap = PlannedTrap(
            point=f"{when} {effect}",
            action=actions[(number + number // 2 + seed) % len(actions)],
            needs_new_sandbox=effect in _NEW_SANDBOX,
        )
        earlier = _KILLED_BEFORE.get(effect)
        if earlier is None:
            groups.append((trap,))
        else:
            kill = PlannedTrap(point=f"before {earlier}", action=TrapAction.KILL)
            groups.append((kill, trap))
    chance.shuffle(groups)
    return tuple(
        tuple(trap for group in groups[node::nodes] for trap in group) for node in range(nodes)
    )


def _faults(chance: Random, nodes: int, without: frozenset[Kind]) -> tuple[PlannedFault, ...]:
    deck = [kind for kind in _DECK if kind not in without]
    chance.shuffle(deck)
    found, at = [], _FIRST_S
    free_at = [0.0] * nodes
    for number, kind in enumerate(deck):
        node = (number + chance.randrange(nodes)) % nodes
        at = max(at, free_at[node])
        duration_s = chance.uniform(*_LASTS_S.get(kind, (0.0, 0.0)))
        found.append(PlannedFault(at=at, kind=kind, node=node, duration_s=duration_s))
        free_at[node] = at + duration_s + (_BOOT_S if kind in _SLOW else 0.0)
        at += chance.uniform(*_APART_S)
    return tuple(found)
