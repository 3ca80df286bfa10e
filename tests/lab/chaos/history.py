"""What happened in a run, as plain data; a file of it has one JSON object a line.

All times are seconds of one monotonic clock. Nothing here knows how addresses are handed out.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

Family = Literal[4, 6]

# What came of a reserve. Only "held" gives addresses; "unknown" may have done so.
ReserveAnswer = Literal["held", "exhausted", "taken", "refused", "unknown"]
ReleaseAnswer = Literal["done", "refused", "unknown"]


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", omit_defaults=True):
    """Base of all records."""


class Pool(_Record, frozen=True, kw_only=True, tag="pool"):
    """The addresses that a network hands out to whoever wants any.

    Attributes:
        cooldown_s: An address that was freed is not handed out for so long.
        wire: An address is one holder's on all networks that name the same wire; empty for a
            network that has none in common with others.
    """

    network: str
    family: Family
    addresses: tuple[str, ...]
    cooldown_s: float = 0.0
    wire: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One address that is wanted.

    Attributes:
        holder: Whose it will be: an interface of a Pod, an external owner.
        exactly: This address; empty for any of the pool.
    """

    holder: str
    network: str
    family: Family
    exactly: str = ""


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a reserve: its number, and when it was sent."""

    attempt: int
    at: float


class Reserve(_Record, frozen=True, kw_only=True, tag="reserve"):
    """An owner asked for addresses, all or none.

    Attributes:
        sends: In their order; each number is larger than all before it.
        addresses: What was answered for each wish; empty unless the answer is "held".
        attempt: The number that the answer is for.
        until: When the owner agreed to lose all of it; None for never.
    """

    owner: str
    wishes: tuple[Wish, ...]
    sends: tuple[Send, ...]
    start: float
    end: float
    answer: ReserveAnswer
    addresses: tuple[str, ...] = ()
    attempt: int = 0
    until: float | None = None
    detail: str = ""


class Release(_Record, frozen=True, kw_only=True, tag="release"):
    """An owner gave back what its holders have under a number: larger ones stay theirs."""

    owner: str
    holders: tuple[str, ...]
    attempt: int
    start: float
    end: float
    answer: ReleaseAnswer
    detail: str = ""


class End(_Record, frozen=True, kw_only=True, tag="end"):
    """An owner is gone without a release, such as with its node: all it has may be taken away."""

    owner: str
    at: float


class Seen(_Record, frozen=True, kw_only=True, tag="seen"):
    """The record was seen to change, every change of it, in its own order and never too early.

    Attributes:
        holder: Who has the address from then on; empty for nobody.
    """

    network: str
    address: str
    at: float
    holder: str = ""
    attempt: int = 0


class Fault(_Record, frozen=True, kw_only=True, tag="fault"):
    """Something was broken for a while."""

    kind: str
    target: str
    start: float
    end: float


class ClockStep(_Record, frozen=True, kw_only=True, tag="clock step"):
    """Somebody set the wall clock, by which owners expire; it differs from the history's since.

    Attributes:
        since: When it was last seen to be as before.
        at: When it was seen to be set.
        forward_s: By how much; less than 0 for back.
    """

    since: float
    at: float
    forward_s: float


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One address in the record."""

    network: str
    address: str
    holder: str
    attempt: int


class Snapshot(_Record, frozen=True, kw_only=True, tag="snapshot"):
    """The whole record, read when all faults were over and no owner was asking for anything."""

    at: float
    held: tuple[Entry, ...]


Record = Pool | Reserve | Release | End | Seen | Fault | ClockStep | Snapshot


def write_history(path: Path, records: Iterable[Record]) -> None:
    """Write a history to a file."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as out:
        for record in records:
            out.write(encoder.encode(record) + b"\n")


def read_history(path: Path) -> Iterator[Record]:
    """Yield the records of a file.

    Raises:
        msgspec.DecodeError: A line is none.
    """
    decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
    with path.open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)
