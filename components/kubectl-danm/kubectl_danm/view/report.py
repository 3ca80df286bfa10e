"""An answer in all forms in which it can be printed. Pure.

People get sections of tables, programs a document or names. Texts come from the cluster and may be
anybody's: control characters are taken out of all that is printed as it stands, so that no tenant
writes to a terminal.
"""

from dataclasses import dataclass
from enum import Enum
from unicodedata import category

# The separators of lines and paragraphs too, at which programs may break a line.
_CONTROL = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
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


def steers(char: str) -> bool:
    """Say whether a character steers a terminal instead of being shown, or ends a line."""
    return category(char) in _CONTROL


def one_line(text: str) -> str:
    """Return a text with a stand-in for each character that steers a terminal or ends a line."""
    return "".join(_STAND_IN if steers(char) else char for char in text)


def harmless(text: str) -> str:
    """Return a text on one line, its words one space apart, without what steers a terminal."""
    return one_line(" ".join(text.split()))


Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table.

    Its texts are as of ``Cell``.

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

    def __post_init__(self) -> None:
        """Clean the texts."""
        object.__setattr__(self, "title", harmless(self.title))
        object.__setattr__(self, "empty", harmless(self.empty))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An answer.

    Attributes:
        document: For programs: dataclasses of texts, numbers and times; its keys are stable.
        names: ``kind/name`` of what the answer is about, each on one line.
        sections: For people.
        notes: Sentences on what could not be looked at, and what that means for the answer.
        found: Whether the answer is what its asker hopes for; it decides the exit status.
    """

    document: object
    names: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()
    found: bool = True

    def __post_init__(self) -> None:
        """Clean the texts; a path among the names keeps its spaces."""
        object.__setattr__(self, "names", tuple(map(one_line, self.names)))
        object.__setattr__(self, "notes", tuple(map(harmless, self.notes)))
