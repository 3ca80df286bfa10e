"""Licences as SPDX expressions, and which of them this project may ship. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from license_expression import ExpressionError, LicenseSymbol, Licensing, get_spdx_licensing

ALLOWED: Final[Mapping[str, str]] = {
    "Apache-2.0": "ours",
    "BSD-2-Clause": "asks for its notice",
    "BSD-3-Clause": "asks for its notice",
    "ISC": "asks for its notice",
    "MIT": "asks for its notice",
    "MIT-0": "asks for nothing",
    "MPL-2.0": "holds for its own files, which are shipped as they are",
    "PSF-2.0": "asks for its notice",
    "Python-2.0": "asks for its notice",
    "Zlib": "asks for nothing in binaries",
    "LGPL-2.1-or-later": "of glibc in the static executables, which anybody can link anew with "
    "build-support/frozen",
    "GPL-3.0-or-later WITH GCC-exception-3.1": "of GCC's support library, whose exception is for "
    "what GCC compiles",
}
"""What may be in our programs, imported or linked, and why."""

_SPDX: Final[Licensing] = get_spdx_licensing()

# What distributions write instead of SPDX's names.
_WRITTEN: Final[Mapping[str, str]] = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "MIT License": "MIT",
}
_CLASSIFIED: Final[Mapping[str, str]] = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
}

LINKED: Final[Mapping[str, str]] = {
    "libc6-dev": "LGPL-2.1-or-later",
    "libexpat1-dev": "MIT",
    "libgcc-12-dev": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libpython3.11-dev": "PSF-2.0",
    "zlib1g-dev": "Zlib",
}
"""Packages of Debian that the static executables are linked of."""


class LicenceError(ValueError):
    """A licence is unknown, or not to be shipped."""


def python_licence(name: str, *, expression: str, written: str, classifiers: Iterable[str]) -> str:
    """Return a distribution's licence as an SPDX expression.

    Args:
        name: The distribution's.
        expression: Its metadata's License-Expression (PEP 639).
        written: Its metadata's License, which may be any text.
        classifiers: Its metadata's.

    Raises:
        LicenceError: None of them says it.
    """
    for text in (expression, _WRITTEN.get(written, written)):
        if text and is_spdx(text):
            return text
    found = {_CLASSIFIED[each] for each in classifiers if each in _CLASSIFIED}
    if len(found) != 1:
        raise LicenceError(
            f"{name} does not say its licence in a known form (License-Expression {expression!r}, "
            f"License {written[:40]!r}); add that form to build-support/sbom/licences.py"
        )
    return found.pop()


def linked_licence(package: str) -> str:
    """Return the licence of what is linked of a package of Debian.

    Raises:
        LicenceError: The package is not known here.
    """
    if package not in LINKED:
        raise LicenceError(
            f"{package} is linked into a static executable; add its licence to LINKED in "
            "build-support/sbom/licences.py"
        )
    return LINKED[package]


def is_spdx(text: str) -> bool:
    """Say whether a text is an expression of licences that SPDX lists."""
    return not _SPDX.validate(text, strict=True).errors


def is_allowed(expression: str) -> bool:
    """Say whether something under these licences may be shipped: one of alternatives is enough.

    Raises:
        LicenceError: It is no SPDX expression.
    """
    try:
        tree = _SPDX.parse(expression, validate=True, strict=True)
    except ExpressionError as error:
        raise LicenceError(f"{expression!r} is no SPDX expression: {error}") from error
    return _holds(tree)


def _holds(tree: object) -> bool:
    if isinstance(tree, LicenseSymbol):
        return str(tree.render()) in ALLOWED
    parts = [_holds(each) for each in tree.args]  # type: ignore[attr-defined]
    return any(parts) if isinstance(tree, _SPDX.OR) else all(parts)
