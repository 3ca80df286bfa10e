"""Each fault of an image's bill of materials is found; without one there is no complaint."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pytest

from tests.images.complaints import BILL, complaints
from tests.images.described import describe_part
from tests.images.layers import ImageFiles, add_layer

_SITE: Final = "app/lib/python3.11/site-packages"
_FILES: Final = {
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    "var/lib/dpkg/status": (
        "Package: libc6\nStatus: install ok installed\nSection: libs\nArchitecture: amd64\n"
        "Version: 2.36-9\nDescription: x\n\n"
        "Package: python3\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.11\n"
    ),
    "var/lib/dpkg/info/libc6:amd64.list": "/usr\n/usr/lib/libc.so.6\n",
    "var/lib/dpkg/info/python3.list": (
        "/usr/bin/python3\n/usr/lib/python3/dist-packages/own-1.dist-info\n"
        "/usr/lib/python3/dist-packages/own-1.dist-info/METADATA\n"
    ),
    "usr/share/doc/libc6/copyright": "Format: x\n\nLicense: LGPL-2.1\n",
    "usr/share/doc/python3/copyright": "By hand.\n",
    "usr/lib/libc.so.6": "library",
    "usr/bin/python3": "interpreter",
    "usr/lib/python3/dist-packages/own-1.dist-info/METADATA": "Name: own\nVersion: 1\n\n",
    f"{_SITE}/click/__init__.py": "pass\n",
    f"{_SITE}/click-8.5.1.dist-info/METADATA": (
        "Metadata-Version: 2.4\nName: click\nVersion: 8.5.1\nLicense-Expression: BSD-3-Clause\n"
        "\nName: not this one\n"
    ),
    f"{_SITE}/click-8.5.1.dist-info/RECORD": (
        "click/__init__.py,,\nclick-8.5.1.dist-info/METADATA,,\n../../../bin/click,,\n"
        "click-8.5.1.dist-info/licenses/LICENSE.txt,,\nclick-8.5.1.dist-info/RECORD,,\n"
    ),
    f"{_SITE}/click-8.5.1.dist-info/licenses/LICENSE.txt": "Redistribution ...\n",
    "app/bin/click": "#!/app/bin/python\n",
    f"{_SITE}/danm_api/__init__.py": "",
    f"{_SITE}/ipam_svc/version.py": 'VERSION = "0.1.0"\n',
}
_LABELS: Final = {
    f"org.opencontainers.image.{name}": value
    for name, value in (
        ("title", "x"),
        ("version", "0.1.0"),
        ("revision", "unknown"),
        ("source", "unknown"),
        ("licenses", "Apache-2.0"),
    )
}


@pytest.fixture()
def root(tmp_path: Path) -> Path:
    """Have the files of a small image."""
    for path, text in _FILES.items():
        target = tmp_path / "root" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (tmp_path / "root" / "app" / "bin" / "python").symlink_to("/usr/bin/python3")
    (tmp_path / "LICENSE").write_text("Apache License\n")
    return tmp_path / "root"


def _described(root: Path) -> ImageFiles:
    """Return the image with its description, as one layer."""
    describe_part(root)
    return _as_image(root)


def _as_image(root: Path) -> ImageFiles:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, arcname=".")
    layer.seek(0)
    image = ImageFiles(labels=_LABELS)
    with tarfile.open(fileobj=layer) as tar:
        add_layer(image, tar)
    return image


def _told(image: ImageFiles) -> list[str]:
    return list(complaints(image, package="ipam_svc", version="0.1.0"))


def _change_bill(root: Path, change: Callable[[dict[str, Any]], None]) -> ImageFiles:
    """Return the image with another bill."""
    path = root / BILL.relative_to("/")
    bill = json.loads(path.read_text())
    change(bill)
    path.write_text(json.dumps(bill))
    return _as_image(root)


def _component(bill: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each for each in bill["components"] if each["name"] == name)
    return dict(found)


def test_what_the_image_says_of_itself_holds(root: Path) -> None:
    """The bill that the build writes has no fault, and the texts are in their place."""
    image = _described(root)
    assert _told(image) == []
    assert PurePosixPath("/usr/share/doc/danm/licenses/click/LICENSE.txt") in image.files


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("click", "Python distribution ('click', '8.5.1') is installed and not in the bill"),
        ("libc6", "package of Debian ('libc6', '2.36-9') is installed and not in the bill"),
        ("danm_api", "/app/lib/python3.11/site-packages/danm_api belongs to nothing"),
    ],
)
def test_a_part_that_the_bill_lacks_is_missed(root: Path, name: str, sentence: str) -> None:
    """Whatever is dropped from it is found in the layers."""

    def drop(bill: dict[str, Any]) -> None:
        bill["components"] = [each for each in bill["components"] if each["name"] != name]

    _described(root)
    (told,) = _told(_change_bill(root, drop))
    assert sentence in told


def test_a_part_that_is_not_installed_is_told(root: Path) -> None:
    """A bill of another build names what is not there."""

    def add(bill: dict[str, Any]) -> None:
        bill["components"].append(_component(bill, "click") | {"version": "8.5.2"})

    _described(root)
    told = _told(_change_bill(root, add))
    assert "Python distribution ('click', '8.5.2') is in the bill and not installed" in told


def test_a_licence_that_is_not_allowed_is_told(root: Path) -> None:
    """By name; the build itself refuses it before."""
    metadata = root / _SITE / "click-8.5.1.dist-info" / "METADATA"

    def change(bill: dict[str, Any]) -> None:
        (each,) = (each for each in bill["components"] if each["name"] == "click")
        each["licenses"] = [{"expression": "GPL-3.0-only"}]

    _described(root)
    told = _told(_change_bill(root, change))
    assert told == ["click 8.5.1 is under GPL-3.0-only, which is not allowed"]
    shutil.rmtree(root / "usr" / "share" / "doc" / "danm")
    metadata.write_text(metadata.read_text().replace("BSD-3-Clause", "GPL-3.0-only"))
    with pytest.raises(SystemExit, match=r"click 8\.5\.1 is under GPL-3\.0-only"):
        _described(root)


def test_a_missing_text_is_told(root: Path) -> None:
    """A licence without its text may not be shipped; a build without it ends."""
    _described(root)
    (root / "usr/share/doc/danm/licenses/click/LICENSE.txt").unlink()
    (told,) = _told(_as_image(root))
    assert "click 8.5.1: its licence's text" in told
    shutil.rmtree(root / "usr" / "share" / "doc" / "danm")
    (root / "usr/share/doc/libc6/copyright").unlink()
    with pytest.raises(SystemExit, match="the base image has no /usr/share/doc/libc6/copyright"):
        _described(root)


def test_a_changed_file_is_told(root: Path) -> None:
    """What is not what was described has another digest."""
    _described(root)
    (root / _SITE / "click" / "__init__.py").write_text("other\n")
    (told,) = _told(_as_image(root))
    assert told.startswith("click has the digest ")


def test_versions_that_differ_are_told(root: Path) -> None:
    """Label, file, bill and program have one version."""
    _described(root)
    image = _as_image(root)
    image.labels = {**_LABELS, "org.opencontainers.image.version": "0.2.0"}
    assert _told(image) == ["its label says version 0.2.0 instead of 0.1.0"]
    (root / _SITE / "ipam_svc" / "version.py").write_text('VERSION = "0.3.0"\n')
    shutil.rmtree(root / "usr" / "share" / "doc" / "danm")
    with pytest.raises(SystemExit, match=r"ipam_svc says 0\.3\.0 and the image 0\.1\.0"):
        _described(root)


def test_a_missing_label_is_told(root: Path) -> None:
    """Registries show them."""
    _described(root)
    image = _as_image(root)
    image.labels = {name: value for name, value in _LABELS.items() if not name.endswith("revision")}
    assert _told(image) == ["the label org.opencontainers.image.revision is missing"]


def test_executables_without_a_list_of_what_they_are_made_of_are_refused(root: Path) -> None:
    """Nothing that is linked goes untold."""
    (root / "opt" / "danm" / "bin").mkdir(parents=True)
    (root / "opt" / "danm" / "bin" / "danm").write_text("#!/bin/sh\necho danm 0.1.0\n")
    (root / "opt" / "danm" / "bin" / "danm").chmod(0o755)
    with pytest.raises(SystemExit, match="--linked"):
        _described(root)
