"""Images may be built on the official Python images, which bring tools that install packages."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.images.described import describe_part

_ROOT: Final = Path(__file__).parents[2]
_DOCKERFILES: Final = sorted(
    path for each in ("components", "services") for path in _ROOT.glob(f"{each}/*/Dockerfile")
)
_LIBRARY: Final = "usr/local/lib/python3.11"
_SITE: Final = f"{_LIBRARY}/site-packages"
_APP: Final = "app/lib/python3.11/site-packages"


def _distribution(
    where: str, name: str, version: str, licence: str, *files: str
) -> Mapping[str, str]:
    """Return the files of a Python distribution that is installed."""
    info = f"{name}-{version}.dist-info"
    record = "".join(f"{each},,\n" for each in (f"{info}/METADATA", f"{info}/LICENSE", *files))
    return {
        f"{where}/{info}/METADATA": f"Name: {name}\nVersion: {version}\n{licence}\n\n",
        f"{where}/{info}/LICENSE": "Text\n",
        f"{where}/{info}/RECORD": record,
        **{f"{where}/{each}": "" for each in files},
    }


# As python:3.11-slim has them.
_TOOLS: Final[Mapping[str, str]] = {
    "usr/local/bin/pip": "",
    "usr/local/bin/pip3": "",
    "usr/local/bin/pip3.11": "",
    "usr/local/bin/wheel": "",
    f"{_SITE}/distutils-precedence.pth": "import _distutils_hack\n",
    **_distribution(_SITE, "pip", "24.0", "License: MIT", "pip/__init__.py"),
    **_distribution(
        _SITE,
        "setuptools",
        "79.0.1",
        "License-File: LICENSE",
        "setuptools/__init__.py",
        "pkg_resources/__init__.py",
        "_distutils_hack/__init__.py",
    ),
    **_distribution(f"{_SITE}/setuptools/_vendor", "autocommand", "2.2.2", "License: LGPLv3"),
    **_distribution(
        _SITE,
        "wheel",
        "0.45.1",
        "Classifier: License :: OSI Approved :: MIT License",
        "wheel/__init__.py",
    ),
}
_FILES: Final[Mapping[str, str]] = {
    "etc/os-release": 'ID=debian\nVERSION_ID="13"\n',
    "var/lib/dpkg/status": "Package: libc6\nStatus: install ok installed\nSection: libs\n"
    "Architecture: amd64\nVersion: 2.41-12\n",
    "var/lib/dpkg/info/libc6:amd64.list": "/usr\n",
    "usr/share/doc/libc6/copyright": "By hand.\n",
    "usr/local/bin/python3.11": "interpreter",
    f"{_LIBRARY}/LICENSE.txt": "Python's\n",
    f"{_LIBRARY}/os.py": "",
    f"{_SITE}/README.txt": "",
    **_distribution(_APP, "click", "8.5.1", "License-Expression: BSD-3-Clause"),
    f"{_APP}/danm_api/__init__.py": "",
    f"{_APP}/ipam_svc/version.py": 'VERSION = "0.1.0"\n',
}


@pytest.fixture()
def image(tmp_path: Path) -> Path:
    """Return the files of an image that is built on an official one."""
    root = tmp_path / "root"
    for path, text in {**_FILES, **_TOOLS}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "app" / "bin").mkdir()
    (root / "app" / "bin" / "python").symlink_to("/usr/local/bin/python3.11")
    (tmp_path / "LICENSE").write_text("Apache License\n")
    return root


def _removal(dockerfile: Path) -> str:
    """Return what the stage does to its base that becomes the image, as a shell's command."""
    stage = dockerfile.read_text().partition(" AS program\n")[2].partition("\nFROM ")[0]
    (found,) = re.findall(r"^RUN ((?:.*\\\n)*.*)$", stage, re.MULTILINE)
    return str(found)


def _remove(dockerfile: Path, root: Path) -> None:
    """Do it to an image's files, and to nothing else."""
    command = _removal(dockerfile)
    assert command.startswith("rm -rf /usr/local/")
    inside = re.sub(r"(?<=\s)/", f"{root}/", command)
    subprocess.run(["sh", "-ec", inside], check=True)


def test_tools_that_install_are_no_part_of_an_image(image: Path) -> None:
    """What they bring of others may not be shipped; without them the image describes itself."""
    with pytest.raises(SystemExit, match="autocommand does not say its licence in a known form"):
        describe_part(image)
    _remove(_DOCKERFILES[0], image)
    describe_part(image)
    bill = (image / "usr/share/doc/danm/sbom.cdx.json").read_text()
    assert "click" in bill
    assert "cpython" in bill
    left = {str(path.relative_to(image)) for path in image.rglob("*") if path.is_file()}
    assert left >= set(_FILES)
    assert not left & set(_TOOLS)


def test_a_base_without_them_stays_as_it_is(image: Path) -> None:
    """So is the lab's, which has Debian's Python."""
    _remove(_DOCKERFILES[0], image)
    before = sorted(image.rglob("*"))
    _remove(_DOCKERFILES[0], image)
    assert sorted(image.rglob("*")) == before


def test_all_images_share_that_layer() -> None:
    """The same line in each of them makes it once."""
    assert len(_DOCKERFILES) == 4
    assert len({_removal(each) for each in _DOCKERFILES}) == 1
