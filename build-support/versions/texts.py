"""Versions as files have them, and the places that they are brought to. Pure."""

import re
from enum import StrEnum
from typing import Final

_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_VERSION: Final = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
_MODULE: Final = re.compile(rf'^VERSION = "({_VERSION})"$', re.MULTILINE)
_BUILD: Final = re.compile(r'"VERSION=([^"]*)"')


class VersionError(ValueError):
    """A file has no version where one is looked for."""


class Step(StrEnum):
    """Which number a release raises (Semantic Versioning)."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"


def read_version(module: str, *, path: str) -> str:
    """Return the version that a part's module says.

    Raises:
        VersionError: It says none, or one that is no three numbers.
    """
    found = _MODULE.findall(module)
    if len(found) != 1:
        raise VersionError(f'{path} needs one line VERSION = "1.2.3", and has {len(found)}')
    return str(found[0])


def with_version(module: str, version: str) -> str:
    """Return a part's module with another version."""
    return _MODULE.sub(f'VERSION = "{version}"', module)


def raised(version: str, step: Step) -> str:
    """Return the next version."""
    major, minor, patch = (int(part) for part in version.split("."))
    match step:
        case Step.MAJOR:
            return f"{major + 1}.0.0"
        case Step.MINOR:
            return f"{major}.{minor + 1}.0"
        case Step.PATCH:
            return f"{major}.{minor}.{patch + 1}"


def build_file(text: str, version: str, *, path: str) -> str:
    """Return a BUILD file whose image has this version.

    Raises:
        VersionError: It has not exactly one place for it.
    """
    return _one_place(_BUILD, f'"VERSION={version}"', text, path=path)


def kustomization(text: str, image: str, version: str, *, path: str) -> str:
    """Return a kustomization in which an image has this tag.

    Raises:
        VersionError: It has not exactly one place for it.
    """
    place = re.compile(rf"\{{name: {re.escape(image)}, newTag: [^}}]*\}}")
    return _one_place(place, f"{{name: {image}, newTag: {version}}}", text, path=path)


def _one_place(place: re.Pattern[str], wanted: str, text: str, *, path: str) -> str:
    changed, count = place.subn(wanted, text)
    if count != 1:
        raise VersionError(f"{path} needs one place like {wanted}, and has {count}")
    return changed
