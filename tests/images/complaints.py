"""What is wrong with an image's bill of materials, by the files that the image has. Pure.

Nothing of the program that writes the bill is used but its policy on licences: what is installed is
found here in another way.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from sbom.licences import is_allowed
from tests.images.layers import ImageFiles

DOCUMENTS: Final = PurePosixPath("/usr/share/doc/danm")
BILL: Final = DOCUMENTS / "sbom.cdx.json"
SITE: Final = PurePosixPath("/app/lib/python3.11/site-packages")
EXECUTABLES: Final = PurePosixPath("/opt/danm/bin")
_STATUS: Final = PurePosixPath("/var/lib/dpkg/status")
_LABEL: Final = "org.opencontainers.image."
_LABELS: Final = ("title", "version", "revision", "source", "licenses")
_HEADER: Final = re.compile(r"^(Name|Version): (.+)$", re.MULTILINE)
_PACKAGE: Final = re.compile(
    r"^Package: (?P<name>\S+)\n(?:.+\n)*?Status: install ok installed\n(?:.+\n)*?"
    r"Version: (?P<version>\S+)$",
    re.MULTILINE,
)
_VERSION: Final = re.compile(r'^VERSION = "([^"]+)"$', re.MULTILINE)


def complaints(image: ImageFiles, *, package: str, version: str) -> Iterator[str]:
    """Yield a sentence for all that does not hold.

    Args:
        image: The files.
        package: Of the program that it is an image of.
        version: That it should have.
    """
    bill = json.loads(image.text(BILL))
    components = list(_flat(bill["components"]))
    yield from _of_versions(image, bill, package=package, version=version)
    yield from _compared("Python distribution", distributions(image), _told(components, "python"))
    yield from _compared("package of Debian", debian_packages(image), _told(components, "debian"))
    executables = {path.name for path in image.files if path.parent == EXECUTABLES}
    yield from _compared(
        "executable",
        executables,
        {each["name"] for each in components if _property(each, "kind") == ["executable"]},
    )
    yield from _of_packages(image, components)
    for component in components:
        yield from _of_licence(image, component)
    yield from _of_digests(image, components)


def distributions(image: ImageFiles) -> set[tuple[str, str]]:
    """Return name and version of the Python distributions that no package of Debian brings."""
    brought = set[str]()
    for path, file in image.files.items():
        if path.parent == PurePosixPath("/var/lib/dpkg/info") and path.suffix == ".list":
            brought.update((file.content or b"").decode().splitlines())
    return {
        (headers["Name"], headers["Version"])
        for path in image.files
        if path.name == "METADATA" and path.parent.suffix == ".dist-info"
        if str(path) not in brought
        for headers in [dict(reversed(_HEADER.findall(image.text(path).partition("\n\n")[0])))]
    }


def debian_packages(image: ImageFiles) -> set[tuple[str, str]]:
    """Return name and version of the packages of Debian."""
    return {(found["name"], found["version"]) for found in _PACKAGE.finditer(image.text(_STATUS))}


def _flat(components: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for component in components:
        yield component
        yield from _flat(component.get("components", ()))


def _told(components: Iterable[dict[str, Any]], kind: str) -> set[tuple[str, str]]:
    return {
        (each["name"], each["version"]) for each in components if _property(each, "kind") == [kind]
    }


def _property(component: dict[str, Any], name: str) -> list[str]:
    return [
        each["value"] for each in component.get("properties", ()) if each["name"] == f"danm:{name}"
    ]


def _compared(what: str, installed: set[Any], told: set[Any]) -> Iterator[str]:
    for each in sorted(installed - told):
        yield f"{what} {each} is installed and not in the bill"
    for each in sorted(told - installed):
        yield f"{what} {each} is in the bill and not installed"


def _of_versions(
    image: ImageFiles, bill: dict[str, Any], *, package: str, version: str
) -> Iterator[str]:
    for label in _LABELS:
        if not image.labels.get(f"{_LABEL}{label}"):
            yield f"the label {_LABEL}{label} is missing"
    module = _VERSION.findall(image.text(SITE / package / "version.py"))
    (own,) = (each for each in bill["components"] if each["name"] == package)
    said = {
        "its label": image.labels.get(f"{_LABEL}version"),
        "the file VERSION": image.text(DOCUMENTS / "VERSION").strip(),
        "the bill's subject": bill["metadata"]["component"].get("version"),
        "the bill's component": own.get("version"),
        "the program's module": module[0] if module else None,
    }
    for where, found in said.items():
        if found != version:
            yield f"{where} says version {found} instead of {version}"


def _of_packages(image: ImageFiles, components: list[dict[str, Any]]) -> Iterator[str]:
    """Complain of import packages that no distribution and no component of ours brings."""
    ours = {each["name"] for each in components if _property(each, "kind") == ["own"]}
    brought = {
        (path.parent.parent / row[0]).relative_to(SITE).parts[0]
        for path in image.files
        if path.name == "RECORD" and path.is_relative_to(SITE)
        for row in csv.reader(image.text(path).splitlines())
        if row and ".." not in row[0]
    }
    packages = {
        path.relative_to(SITE).parts[0]
        for path in image.files
        if path.is_relative_to(SITE) and path.suffix in (".py", ".so")
    }
    # Of the tool that made the environment.
    packages -= {"PEX_EXTRA_SYS_PATH.py", "__pycache__"}
    for each in sorted(packages - brought - ours):
        if not each.endswith(".pex-info"):
            yield f"{SITE / each} belongs to nothing that is in the bill"


def _of_licence(image: ImageFiles, component: dict[str, Any]) -> Iterator[str]:
    name = f"{component['name']} {component.get('version', '')}".strip()
    texts = _property(component, "licence-text")
    if not texts:
        yield f"{name} has no text of its licence"
    for text in texts:
        if not image.exists(PurePosixPath(text)):
            yield f"{name}: its licence's text {text} is not in the image"
    licences = component.get("licenses", [])
    if not licences:
        yield f"{name} has no licence"
    if _property(component, "kind") == ["debian"]:
        return
    for licence in licences:
        expression = licence.get("expression") or licence["license"].get("id", "")
        if not is_allowed(expression):
            yield f"{name} is under {expression}, which is not allowed"


def _of_digests(image: ImageFiles, components: list[dict[str, Any]]) -> Iterator[str]:
    records = {
        dict(reversed(_HEADER.findall(image.text(path).partition("\n\n")[0])))["Name"]: path.parent
        for path in image.files
        if path.name == "METADATA" and path.is_relative_to(SITE)
    }
    for component in components:
        name = component["name"]
        match _property(component, "kind"):
            case ["python"]:
                if name not in records:
                    continue
                rows = csv.reader(image.text(records[name] / "RECORD").splitlines())
                found = _digest(
                    image, (_normal(records[name].parent / row[0]) for row in rows if row)
                )
            case ["own"]:
                found = _digest(
                    image, (path for path in image.files if path.is_relative_to(SITE / name))
                )
            case ["executable"]:
                found = image.files[EXECUTABLES / name].digest
            case _:
                continue
        told = [each["content"] for each in component.get("hashes", ())]
        if told != [found]:
            yield f"{name} has the digest {found}, and the bill says {', '.join(told) or 'none'}"


def _digest(image: ImageFiles, paths: Iterable[PurePosixPath]) -> str:
    lines = (
        f"{image.files[path].digest}  {path}\n"
        for path in sorted(set(paths), key=str)
        if path in image.files and path.suffix != ".pyc"
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)
