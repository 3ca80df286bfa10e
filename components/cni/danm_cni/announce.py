"""Frames that tell the neighbours which MAC an address has now (SPEC D2). Pure.

Source: RFC 5227 section 3 (ARP announcement), RFC 4861 sections 4.4 and 7.2.6 (unsolicited
neighbour advertisement).
"""

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

ETH_P_ARP: Final = 0x0806
ETH_P_IPV6: Final = 0x86DD

_BROADCAST: Final = b"\xff" * 6
_ALL_NODES: Final = IPv6Address("ff02::1")
# RFC 2464 section 7: the MAC of ff02::1.
_ALL_NODES_MAC: Final = bytes.fromhex("333300000001")
_ICMPV6: Final = 58
_NEIGHBOUR_ADVERTISEMENT: Final = 136
# The override flag: a cached MAC is replaced.
_OVERRIDE: Final = 0x20000000
_TARGET_LINK_LAYER_OPTION: Final = b"\x02\x01"


def mac_bytes(mac: str) -> bytes:
    """Return the six bytes of a MAC address in colon form."""
    return bytes.fromhex(mac.replace(":", ""))


def arp_announcement(mac: str, address: IPv4Address) -> bytes:
    """Return an Ethernet frame: an ARP request of an address for itself."""
    source = mac_bytes(mac)
    head = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
    body = head + source + address.packed + bytes(6) + address.packed
    return _BROADCAST + source + struct.pack(">H", ETH_P_ARP) + body


def neighbour_advertisement(mac: str, address: IPv6Address) -> bytes:
    """Return an Ethernet frame: an unsolicited neighbour advertisement to all nodes."""
    source = mac_bytes(mac)
    body = struct.pack(">I", _OVERRIDE) + address.packed + _TARGET_LINK_LAYER_OPTION + source
    unchecked = struct.pack(">BBH", _NEIGHBOUR_ADVERTISEMENT, 0, 0) + body
    pseudo = address.packed + _ALL_NODES.packed + struct.pack(">II", len(unchecked), _ICMPV6)
    checksum = _internet_checksum(pseudo + unchecked)
    message = struct.pack(">BBH", _NEIGHBOUR_ADVERTISEMENT, 0, checksum) + body
    ipv6 = struct.pack(">IHBB", 6 << 28, len(message), _ICMPV6, 255)
    packet = ipv6 + address.packed + _ALL_NODES.packed + message
    return _ALL_NODES_MAC + source + struct.pack(">H", ETH_P_IPV6) + packet


def _internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
