"""The document, against the official schema of CycloneDX 1.6."""

import json
from pathlib import PurePosixPath
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sbom.document import Image, document
from sbom.parts import Kind, Part

_IMAGE = Image(name="danm/x", version="0.1.0", distribution="debian-12")
_PARTS = [
    Part(
        kind=Kind.OWN,
        name="x",
        version="0.1.0",
        licence="Apache-2.0",
        texts=(PurePosixPath("/usr/share/doc/danm/LICENSE"),),
        digest="0" * 64,
    ),
    Part(
        kind=Kind.PYTHON,
        name="Typing_Extensions",
        version="4.16.0",
        licence="PSF-2.0 AND MIT",
        texts=(PurePosixPath("/a"), PurePosixPath("/b")),
        digest="1" * 64,
    ),
    Part(
        kind=Kind.DEBIAN,
        name="libc6",
        version="2.36-9+deb12u10",
        architecture="amd64",
        licence="GPL-2, LGPL-2.1",
        texts=(PurePosixPath("/usr/share/doc/libc6/copyright"),),
    ),
    Part(kind=Kind.EXECUTABLE, name="danm", version="0.2.0", licence="Apache-2.0", digest="2" * 64),
    Part(
        kind=Kind.LINKED,
        name="libc6-dev",
        version="2.36-9",
        architecture="amd64",
        licence="LGPL-2.1-or-later",
        inside="danm",
    ),
    Part(kind=Kind.INTERPRETER, name="cpython", version="3.11.9", licence="PSF-2.0"),
]


def _document() -> dict[str, Any]:
    return dict(json.loads(document(_IMAGE, _PARTS)))


def test_the_official_schema_is_content() -> None:
    """Unknown keys, licences that SPDX does not list and broken references are refused by it."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(document(_IMAGE, _PARTS)) is None
    broken = _document()
    broken["components"][0]["licence"] = "MIT"
    assert validator.validate_str(json.dumps(broken)) is not None


def test_all_parts_are_told_with_what_identifies_them() -> None:
    """Names, versions, licences, digests, package URLs; what is linked is in its executable."""
    found = {each["name"]: each for each in _document()["components"]}
    assert set(found) == {"x", "Typing_Extensions", "libc6", "danm", "cpython"}
    extensions = found["Typing_Extensions"]
    assert extensions["purl"] == "pkg:pypi/typing-extensions@4.16.0"
    assert extensions["licenses"] == [{"expression": "PSF-2.0 AND MIT"}]
    assert extensions["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]
    assert {"name": "danm:licence-text", "value": "/b"} in extensions["properties"]
    assert found["libc6"]["licenses"] == [{"license": {"name": "GPL-2, LGPL-2.1"}}]
    assert found["libc6"]["purl"] == (
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64&distro=debian-12"
    )
    assert [each["name"] for each in found["danm"]["components"]] == ["libc6-dev"]


def test_the_same_image_has_the_same_document() -> None:
    """No moment and no random number is in it; another part makes another serial number."""
    assert document(_IMAGE, _PARTS) == document(_IMAGE, list(reversed(_PARTS)))
    assert "timestamp" not in document(_IMAGE, _PARTS)
    fewer = json.loads(document(_IMAGE, _PARTS[:-1]))
    assert fewer["serialNumber"] != _document()["serialNumber"]
