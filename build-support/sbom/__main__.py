"""Describes the image in which it runs: ``sbom --part ipam-svc --version 0.1.0 ...``.

Writes /usr/share/doc/danm: sbom.cdx.json, VERSION, LICENSE, and the texts of all other licences
below licenses/ that Debian's packages do not already have in /usr/share/doc. Fails where something
cannot be told, and where a licence is not allowed.
"""

import argparse
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from sbom.document import Image, document
from sbom.files import inside
from sbom.installed import (
    DOCUMENTS,
    EXECUTABLES,
    IncompleteError,
    debian_parts,
    distributions,
    executable_parts,
    interpreter_part,
    own_part,
    python_part,
)
from sbom.licences import LicenceError, is_allowed
from sbom.parts import Kind, Part

PROGRAM: Final = PurePosixPath("/app")
SITE: Final = PROGRAM / "lib" / "python3.11" / "site-packages"
_LIBRARY: Final = "danm_api"
_VERSION: Final = re.compile(r'^VERSION = "([^"]+)"$', re.MULTILINE)


def found_parts(root: Path, package: str, linked: Path | None) -> Iterator[Part]:
    """Yield all that an image consists of.

    Raises:
        IncompleteError: Something cannot be told.
        LicenceError: A licence is unknown.
    """
    site = root / SITE.relative_to("/")
    version = own_version(site / package)
    yield own_part(root, SITE / package, name=package, version=version)
    yield own_part(root, SITE / _LIBRARY, name=_LIBRARY, version="")
    for metadata in distributions(root):
        yield python_part(root, metadata)
    yield from debian_parts(root)
    interpreter = PROGRAM / "bin" / "python"
    if part := interpreter_part(root, interpreter, version=platform.python_version()):
        yield part
    executables = root / EXECUTABLES.relative_to("/")
    if not executables.is_dir():
        return
    if linked is None:
        raise IncompleteError(f"{EXECUTABLES} has executables; say with --linked what is in them")
    for path in sorted(executables.iterdir()):
        told = subprocess.run([path, "--version"], check=True, capture_output=True, text=True)
        yield from executable_parts(
            root,
            path.name,
            version=told.stdout.split()[1],
            linked=linked / f"{path.name}.linked",
        )


def own_version(package: Path) -> str:
    """Return the version that a package of this repository says.

    Raises:
        IncompleteError: It says none.
    """
    found = _VERSION.search((package / "version.py").read_text())
    if found is None:
        raise IncompleteError(f"{package.name}.version says no version")
    return found[1]


def refuse_licences(parts: list[Part]) -> None:
    """Refuse what may not be in our programs; Debian's own programs stand beside them.

    Raises:
        LicenceError: A part's licence is not allowed.
    """
    for part in parts:
        if part.kind is not Kind.DEBIAN and not is_allowed(part.licence):
            raise LicenceError(
                f"{part.name} {part.version} is under {part.licence}, which "
                "build-support/sbom/licences.py does not allow"
            )


def write_texts(root: Path, parts: list[Part]) -> None:
    """Put the licences' texts where the parts say that they are."""
    for part in parts:
        for text, source in part.copies.items():
            copy = root / text.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def describe(
    root: Path,
    *,
    image: str,
    package: str,
    version: str,
    license_text: Path,
    linked: Path | None,
) -> None:
    """Write what describes an image into it.

    Args:
        root: Where the image's files are.
        image: Its name.
        package: The program's.
        version: That the image is labelled with.
        license_text: Our own licence's.
        linked: What build-support/frozen wrote about the executables; None where there are none.

    Raises:
        SystemExit: Something cannot be told, may not be shipped, or has another version.
    """
    try:
        parts = list(found_parts(root, package, linked))
        refuse_licences(parts)
    except (IncompleteError, LicenceError) as error:
        raise SystemExit(f"sbom: {error}") from error
    (own,) = (part for part in parts if part.kind is Kind.OWN and part.name == package)
    if own.version != version:
        raise SystemExit(
            f"sbom: {package} says {own.version} and the image {version}: "
            "PYTHONPATH=build-support python -m versions"
        )
    target = root / DOCUMENTS.relative_to("/")
    target.mkdir(parents=True)
    write_texts(root, parts)
    shutil.copyfile(license_text, target / "LICENSE")
    (target / "VERSION").write_text(f"{version}\n")
    told = Image(name=image, version=version, distribution=_distribution(root))
    (target / "sbom.cdx.json").write_text(document(told, parts))


def main() -> None:
    """Describe the image that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True, help="its name, such as danm/ipam-svc")
    parser.add_argument("--package", required=True, help="the program's, such as ipam_svc")
    parser.add_argument("--version", required=True, help="that the image is labelled with")
    parser.add_argument("--license", required=True, type=Path, help="our own licence's text")
    parser.add_argument("--linked", type=Path, help="directory of what executables are made of")
    parser.add_argument("--root", type=Path, default=Path("/"), help="where its files are")
    arguments = parser.parse_args()
    describe(
        arguments.root,
        image=arguments.image,
        package=arguments.package,
        version=arguments.version,
        license_text=arguments.license,
        linked=arguments.linked,
    )


def _distribution(root: Path) -> str:
    """Return what package URLs call the release of Debian, such as ``debian-12``."""
    lines = inside(root, PurePosixPath("/etc/os-release")).read_text().splitlines()
    fields = dict(line.replace('"', "").split("=", 1) for line in lines if "=" in line)
    return f"{fields['ID']}-{fields['VERSION_ID']}"


if __name__ == "__main__":
    main()
