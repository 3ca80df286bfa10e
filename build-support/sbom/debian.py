"""What Debian's package manager has written down. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_PARAGRAPHS: Final = re.compile(r"\n\s*\n")
_INSTALLED: Final = "install ok installed"
_FIELD: Final = re.compile(r"^([A-Za-z-]+):[ \t]*(.*)$", re.MULTILINE)
_LICENCE: Final = re.compile(r"^License:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
UNNAMED: Final = "see its text"
"""Of a package whose copyright file has no fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package."""

    name: str
    version: str
    architecture: str
    section: str


def installed(status: str) -> Iterator[Package]:
    """Yield the packages of a status file (``/var/lib/dpkg/status``)."""
    for paragraph in _PARAGRAPHS.split(status):
        fields = dict(_FIELD.findall(paragraph))
        if fields.get("Status") == _INSTALLED:
            yield Package(
                name=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                section=fields.get("Section", ""),
            )


def licence_names(copyright_text: str) -> str:
    """Return the names of the licences in a copyright file, in Debian's own words."""
    # https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
    if not copyright_text.startswith("Format:"):
        return UNNAMED
    return ", ".join(sorted(set(_LICENCE.findall(copyright_text)))) or UNNAMED
