"""Addresses and subnets, for an executable whose start ``ipaddress`` would delay. Pure.

An address is its bytes in network order, 4 or 16 of them. Of the socket module only the two
functions that convert texts are used.
"""

from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

_IPV4_BYTES = 4


def packed(text: str) -> bytes:
    """Return the address that a text is.

    Raises:
        ValueError: It is none.
    """
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError) as error:  # ValueError: NUL, or half a character
        message = f"{text!r} is no IPv4 or IPv6 address"
        raise ValueError(message) from error


def version(address: bytes) -> int:
    """Return 4 or 6."""
    return 4 if len(address) == _IPV4_BYTES else 6


def written(address: bytes) -> str:
    """Return the usual form of an address."""
    return inet_ntop(AF_INET if version(address) == 4 else AF_INET6, address)  # noqa: PLR2004


def subnet(text: str) -> tuple[bytes, int]:
    """Return first address and prefix length of ADDRESS/LENGTH, of any address of the subnet.

    Without a length it is that one address.

    Raises:
        ValueError: It is none.
    """
    address_text, slash, length_text = text.partition("/")
    address = packed(address_text)
    bits = 8 * len(address)
    if not slash:
        return address, bits
    if not (length_text.isascii() and length_text.isdigit() and int(length_text) <= bits):
        message = f"{text!r} has no prefix length from 0 to {bits}"
        raise ValueError(message)
    length = int(length_text)
    first = _prefix(address, length) << (bits - length)
    return first.to_bytes(len(address), "big"), length


def holds(network: tuple[bytes, int], address: bytes) -> bool:
    """Say whether an address is of a subnet; one of the other family never is."""
    first, length = network
    return len(first) == len(address) and _prefix(first, length) == _prefix(address, length)


def _prefix(address: bytes, length: int) -> int:
    return int.from_bytes(address, "big") >> (8 * len(address) - length)
