"""The bill of materials as a CycloneDX 1.6 document. Pure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from uuid import UUID

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from sbom.parts import Kind, Part

KIND: Final = "danm:kind"
TEXT: Final = "danm:licence-text"
"""Names of properties: of which kind a component is, and where its licences' texts are."""

_TYPES: Final = {
    Kind.EXECUTABLE: ComponentType.APPLICATION,
    Kind.INTERPRETER: ComponentType.PLATFORM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What is described.

    Attributes:
        name: The image's, without registry.
        version: The part's.
        distribution: Debian's release, for package URLs; empty where it is not known.
    """

    name: str
    version: str
    distribution: str = ""


def document(image: Image, parts: Sequence[Part]) -> str:
    """Return the document: the same bytes for the same parts."""
    bom = Bom()
    top = Component(
        name=image.name,
        version=image.version,
        type=ComponentType.CONTAINER,
        bom_ref=f"image:{image.name}@{image.version}",
        licenses=[LicenseExpression("Apache-2.0")],
    )
    bom.metadata.component = top
    components = {part.reference: _component(part, image.distribution) for part in parts}
    for part in parts:
        if part.inside:
            outer = next(
                each for each in parts if each.kind is Kind.EXECUTABLE and each.name == part.inside
            )
            components[outer.reference].components.add(components[part.reference])
            bom.register_dependency(components[outer.reference], [components[part.reference]])
        else:
            bom.components.add(components[part.reference])
            bom.register_dependency(top, [components[part.reference]])
    bom.serial_number = _serial_number(image, parts)
    raw = json.loads(JsonV1Dot6(bom).output_as_string())
    # The moment would be all that differs between two documents of one image.
    del raw["metadata"]["timestamp"]
    return json.dumps(raw, indent=1, sort_keys=True) + "\n"


def _component(part: Part, distribution: str) -> Component:
    is_spdx = part.kind is not Kind.DEBIAN
    return Component(
        name=part.name,
        version=part.version or None,
        type=_TYPES.get(part.kind, ComponentType.LIBRARY),
        bom_ref=part.reference,
        purl=_purl(part, distribution),
        licenses=[
            LicenseExpression(part.licence) if is_spdx else DisjunctiveLicense(name=part.licence)
        ],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.digest)] if part.digest else [],
        properties=[
            Property(name=KIND, value=part.kind),
            *(Property(name=TEXT, value=str(text)) for text in part.texts),
        ],
    )


def _purl(part: Part, distribution: str) -> PackageURL | None:
    match part.kind:
        case Kind.PYTHON:
            name = part.name.lower().replace("_", "-")
            return PackageURL(type="pypi", name=name, version=part.version)
        case Kind.DEBIAN | Kind.LINKED:
            qualifiers = {"arch": part.architecture}
            if distribution:
                qualifiers["distro"] = distribution
            return PackageURL(
                type="deb",
                namespace="debian",
                name=part.name,
                version=part.version,
                qualifiers=qualifiers,
            )
        case Kind.INTERPRETER:
            return PackageURL(type="generic", name=part.name, version=part.version)
        case Kind.OWN | Kind.EXECUTABLE:
            return None


def _serial_number(image: Image, parts: Iterable[Part]) -> UUID:
    """Return a number that two documents share if they tell the same."""
    told = repr((image, sorted(parts, key=lambda part: part.reference)))
    return UUID(bytes=sha256(told.encode()).digest()[:16], version=4)
