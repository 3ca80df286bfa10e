"""What is measured: one thing differs at a time from 32 callers (or one) on an empty /16. Pure."""

from enum import StrEnum
from ipaddress import IPv4Network
from typing import Final

import msgspec

SIZES: Final = (254, 65_534, 2**24)
_USUAL_SIZE: Final = SIZES[1]
BATCH: Final = 4
_NETWORKS: Final = {
    254: IPv4Network("10.0.0.0/24"),
    65_534: IPv4Network("10.0.0.0/16"),
    # All but its two ends: 2^24 - 2.
    2**24: IPv4Network("10.0.0.0/8"),
}
NET6: Final = "2001:db8::/64"
POOL6: Final = ("2001:db8::1", "2001:db8::ffff")

# Full blocks' worth, so that every case writes blocks of the same mean size.
_ALONE: Final = 320
_MANY: Final = 3200
_HUNDREDS: Final = 5120
_QUICK_ALONE: Final = 64
_QUICK_MANY: Final = 640
_REPEATS: Final = 5


class Families(StrEnum):
    """Which addresses a reservation asks."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"
    DUAL = "dual"


class Caller(StrEnum):
    """Who reserves."""

    EXTERNAL = "external"
    DANMD = "danmd"


class Case(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One load of reservations.

    Attributes:
        callers: How many reserve at once, each one after the other.
        count: Reservations in all.
        batch: Networks of one reservation.
        replicas: Replicas of ipam-svc; callers are spread evenly.
        size: Addresses of a network.
        used: How many of them are held before the load begins.
        caller: An external owner; or a node's danmd for Pods, which ipam-svc reads.
        repeats: The median of so many counts.
    """

    callers: int
    count: int
    batch: int = 1
    replicas: int = 1
    size: int = _USUAL_SIZE
    used: int = 0
    families: Families = Families.IPV4
    caller: Caller = Caller.EXTERNAL
    repeats: int = 1

    @property
    def per_network(self) -> int:
        """Reservations on one network before the next is begun."""
        # A network of 254 is filled, but never asked for what it does not have.
        return min(self.count, self.size - self.used - self.size % 64)

    @property
    def name(self) -> str:
        """Name it in a few words."""
        words = [f"{self.callers} caller{'s' if self.callers > 1 else ''}"]
        if self.batch > 1:
            words.append(f"batches of {self.batch}")
        if self.replicas > 1:
            words.append(f"{self.replicas} replicas")
        if self.size != _USUAL_SIZE:
            words.append(f"network of {size_name(self.size)}")
        if self.used:
            words.append(f"{self.used:,} used")
        if self.families is not Families.IPV4:
            words.append(self.families)
        if self.caller is Caller.DANMD:
            words.append("Pods")
        return ", ".join(words)


def size_name(size: int) -> str:
    """Return a network's size for people."""
    return "2^24" if size == 2**24 else f"{size:,}"


def network_options(case: Case) -> dict[str, object]:
    """Return a DanmNet's options."""
    options: dict[str, object] = {}
    if case.families is not Families.IPV6:
        options["cidr"] = str(_NETWORKS[case.size])
    if case.families is not Families.IPV4:
        options["net6"] = NET6
        options["allocation_pool6"] = {"start": POOL6[0], "end": POOL6[1]}
    return options


def cases(*, quick: bool) -> tuple[Case, ...]:
    """Return what is measured, in that order."""
    alone = _QUICK_ALONE if quick else _ALONE
    many = _QUICK_MANY if quick else _MANY
    hundreds = _QUICK_MANY if quick else _HUNDREDS
    repeats = 1 if quick else _REPEATS
    # Equally filled ones one after the other: they share a network.
    usual = [
        Case(callers=1, count=alone, repeats=repeats),
        Case(callers=32, count=many, repeats=repeats),
        Case(callers=32, count=many, replicas=2, repeats=repeats),
        Case(callers=32, count=many // 2, batch=BATCH),
        Case(callers=512, count=hundreds),
    ]
    filled = [
        Case(callers=1, count=alone, used=60_000, repeats=repeats),
        Case(callers=32, count=many, used=60_000, repeats=repeats),
    ]
    return (*usual, *filled) if quick else (*usual, *_others(alone, many, hundreds), *filled)


def _others(alone: int, many: int, hundreds: int) -> list[Case]:
    """Return the cases without a target."""
    found = [
        Case(callers=8, count=alone * 4),
        Case(callers=64, count=many),
        Case(callers=512, count=hundreds, batch=BATCH),
        Case(callers=512, count=hundreds, replicas=2),
        Case(callers=1, count=alone, batch=BATCH),
    ]
    amounts = ((1, alone), (32, many))
    for callers, count in amounts:
        found += [
            Case(callers=callers, count=count, size=SIZES[0]),
            Case(callers=callers, count=count, size=SIZES[2]),
            Case(callers=callers, count=count, families=Families.IPV6),
            Case(callers=callers, count=count, families=Families.DUAL),
            Case(callers=callers, count=count, caller=Caller.DANMD),
        ]
    found += [Case(callers=callers, count=count, used=10_000) for callers, count in amounts]
    return found
