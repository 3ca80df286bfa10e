"""Bounds of a DanmNet's numbers, all inclusive. Pure."""

from typing import Final

# 802.1q: 0 means "priority only" and 4095 is reserved.
MIN_VID: Final = 1
MAX_VID: Final = 4094

# RFC 7348 has 24 bits; SPEC A1 leaves out both ends, as the old program's schema did.
MIN_VNI: Final = 1
MAX_VNI: Final = 16_777_214

# 68 is the least that IPv4 works with (RFC 791); 65,535 is the largest packet.
MIN_MTU: Final = 68
MAX_MTU: Final = 65_535

# A year; nobody waits longer for an address, and dates stay in range.
MAX_COOLDOWN_S: Final = 31_536_000

# Tables that Linux keeps for itself: unspecified, default, main, local (rtnetlink(7)).
RESERVED_ROUTING_TABLES: Final = frozenset({0, 253, 254, 255})
MAX_ROUTING_TABLE: Final = 2**32 - 1
