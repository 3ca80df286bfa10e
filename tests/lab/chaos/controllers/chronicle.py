"""What happened in a round: every change and every fault, with its time and its answer."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.lab.chaos.history import Fault


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="record", tag="change"):
    """Somebody changed an object, or tried to.

    Attributes:
        at: Seconds of the round's clock.
        answer: "done", or why not.
    """

    at: float
    what: str
    answer: str


@dataclass(slots=True, kw_only=True)
class Chronicle:
    """The records of one round."""

    records: list[Change | Fault] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Return the seconds since the round began."""
        return time.monotonic() - self._began

    def add(self, record: Change | Fault, /) -> None:
        """Write something down."""
        self.records.append(record)

    @property
    def changes(self) -> int:
        """How often somebody changed something, or tried to."""
        return sum(isinstance(each, Change) for each in self.records)

    @property
    def faults(self) -> int:
        """How many faults there were."""
        return sum(isinstance(each, Fault) for each in self.records)

    def write(self, path: Path) -> None:
        """Write all of it to a file, one JSON object a line."""
        path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in self.records))
