"""The images that were built contain what they say of themselves."""

import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import fakeipam.version
from tests.images.complaints import BILL, EXECUTABLES, complaints
from tests.images.layers import ImageFiles, read_archive
from tests.lab.installation import PART_IMAGES, PartImage

_ENGINE: Final = Path(__file__).parents[2] / "build-support" / "container" / "docker"
_KEPT: Final = frozenset({BILL, *(EXECUTABLES / name for name in ("danm", "fakeipam"))})


@pytest.fixture(scope="module", params=PART_IMAGES, ids=lambda image: image.name)
def part(request: pytest.FixtureRequest) -> PartImage:
    """Return each image's name, one after the other."""
    image: PartImage = request.param
    return image


@pytest.fixture(scope="module")
def image(part: PartImage, tmp_path_factory: pytest.TempPathFactory) -> ImageFiles:
    """Return the image's files, from the layers that the engine has."""
    archive = tmp_path_factory.mktemp("image") / "image.tar"
    # podman puts this name before what was built without a registry's.
    names = (f"localhost/{part.name}:{part.tag}", f"{part.name}:{part.tag}")
    for name in names:
        command = [str(_ENGINE), "save", "--output", str(archive), name]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            files = read_archive(archive, keep=_KEPT)
            archive.unlink()
            return files
        archive.unlink(missing_ok=True)
    pytest.fail(f"{names[1]} is not built: ./pants package {part.target}")


def test_the_bill_of_materials_is_of_what_is_installed(part: PartImage, image: ImageFiles) -> None:
    """Complete, with texts of all licences, allowed ones alone, and the image's own version."""
    package = part.name.rpartition("/")[2].replace("-", "_")
    assert list(complaints(image, package=package, version=part.tag)) == []


def test_the_bill_of_materials_is_one(image: ImageFiles) -> None:
    """The official schema of CycloneDX 1.6 is content."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(image.text(BILL)) is None


def test_the_executables_say_their_own_versions(
    part: PartImage, image: ImageFiles, tmp_path: Path
) -> None:
    """`fakeipam` has its own in the image of danm-cni."""
    expected = {"danm": part.tag, "fakeipam": fakeipam.version.VERSION}
    found = {path.name for path in image.files if path.parent == EXECUTABLES}
    assert found == (set(expected) if part.name.endswith("danm-cni") else set())
    for name in found:
        program = tmp_path / name
        program.write_bytes(image.files[EXECUTABLES / name].content or b"")
        program.chmod(0o755)
        told = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
        assert told.stdout == f"{name} {expected[name]}\n"


def test_the_label_names_the_revision(image: ImageFiles) -> None:
    """A commit, or that nobody knows which."""
    revision = image.labels["org.opencontainers.image.revision"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", revision)
    assert PurePosixPath("/usr/share/doc/danm/LICENSE") in image.files
