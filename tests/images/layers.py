"""An image's files as its layers give them, read from the archive that an engine saves."""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

_ROOT: Final = PurePosixPath("/")
# https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_CHUNK: Final = 1 << 20
# As Linux follows.
_LINKS: Final = 40
# Contents of larger files are not kept, but for those that are asked for.
_KEPT_BYTES: Final = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file.

    Attributes:
        digest: SHA-256 of its content.
        content: None of what is large.
    """

    digest: str
    content: bytes | None


@dataclass(slots=True, kw_only=True)
class ImageFiles:
    """The files of an image.

    Attributes:
        labels: Of its configuration.
        files: By absolute paths; links are not in it.
        links: What links say.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    files: dict[PurePosixPath, File] = field(default_factory=dict)
    links: dict[PurePosixPath, str] = field(default_factory=dict)

    def text(self, path: PurePosixPath) -> str:
        """Return a file's content.

        Raises:
            KeyError: There is no such file, or it is large.
        """
        file = self.files[path]
        if file.content is None:
            raise KeyError(f"{path} is large")
        return file.content.decode(errors="replace")

    def exists(self, path: PurePosixPath) -> bool:
        """Say whether a path leads to a file, through links of its directories as well."""
        for _ in range(_LINKS):
            if path in self.files:
                return True
            for above in (path, *path.parents):
                if above in self.links:
                    path = _joined(above.parent, self.links[above]) / path.relative_to(above)
                    break
            else:
                return False
        return False


def _joined(directory: PurePosixPath, target: str) -> PurePosixPath:
    parts: list[str] = []
    for part in (directory / target).parts[1:]:
        if part == "..":
            del parts[-1:]
        else:
            parts.append(part)
    return _ROOT.joinpath(*parts)


def read_archive(archive: Path, *, keep: frozenset[PurePosixPath] = frozenset()) -> ImageFiles:
    """Return the files of the one image of an archive (`docker save`).

    Args:
        archive: Its path.
        keep: Files whose content is kept however large.
    """
    with tarfile.open(archive) as tar:
        (manifest,) = json.loads(_content(tar, "manifest.json"))
        config: dict[str, Any] = json.loads(_content(tar, manifest["Config"]))
        image = ImageFiles(labels=config["config"].get("Labels") or {})
        for name in manifest["Layers"]:
            layer = tar.extractfile(name)
            assert layer is not None
            with tarfile.open(fileobj=layer, mode="r:*") as files:
                add_layer(image, files, keep=keep)
    return image


def add_layer(
    image: ImageFiles, layer: tarfile.TarFile, *, keep: frozenset[PurePosixPath] = frozenset()
) -> None:
    """Put a layer over what is there."""
    for member in layer:
        path = _ROOT / member.name.removeprefix("./").lstrip("/")
        if path.name == _OPAQUE:
            _remove(image, path.parent, itself=False)
        elif path.name.startswith(_WHITEOUT):
            _remove(image, path.with_name(path.name.removeprefix(_WHITEOUT)), itself=True)
        elif member.issym():
            _remove(image, path, itself=True)
            image.links[path] = member.linkname
        elif member.islnk():
            image.files[path] = image.files[_ROOT / member.linkname.removeprefix("./").lstrip("/")]
        elif member.isfile():
            image.links.pop(path, None)
            content = layer.extractfile(member)
            assert content is not None
            image.files[path] = _read(content, member.size, kept=path in keep)


def _remove(image: ImageFiles, path: PurePosixPath, *, itself: bool) -> None:
    # As texts: there are thousands of files for each of a thousand links.
    below = str(path).rstrip("/") + "/"
    for known in (image.files, image.links):
        if itself:
            known.pop(path, None)
        for each in [each for each in known if str(each).startswith(below)]:
            del known[each]


def _read(content: IO[bytes], size: int, *, kept: bool) -> File:
    if kept or size <= _KEPT_BYTES:
        whole = content.read()
        return File(digest=hashlib.sha256(whole).hexdigest(), content=whole)
    digest = hashlib.sha256()
    while part := content.read(_CHUNK):
        digest.update(part)
    return File(digest=digest.hexdigest(), content=None)


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()
