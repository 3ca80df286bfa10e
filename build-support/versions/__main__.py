"""Versions of the parts.

    python -m versions                            bring each to where it stands
    python -m versions raise PART major|minor|patch
    python -m versions due                        name the parts that changed since their last tag

PYTHONPATH is build-support. Afterwards ``python -m chart``, whose chart names the versions.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from versions.history import changed_since_tag
from versions.parts import PARTS, Part
from versions.texts import (
    Step,
    VersionError,
    build_file,
    kustomization,
    raised,
    read_version,
    with_version,
)

ROOT: Final = Path(__file__).resolve().parents[2]


def version_of(root: Path, part: Part) -> str:
    """Return a part's version.

    Raises:
        VersionError: Its module says none.
    """
    return read_version((root / part.module).read_text(), path=part.module)


def places(root: Path) -> Mapping[Path, str]:
    """Return what the files that repeat a version should contain.

    Raises:
        VersionError: A file lacks the place.
    """
    return dict(_places(root))


def _places(root: Path) -> Iterator[tuple[Path, str]]:
    for part in PARTS:
        if not part.image:
            continue
        version = version_of(root, part)
        path = f"{part.root}/BUILD"
        yield root / path, build_file((root / path).read_text(), version, path=path)
        path = f"deploy/{part.deploy}/kustomization.yaml"
        text = (root / path).read_text()
        yield root / path, kustomization(text, part.image, version, path=path)


def write(root: Path) -> None:
    """Bring each version to where it stands."""
    for path, text in places(root).items():
        path.write_text(text)


def raise_version(root: Path, name: str, step: Step) -> str:
    """Raise a part's version, bring it to where it stands, and return it.

    Raises:
        VersionError: There is no such part.
    """
    part = next((each for each in PARTS if each.name == name), None)
    if part is None:
        known = ", ".join(each.name for each in PARTS)
        raise VersionError(f"there is no part {name!r}; the parts are {known}")
    path = root / part.module
    version = raised(version_of(root, part), step)
    path.write_text(with_version(path.read_text(), version))
    write(root)
    return version


def due(root: Path) -> list[str]:
    """Return a sentence for each part that is not what its version's tag has."""
    return [
        f"{part.name} {version} is tagged and has changed since: python -m versions raise "
        f"{part.name} ..."
        for part in PARTS
        if changed_since_tag(root, part, version := version_of(root, part))
    ]


def main(arguments: list[str]) -> None:
    """Do what the words say.

    Raises:
        SystemExit: They are wrong, or a raise is due.
    """
    match arguments:
        case []:
            write(ROOT)
        case ["due"]:
            if sentences := due(ROOT):
                raise SystemExit("\n".join(sentences))
        case ["raise", name, ("major" | "minor" | "patch") as step]:
            try:
                print(raise_version(ROOT, name, Step(step)))
            except VersionError as error:
                raise SystemExit(str(error)) from error
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
