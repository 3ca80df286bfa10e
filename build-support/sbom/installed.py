"""What is installed in an image, found in its files."""

import csv
import json
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Final

from sbom import debian
from sbom.files import file_digest, inside, tree_digest
from sbom.licences import linked_licence, python_licence
from sbom.parts import Kind, Part

DOCUMENTS: Final = PurePosixPath("/usr/share/doc/danm")
LICENCES: Final = DOCUMENTS / "licenses"
OWN_LICENCE: Final = "Apache-2.0"
EXECUTABLES: Final = PurePosixPath("/opt/danm/bin")
_STATUS: Final = PurePosixPath("/var/lib/dpkg/status")
_LISTS: Final = PurePosixPath("/var/lib/dpkg/info")
# Where Python looks, in Debian's CPython and in the official images.
_SITES: Final = ("app/lib", "usr/lib", "usr/local/lib")
_NOTICES: Final = ("licen", "copying", "notice", "authors")


class IncompleteError(ValueError):
    """Something of the image cannot be told."""


def debian_parts(root: Path) -> Iterator[Part]:
    """Yield the packages of Debian.

    Raises:
        IncompleteError: A package has no licence's text, or is not of Debian's free part.
    """
    for package in debian.installed(inside(root, _STATUS).read_text()):
        if "/" in package.section:
            raise IncompleteError(f"{package.name} is of Debian's section {package.section}")
        text = PurePosixPath(f"/usr/share/doc/{package.name}/copyright")
        try:
            content = inside(root, text).read_text(errors="replace")
        except FileNotFoundError as error:
            raise IncompleteError(
                f"the base image has no {text}: it was made without its packages' licences"
            ) from error
        yield Part(
            kind=Kind.DEBIAN,
            name=package.name,
            version=package.version,
            architecture=package.architecture,
            licence=debian.licence_names(content),
            texts=(text,),
            digest=tree_digest(root, _files_of_package(root, package)),
        )


def _files_of_package(root: Path, package: debian.Package) -> Iterator[PurePosixPath]:
    for name in (package.name, f"{package.name}:{package.architecture}"):
        path = root / _LISTS.relative_to("/") / f"{name}.list"
        if path.exists():
            yield from map(PurePosixPath, path.read_text().splitlines())


def files_of_debian(root: Path) -> frozenset[PurePosixPath]:
    """Return all files that packages of Debian bring."""
    lists = inside(root, _LISTS).glob("*.list")
    return frozenset(
        PurePosixPath(line) for each in lists for line in each.read_text().splitlines()
    )


def distributions(root: Path) -> list[PurePosixPath]:
    """Return the metadata directories of all Python distributions that Debian does not bring."""
    known = files_of_debian(root)
    found = (
        PurePosixPath("/") / path.relative_to(root)
        for site in _SITES
        for pattern in ("*.dist-info", "*.egg-info")
        for path in (root / site).rglob(pattern)
        if path.is_dir()
    )
    return sorted(each for each in found if each not in known)


def python_part(root: Path, metadata: PurePosixPath) -> Part:
    """Return a Python distribution.

    Raises:
        IncompleteError: It has no licence's text.
        LicenceError: It does not say its licence.
    """
    directory = root / metadata.relative_to("/")
    headers = HeaderParser().parsestr((directory / "METADATA").read_text())
    name = headers["Name"]
    paths = recorded_files(root, metadata)
    texts = {
        LICENCES / name / _below(metadata, path): root / path.relative_to("/")
        for path in paths
        if path.is_relative_to(metadata)
        and any(word in path.name.lower() for word in _NOTICES)
        and path.suffix not in (".py", ".pyc")
    }
    if not texts:
        raise IncompleteError(f"{name} brings no text of its licence")
    return Part(
        kind=Kind.PYTHON,
        name=name,
        version=headers["Version"],
        licence=python_licence(
            name,
            expression=headers.get("License-Expression", ""),
            written=headers.get("License", ""),
            classifiers=headers.get_all("Classifier", []),
        ),
        texts=tuple(texts),
        copies=texts,
        digest=tree_digest(root, paths),
    )


def _below(metadata: PurePosixPath, text: PurePosixPath) -> PurePosixPath:
    """Return a text's path in the distribution's own directory (PEP 639: ``licenses``)."""
    inner = text.relative_to(metadata)
    return inner.relative_to("licenses") if inner.is_relative_to("licenses") else inner


def recorded_files(root: Path, metadata: PurePosixPath) -> list[PurePosixPath]:
    """Return the files that a distribution says to have brought, itself among them."""
    record = root / metadata.relative_to("/") / "RECORD"
    with record.open(newline="") as rows:
        return [_normal(metadata.parent / row[0]) for row in csv.reader(rows) if row]


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def own_part(root: Path, package: PurePosixPath, *, name: str, version: str) -> Part:
    """Return a package of this repository."""
    directory = root / package.relative_to("/")
    paths = (
        PurePosixPath("/") / path.relative_to(root)
        for path in directory.rglob("*")
        if path.is_file()
    )
    return Part(
        kind=Kind.OWN,
        name=name,
        version=version,
        licence=OWN_LICENCE,
        texts=(DOCUMENTS / "LICENSE",),
        digest=tree_digest(root, paths),
    )


def executable_parts(root: Path, name: str, *, version: str, linked: Path) -> Iterator[Part]:
    """Yield a static executable and what is linked into it.

    Args:
        root: Of the image.
        name: The executable's.
        version: The executable's.
        linked: What build-support/frozen/build.sh wrote about it.
    """
    path = root / EXECUTABLES.relative_to("/") / name
    yield Part(
        kind=Kind.EXECUTABLE,
        name=name,
        version=version,
        licence=OWN_LICENCE,
        texts=(DOCUMENTS / "LICENSE",),
        digest=file_digest(path),
    )
    for package in json.loads((linked / "packages.json").read_text()):
        text = LICENCES / name / f"{package['name']}.copyright"
        yield Part(
            kind=Kind.LINKED,
            name=package["name"],
            version=package["version"],
            architecture=package["architecture"],
            licence=linked_licence(package["name"]),
            texts=(text,),
            copies={text: linked / text.name},
            inside=name,
        )


def interpreter_part(root: Path, interpreter: PurePosixPath, *, version: str) -> Part | None:
    """Return the CPython that runs the program, None where Debian brings it."""
    place = PurePosixPath("/") / inside(root, interpreter).relative_to(root)
    if place in files_of_debian(root):
        return None
    text = LICENCES / "cpython" / "LICENSE.txt"
    home = place.parent.parent / "lib" / f"python{version.rpartition('.')[0]}"
    return Part(
        kind=Kind.INTERPRETER,
        name="cpython",
        version=version,
        licence="PSF-2.0",
        texts=(text,),
        copies={text: inside(root, home / text.name)},
        digest=file_digest(root / place.relative_to("/")),
    )
