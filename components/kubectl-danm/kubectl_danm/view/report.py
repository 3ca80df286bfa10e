"""An answer in all forms in which it can be printed. Pure.

People get sections of tables, programs a document or names. Texts come from the cluster and may be
anybody's: ``Cell`` takes control characters out, so that no tenant writes to a terminal.
"""

from dataclasses import dataclass
from enum import Enum
from unicodedata import category

_CONTROL = frozenset({"Cc", "Cf", "Co", "Cs"})
_STAND_IN = "\N{REPLACEMENT CHARACTER}"


class Tone(Enum):
    """How a text should strike a person; a colour where there is colour."""

    PLAIN = "plain"
    STRONG = "strong"
    FAINT = "faint"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Cell:
    """One text of a table.

    Attributes:
        text: On one line and without control characters, whatever it was made of.
    """

    text: str
    tone: Tone = Tone.PLAIN

    def __post_init__(self) -> None:
        """Clean the text."""
        object.__setattr__(self, "text", harmless(self.text))


def harmless(text: str) -> str:
    """Return a text on one line, with a stand-in for each character that steers a terminal."""
    return "".join(
        _STAND_IN if category(char) in _CONTROL else char for char in " ".join(text.split())
    )


Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table.

    Attributes:
        title: Above it; empty for none.
        columns: Their names, in capitals.
        rows: Each as long as ``columns``.
        empty: What stands there when there is no row.
    """

    title: str = ""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    empty: str = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An answer.

    Attributes:
        document: For programs: dataclasses of texts, numbers and times; its keys are stable.
        names: ``kind/name`` of what the answer is about.
        sections: For people.
        notes: Sentences on what could not be looked at, and what that means for the answer.
        found: Whether the answer is what its asker hopes for; it decides the exit status.
    """

    document: object
    names: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()
    found: bool = True
