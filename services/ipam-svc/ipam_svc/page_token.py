"""Where a page of a list ended, as a text that any replica can read. Pure.

The position is a place in the order of entries rather than a count, so entries that come and go
meanwhile neither hide nor double others. The revision is the newest write that the pages so far may
show: a replica that has not heard of it yet must not go on.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.model.addresses import IPAddress
from danm_api.model.ip_block import IPBlock

# Network, its UID, IP version, address: the order of every list.
Position = tuple[str, str, int, int]


def position_of(block: IPBlock, address: IPAddress) -> Position:
    """Return the place of an address of a block."""
    return block.network, block.network_uid, address.version, int(address)


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    network: str
    network_uid: str
    address: str
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PageToken:
    """The end of a page.

    Attributes:
        position: Of the last entry shown.
        revision: The highest resourceVersion of the blocks listed so far.
    """

    position: Position
    revision: int

    @property
    def network_uid(self) -> str:
        """Of the last entry shown."""
        return self.position[1]

    def encode(self) -> str:
        """Return the token as a part of an answer."""
        network, uid, version, number = self.position
        address = ip_address(number.to_bytes(4 if version == 4 else 16, "big"))  # noqa: PLR2004
        wire = _Wire(network, uid, str(address), self.revision)
        return urlsafe_b64encode(msgspec.json.encode(wire)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what ``encode`` wrote.

        Raises:
            ValueError: It is something else.
        """
        padded = text.encode() + b"=" * (-len(text) % 4)
        try:
            wire = decode_foreign(urlsafe_b64decode(padded), _Wire)
            address = ip_address(wire.address)
        except (ValueError, msgspec.DecodeError) as error:
            raise ValueError("no token of a page") from error
        return cls(
            position=(wire.network, wire.network_uid, address.version, int(address)),
            revision=wire.revision,
        )
