"""What `lab bench cni` measures: kinds of Pods, with more and more interfaces. Pure."""

from enum import StrEnum
from typing import Final

import msgspec

COUNTS: Final = (1, 2, 4, 8, 16)
# More networks than this is no case.
MOST: Final = 17
# Their end says how long they slept, each ADD and each DEL.
SLOW_S: Final = 0.2
STORM_PODS: Final = 50
STORM_INTERFACES: Final = 4

_REPEATS: Final = 20
_QUICK_REPEATS: Final = 5
_SLOW_REPEATS: Final = 10
_QUICK_SLOW_REPEATS: Final = 3
# A guest's test addresses are one /24: 16 at a time, none used twice.
GUEST_REPEATS: Final = 10
_QUICK_GUEST_REPEATS: Final = 4


class Kind(StrEnum):
    """What a Pod's interfaces are.

    Attributes:
        BRIDGE: eth0 is the plugin bridge's; all others are macvlan, danmd's own or the plugin's.
            danmd's have their addresses from ipam-svc.
        MACVLAN: All are macvlan, likewise.
        FALLBACK: A Pod that asks for nothing: bridge and host-local, through danmd.
        SLOW: Delegates that do nothing but take their time.
        IPVLAN: All are danmd's own, or the plugin ipvlan's.
    """

    BRIDGE = "bridge"
    MACVLAN = "macvlan"
    FALLBACK = "fallback"
    SLOW = "slow"
    IPVLAN = "ipvlan"


class Case(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One kind of Pod, again and again.

    Attributes:
        interfaces: Of a Pod, eth0 among them.
        repeats: How often it is added and deleted at most.
    """

    kind: Kind
    interfaces: int
    repeats: int = 1

    @property
    def name(self) -> str:
        """Name it in a few words."""
        match self.kind:
            case Kind.BRIDGE:
                more = self.interfaces - 1
                return f"bridge and {more} macvlan" if more else "bridge alone"
            case Kind.SLOW:
                return f"{self.interfaces} x {SLOW_S * 1000:.0f} ms"
            case Kind.FALLBACK:
                return "fallback"
            case _:
                return f"{self.interfaces} {self.kind}"


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        starts: How often each executable is started.
        case_s: After so long a case begins no further repetition.
        rest_s: How long danmd is left alone before its memory at rest is read.
    """

    starts: int
    case_s: float
    rest_s: float


def pace(*, quick: bool) -> Pace:
    """Return how much is measured."""
    if quick:
        return Pace(starts=20, case_s=5.0, rest_s=2.0)
    return Pace(starts=200, case_s=30.0, rest_s=10.0)


def node_cases(*, quick: bool) -> tuple[Case, ...]:
    """Return what is measured on this machine's own kernel, in that order."""
    repeats = _QUICK_REPEATS if quick else _REPEATS
    slow = _QUICK_SLOW_REPEATS if quick else _SLOW_REPEATS
    return (
        *(Case(kind=Kind.BRIDGE, interfaces=1 + more, repeats=repeats) for more in (0, 4, 16)),
        Case(kind=Kind.FALLBACK, interfaces=1, repeats=repeats),
        *(Case(kind=Kind.MACVLAN, interfaces=count, repeats=repeats) for count in _counts(quick)),
        *(Case(kind=Kind.SLOW, interfaces=count, repeats=slow) for count in (1, 16)),
    )


def guest_cases(*, quick: bool) -> tuple[Case, ...]:
    """Return what is measured in a guest, whose kernel has IPVLAN."""
    repeats = _QUICK_GUEST_REPEATS if quick else GUEST_REPEATS
    return tuple(
        Case(kind=Kind.IPVLAN, interfaces=count, repeats=repeats) for count in _counts(quick)
    )


def _counts(quick: bool) -> tuple[int, ...]:  # noqa: FBT001  (a private helper's only argument)
    return (COUNTS[0], COUNTS[-1]) if quick else COUNTS
