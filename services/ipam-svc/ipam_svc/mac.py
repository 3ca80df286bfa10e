"""MAC addresses that follow from an owner, and IPv6 addresses that follow from a MAC. Pure.

An interface's MAC is fa:16:3e and the low 24 bits of its address where these are unique on the
network (SPEC G6). Everything else gets a locally administered MAC that is drawn from the owner's
identity: as good as random, and the same whenever the owner asks again (SPEC G7).
"""

from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network
from typing import Final

LOW_BITS_MASK: Final = 0xFF_FFFF
# The half that danm_api.model.addresses.mac_of gives.
_ADDRESS_PREFIX: Final = 0xFA163E
_GROUP_BIT: Final = 0x01 << 40
_LOCAL_BIT: Final = 0x02 << 40
# Any bit of the first byte that is neither of those two.
_OTHER_BIT: Final = 0x10 << 40


def drawn_mac(*identity: str) -> str:
    """Return a locally administered unicast MAC, the same for the same identity."""
    digest = int.from_bytes(sha256("\0".join(identity).encode()).digest()[:6], "big")
    drawn = (digest & ~_GROUP_BIT) | _LOCAL_BIT
    if drawn >> 24 == _ADDRESS_PREFIX:
        drawn ^= _OTHER_BIT
    return ":".join(f"{byte:02x}" for byte in drawn.to_bytes(6, "big"))


def eui64_address(network: IPv6Network, mac: str) -> IPv6Address:
    """Return the EUI-64 address of a MAC in a /64 (RFC 4291, appendix A)."""
    number = int(mac.replace(":", ""), 16) ^ _LOCAL_BIT
    identifier = ((number >> 24) << 40) | 0xFF_FE00_0000 | (number & LOW_BITS_MASK)
    return network.network_address + identifier
