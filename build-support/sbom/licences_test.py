"""Licences, as distributions write them, and what may be shipped."""

import pytest

from sbom.licences import LicenceError, is_allowed, linked_licence, python_licence

_MIT = "License :: OSI Approved :: MIT License"


@pytest.mark.parametrize(
    ("expression", "written", "classifiers", "expected"),
    [
        pytest.param("MIT AND BSD-2-Clause", "any", [], "MIT AND BSD-2-Clause", id="expression"),
        pytest.param("", "BSD-3-Clause", [_MIT], "BSD-3-Clause", id="name of SPDX"),
        pytest.param("", "Apache 2.0", [], "Apache-2.0", id="known form"),
        pytest.param("", "Permission is granted ...", [_MIT, "Typing :: Typed"], "MIT", id="class"),
    ],
)
def test_a_distribution_says_its_licence(
    expression: str, written: str, classifiers: list[str], expected: str
) -> None:
    """The expression goes before the text, and that before the classifier."""
    found = python_licence("x", expression=expression, written=written, classifiers=classifiers)
    assert found == expected


@pytest.mark.parametrize("written", ["", "BSD", "see LICENSE"])
def test_an_unclear_licence_is_refused(written: str) -> None:
    """Nobody guesses: the distribution and the place to say it are named."""
    with pytest.raises(LicenceError, match=r"^odd does not say .*sbom/licences\.py"):
        python_licence("odd", expression="", written=written, classifiers=[])


def test_what_is_linked_has_to_be_known() -> None:
    """A library that comes into the executables is looked at by somebody first."""
    assert linked_licence("zlib1g-dev") == "Zlib"
    with pytest.raises(LicenceError, match="libreadline-dev is linked"):
        linked_licence("libreadline-dev")


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("Apache-2.0", True),
        ("Apache-2.0 AND MIT", True),
        ("GPL-2.0-or-later OR Apache-2.0", True),
        ("(GPL-2.0-only OR AGPL-3.0-only) AND MIT", False),
        ("GPL-3.0-or-later", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("MIT AND LGPL-3.0-only", False),
        ("LicenseRef-Proprietary", False),
    ],
)
def test_one_of_alternatives_is_enough_and_each_of_several_counts(
    expression: str, allowed: bool
) -> None:
    """An Apache-2.0 project ships what lets it."""
    if "LicenseRef" in expression:
        with pytest.raises(LicenceError, match="no SPDX expression"):
            is_allowed(expression)
        return
    assert is_allowed(expression) is allowed
