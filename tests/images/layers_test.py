"""Layers one over the other."""

import io
import tarfile
from pathlib import PurePosixPath

from tests.images.layers import ImageFiles, add_layer


def _layer(files: dict[str, str], links: dict[str, str] | None = None) -> tarfile.TarFile:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, text in files.items():
            information = tarfile.TarInfo(name)
            information.size = len(text)
            tar.addfile(information, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            information = tarfile.TarInfo(name)
            information.type = tarfile.SYMTYPE
            information.linkname = target
            tar.addfile(information)
    content.seek(0)
    return tarfile.open(fileobj=content)


def _image(*layers: tarfile.TarFile) -> ImageFiles:
    image = ImageFiles()
    for layer in layers:
        with layer:
            add_layer(image, layer)
    return image


def test_a_later_layer_replaces_and_removes() -> None:
    """Whiteouts take a file, a directory, or all that a directory had."""
    image = _image(
        _layer({"a": "1", "d/x": "1", "d/y": "1", "e/z": "1", "f/g/h": "1"}),
        _layer({"./a": "2", "d/.wh.x": "", "e/.wh..wh..opq": "", "e/new": "2", ".wh.f": ""}),
    )
    assert sorted(map(str, image.files)) == ["/a", "/d/y", "/e/new"]
    assert image.text(PurePosixPath("/a")) == "2"


def test_links_lead_to_files() -> None:
    """Of files and of directories; one that leads nowhere is none."""
    image = _image(
        _layer({"usr/doc/real/text": "1"}, {"usr/doc/name": "real", "up": "../usr/doc/name/text"}),
        _layer({}, {"circle": "/circle", "nowhere": "/none"}),
    )
    for path, expected in (
        ("/usr/doc/name/text", True),
        ("/up", True),
        ("/usr/doc/real/none", False),
        ("/nowhere", False),
        ("/circle", False),
    ):
        assert image.exists(PurePosixPath(path)) is expected, path


def test_a_whole_layer_may_be_hidden() -> None:
    """From the root on, links too."""
    image = _image(_layer({"a/x": "1", "b": "1"}, {"a/link": "x"}), _layer({".wh..wh..opq": ""}))
    assert (image.files, image.links) == ({}, {})


def test_what_is_below_a_directory_goes_with_it() -> None:
    """Links too; a name that its own begins is another one's."""
    below = _layer({"a/x": "1", "ab/x": "1"}, {"a/link": "x", "ab/link": "x"})
    image = _image(below, _layer({".wh.a": ""}))
    assert list(map(str, [*image.files, *image.links])) == ["/ab/x", "/ab/link"]
