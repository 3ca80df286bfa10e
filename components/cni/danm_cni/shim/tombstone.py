"""Tombstones: a DEL that came while the node daemon was away (DESIGN, "An ADD", step 1).

A tombstone is a file named by the container id that holds the DEL's request frame. It beats every
later ADD of that id, which is never used again. The daemon reads the directory when it starts and
from time to time.
"""

import posix

DIRECTORY = "/var/lib/danm/tombstones"
# Linux: NAME_MAX is 255; container ids have 64 characters.
_MAX_ID_LENGTH = 200
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


def is_container_id(text: str) -> bool:
    """Say whether a text is a container id, and so a plain file name.

    Source: CNI specification 1.1.0, "Parameters": starts alphanumeric, then also ``_``, ``.`` and
    ``-``.
    """
    return (
        0 < len(text) <= _MAX_ID_LENGTH
        and text[0] not in "_.-"
        and all(character in _ID_CHARACTERS for character in text)
    )


def _make_directory(path: str) -> None:
    """Create a directory and its parents, if they are missing."""
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        parent = path.rpartition("/")[0]
        if not parent:
            raise
        _make_directory(parent)
        posix.mkdir(path, 0o700)


def write_tombstone(directory: str, container_id: str, frame: bytes) -> None:
    """Put a tombstone on the disk, whole or not at all.

    Raises:
        OSError: The disk is full, read-only or broken; nothing is left behind.
    """
    _make_directory(directory)
    temporary = f"{directory}/.{container_id}.{posix.getpid()}"
    file = posix.open(
        temporary, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600
    )
    try:
        try:
            view = memoryview(frame)
            while view:
                view = view[posix.write(file, view) :]
            posix.fsync(file)
        finally:
            posix.close(file)
        posix.rename(temporary, f"{directory}/{container_id}")
    except OSError:
        posix.unlink(temporary)
        raise
    # The name itself must survive a power cut too.
    folder = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        posix.fsync(folder)
    finally:
        posix.close(folder)
