"""JSON that somebody else wrote. Pure."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode_foreign(data: bytes | bytearray | str, kind: type[T]) -> T:
    """Decode JSON of which nothing is known.

    msgspec has exceptions of other kinds for texts that are no UTF-8 and for endless nesting.

    Raises:
        msgspec.DecodeError: Whatever is wrong with it.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(str(error)) from error
