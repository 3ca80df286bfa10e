"""The table of the conformance suite: versions, verbs, since when each verb exists, and backends.

Source: the CNI specification's tags spec-v0.1.0 to spec-v1.1.0. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pytest

VERSIONS: Final = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST: Final = VERSIONS[-1]
VERBS: Final = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")

# The first version whose text has the verb. VERSION came with 0.2.0, but has no parameters before
# 1.0.0 and is how a caller finds out which version to speak: it is not asked in a version, so it is
# answered whatever the input says, as libcni's plugins do.
SINCE: Final = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}


def at_least(version: str, since: str) -> bool:
    """Say whether a version is not older than another one."""
    return VERSIONS.index(version) >= VERSIONS.index(since)


def has(version: str, verb: str) -> bool:
    """Say whether a version has a verb."""
    return at_least(version, SINCE.get(verb, VERSIONS[0]))


def versions_with(verb: str) -> tuple[str, ...]:
    """Return the versions that have a verb."""
    return tuple(version for version in VERSIONS if has(version, verb))


class Kind(StrEnum):
    """What makes a Pod's interface."""

    IPVLAN = "ipvlan"
    """Built in."""
    MACVLAN = "macvlan"
    """Built in."""
    CONF = "conf"
    """A static type whose file is one configuration of an old version: the reference bridge."""
    CONFLIST = "conflist"
    """A static type whose file is a list of the newest version: bridge and tuning."""
    FALLBACK = "fallback"
    """The network of Pods that ask for nothing: bridge and portmap."""


FAMILIES: Final = {"v4": (4,), "v6": (6,), "dual": (4, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What makes the interface, and with which addresses.

    Attributes:
        families: One of ``FAMILIES``.
    """

    kind: Kind
    families: str

    def __str__(self) -> str:
        """Return its part of a row's name."""
        return f"{self.kind}-{self.families}"

    @property
    def is_static(self) -> bool:
        """Say whether its addresses are host-local's and not DANM's."""
        return self.kind in {Kind.CONF, Kind.CONFLIST, Kind.FALLBACK}

    @property
    def attachments(self) -> list[dict[str, str]] | None:
        """Return what the Pod's annotation asks for; None for no annotation."""
        match self.kind:
            case Kind.FALLBACK:
                return None
            case Kind.CONF | Kind.CONFLIST:
                return [{"network": str(self)}]
        wanted = {4: "ip", 6: "ip6"}
        asked = {wanted[family]: "dynamic" for family in FAMILIES[self.families]}
        return [{"network": str(self.kind), **asked}]


def backends(*kinds: Kind) -> tuple[Backend, ...]:
    """Return these kinds with each of the families."""
    return tuple(Backend(kind=kind, families=each) for kind in kinds for each in FAMILIES)


ON_THIS_KERNEL: Final = backends(Kind.MACVLAN, Kind.CONF, Kind.CONFLIST, Kind.FALLBACK)
IN_A_GUEST: Final = backends(Kind.IPVLAN)


def rows(verb: str, of: Iterable[Backend]) -> pytest.MarkDecorator:
    """Return the rows of one verb: all versions with all these backends.

    Verbs that look at no interface have one row for each kind, not for each of its families.
    """
    return pytest.mark.parametrize(
        ("version", "backend"),
        [
            pytest.param(version, backend, id=f"{version}-{verb}-{backend}")
            for backend in of
            if verb not in {"STATUS", "VERSION"} or backend.families == "dual"
            for version in VERSIONS
        ],
    )


def _bridge(backend: Backend, state: Path) -> dict[str, Any]:
    number = list(FAMILIES).index(backend.families)
    subnets = {4: f"10.{len(backend.kind)}.{number}.0/24", 6: f"2001:db8:{number}::/64"}
    anywhere = {4: "0.0.0.0/0", 6: "::/0"}
    families = FAMILIES[backend.families]
    return {
        "type": "bridge",
        "bridge": f"br-{backend.kind}",
        "ipam": {
            "type": "host-local",
            "dataDir": str(state),
            "ranges": [[{"subnet": subnets[family]}] for family in families],
            "routes": [{"dst": anywhere[family]} for family in families],
        },
        "dns": {"nameservers": ["198.51.100.53"], "search": ["example.org"]},
    }


def static_file(backend: Backend, state: Path) -> tuple[str, dict[str, Any]]:
    """Return the name and the content of the administrator's file of a static backend.

    Args:
        backend: A static one.
        state: Where its plugins keep what they remember.
    """
    bridge, name = _bridge(backend, state), str(backend)
    match backend.kind:
        case Kind.CONF:
            return f"{name}.conf", {"cniVersion": "0.3.1", "name": name, **bridge}
        case Kind.CONFLIST:
            sysctl = {"net.ipv4.conf.all.log_martians": "0"}
            tuning = {"type": "tuning", "sysctl": sysctl, "dataDir": str(state / "tuning")}
            return f"{name}.conflist", {
                "cniVersion": "1.1.0",
                "name": name,
                "plugins": [bridge, tuning],
            }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return "fallback.conflist", {"cniVersion": "1.0.0", "name": name, "plugins": [bridge, portmap]}
