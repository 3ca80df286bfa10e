"""The networks of a run, as they are made and as the checker has to know them. Pure."""

from collections.abc import Iterator
from ipaddress import ip_address
from random import Random
from typing import Any, Final

from danm_api.ipam_api import AttachmentRequest
from tests.lab.chaos.history import Pool

SMALL: Final = "small"
WIDE: Final = "wide"
DUAL: Final = "dual"
LOW: Final = "low"
HIGH: Final = "high"

# Small, dual and low are too small for all who ask, so that they are full now and then; wide spans
# blocks, and is alone on its wire, so that it gives static addresses beyond its pool; dual has two
# families. Low and high share a wire, and their pools adjoin. Dual and low cool what is given back:
# low for longer than an owner keeps it.
NETWORKS: Final[dict[str, dict[str, Any]]] = {
    SMALL: {"cidr": "10.0.0.0/24", "allocation_pool": {"start": "10.0.0.10", "end": "10.0.0.21"}},
    WIDE: {
        "host_device": "ens4",
        "cidr": "10.1.0.0/22",
        "allocation_pool": {"start": "10.1.0.50", "end": "10.1.0.150"},
    },
    DUAL: {
        "cidr": "10.2.0.0/24",
        "allocation_pool": {"start": "10.2.0.60", "end": "10.2.0.67"},
        "net6": "2001:db8::/64",
        "allocation_pool6": {"start": "2001:db8::3c", "end": "2001:db8::43"},
        "cooldown": 1,
    },
    LOW: {
        "host_device": "ens3",
        "cidr": "10.3.0.0/24",
        "allocation_pool": {"start": "10.3.0.10", "end": "10.3.0.25"},
        "cooldown": 5,
    },
    HIGH: {
        "host_device": "ens3",
        "cidr": "10.3.0.0/24",
        "allocation_pool": {"start": "10.3.0.26", "end": "10.3.0.35"},
    },
}
# On the wire of low and high, beginning before the one's pool and ending behind the other's.
_ON_THE_WIRE: Final = range(6, 40)
_ASKS_FOR_ONE: Final = 0.3


def pools() -> Iterator[Pool]:
    """Yield what every network hands out to whoever wants any address."""
    for name, options in NETWORKS.items():
        for key in ("allocation_pool", "allocation_pool6"):
            if key not in options:
                continue
            first, last = (ip_address(options[key][end]) for end in ("start", "end"))
            addresses = tuple(
                str(ip_address(number)) if first.version == 4 else str(type(first)(number))
                for number in range(int(first), int(last) + 1)
            )
            yield Pool(
                network=name,
                family=4 if first.version == 4 else 6,
                addresses=addresses,
                cooldown_s=float(options.get("cooldown", 0)),
                # None of them has a VLAN or VNI, which would be a wire of its own.
                wire=options.get("host_device", ""),
            )


def attachments_of_a_pod(chance: Random) -> list[AttachmentRequest]:
    """Return what one Pod asks for: one network or two, or one twice."""
    names = chance.choice(
        [
            *([SMALL], [SMALL], [WIDE], [DUAL], [LOW], [HIGH]),
            *([SMALL, WIDE], [WIDE, WIDE], [DUAL, SMALL], [WIDE, DUAL], [LOW, HIGH]),
        ]
    )
    return [_attachment(name, f"eth{number}", chance) for number, name in enumerate(names)]


def attachments_of_a_tool(chance: Random) -> list[AttachmentRequest]:
    """Return what one external owner asks for."""
    names = chance.choice([[SMALL], [WIDE], [DUAL], [LOW], [WIDE, SMALL], [HIGH, LOW]])
    return [_attachment(name, "", chance) for name in names]


def static_attachment(number: int) -> AttachmentRequest:
    """Return the static address of one Pod of a StatefulSet; it lies outside of the pool."""
    return AttachmentRequest(network=WIDE, interface="eth0", ip=f"10.1.2.{number + 1}/22")


def _attachment(network: str, interface: str, chance: Random) -> AttachmentRequest:
    ip = "dynamic"
    if network in {LOW, HIGH} and chance.random() < _ASKS_FOR_ONE:
        # Refused beyond the network's own pool, also where the other one has it in its pool.
        ip = f"10.3.0.{chance.choice(_ON_THE_WIRE)}/24"
    return AttachmentRequest(
        network=network,
        interface=interface,
        ip=ip,
        ip6="dynamic" if network == DUAL else "none",
    )
