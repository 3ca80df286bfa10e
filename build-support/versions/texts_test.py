"""Versions in the texts of files."""

import pytest

from versions.texts import (
    Step,
    VersionError,
    build_file,
    kustomization,
    raised,
    read_version,
    with_version,
)

_MODULE = '"""Doc."""\n\nVERSION = "0.9.10"\n'


def test_a_module_says_its_version() -> None:
    """It is read and written where it stands, and nothing else changes."""
    assert read_version(_MODULE, path="m.py") == "0.9.10"
    assert with_version(_MODULE, "1.0.0") == '"""Doc."""\n\nVERSION = "1.0.0"\n'


@pytest.mark.parametrize(
    "line", ["", 'VERSION = "1.2"', 'VERSION = "01.2.3"', 'VERSION = "v1.2.3"']
)
def test_what_is_no_version_is_refused(line: str) -> None:
    """The file and the form are named."""
    with pytest.raises(VersionError, match=r'm\.py needs one line VERSION = "1\.2\.3"'):
        read_version(line, path="m.py")


@pytest.mark.parametrize(
    ("step", "expected"),
    [(Step.PATCH, "0.9.11"), (Step.MINOR, "0.10.0"), (Step.MAJOR, "1.0.0")],
)
def test_a_release_raises_one_number(step: Step, expected: str) -> None:
    """Those behind it begin anew, and numbers are no digits."""
    assert raised("0.9.10", step) == expected


def test_the_version_comes_to_its_places() -> None:
    """Other images and arguments of the same file stay."""
    assert build_file('x=["A=1"]\ny=["VERSION=0.1.0"]', "2.0.0", path="B") == (
        'x=["A=1"]\ny=["VERSION=2.0.0"]'
    )
    text = "images:\n  - {name: a/b, newTag: 0.1.0}\n  - {name: a/c, newTag: 0.1.0}\n"
    assert kustomization(text, "a/c", "2.0.0", path="k") == (
        "images:\n  - {name: a/b, newTag: 0.1.0}\n  - {name: a/c, newTag: 2.0.0}\n"
    )


def test_a_lost_place_is_told() -> None:
    """A file that was rewritten in another form is not left with an old version."""
    with pytest.raises(VersionError, match="k needs one place like .*, and has 0"):
        kustomization("images: []", "a/b", "1.0.0", path="k")
