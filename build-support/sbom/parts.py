"""What is installed in a file system, as the bill of materials tells it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath


class Kind(StrEnum):
    """Where a part comes from, and so what is known of it."""

    PYTHON = "python"
    """A Python distribution."""
    DEBIAN = "debian"
    """A package of Debian, beside our programs."""
    OWN = "own"
    """Of this repository."""
    EXECUTABLE = "executable"
    """A static executable of this repository."""
    LINKED = "linked"
    """A package of Debian that is linked into such an executable."""
    INTERPRETER = "interpreter"
    """A CPython that no package of Debian brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that is installed.

    Attributes:
        kind: Of which sort.
        name: As its kind names it.
        version: Empty where it has none of its own.
        licence: An SPDX expression; of a package of Debian the names in its copyright file.
        texts: Where the image has its licences' texts.
        copies: Those of them that have to be put there, and where they come from.
        digest: SHA-256 in hexadecimal: of an executable's bytes, otherwise ``tree_digest`` of its
            files; empty where there are none.
        architecture: Of a package of Debian.
        inside: The executable that it is linked into; empty for none.
    """

    kind: Kind
    name: str
    version: str
    licence: str
    texts: tuple[PurePosixPath, ...] = ()
    copies: Mapping[PurePosixPath, Path] = field(default_factory=dict, repr=False)
    digest: str = ""
    architecture: str = ""
    inside: str = ""

    @property
    def reference(self) -> str:
        """Return what tells it from all others of its image."""
        where = f"{self.inside}/" if self.inside else ""
        return f"{where}{self.kind}:{self.name}@{self.version}"
