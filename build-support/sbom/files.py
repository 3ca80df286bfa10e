"""Files of an image that is looked at from inside or through a directory."""

import hashlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

# As Linux follows.
_LINKS: Final = 40


def inside(root: Path, path: PurePosixPath) -> Path:
    """Return where a file of the image is; links are followed within the image.

    Raises:
        FileNotFoundError: There is no such file.
    """
    place = root
    parts = list(path.parts[1:] if path.is_absolute() else path.parts)
    followed = 0
    while parts:
        step = parts.pop(0)
        if step == "..":
            place = place if place == root else place.parent
            continue
        place = place / step
        if place.is_symlink():
            followed += 1
            if followed > _LINKS:
                raise FileNotFoundError(f"{path}: too many links")
            target = PurePosixPath(place.readlink())
            parts = [*target.parts[1 if target.is_absolute() else 0 :], *parts]
            place = root if target.is_absolute() else place.parent
    if not place.exists():
        raise FileNotFoundError(str(path))
    return place


def file_digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def tree_digest(root: Path, paths: Iterable[PurePosixPath]) -> str:
    """Return the SHA-256 of the lines that ``sha256sum`` prints of files, sorted by their paths.

    Byte code counts not: it is made in the image. What is no file, or not there, counts not either.
    """
    digest = hashlib.sha256()
    for path in sorted(set(paths), key=str):
        place = root / path.relative_to("/")
        if path.suffix == ".pyc" or place.is_symlink() or not place.is_file():
            continue
        digest.update(f"{file_digest(place)}  {path}\n".encode())
    return digest.hexdigest()
