"""Files that are whole or absent after a crash: write aside, fsync, rename, fsync the directory."""

import os
import threading
from contextlib import suppress
from pathlib import Path

# A name with this start is a write that has not finished; whoever finds one at start removes it.
TEMPORARY_PREFIX = "."


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put a file on the disk under its final name, all of it or nothing.

    Raises:
        OSError: The disk is full, read-only or broken; nothing is left behind.
    """
    # Two threads may write one file at once: the last one wins, and neither disturbs the other.
    writer = f"{os.getpid()}.{threading.get_native_id()}"
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}.{writer}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def remove_durably(path: Path) -> None:
    """Remove a file, if it is there, so that it stays removed."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(directory: Path) -> None:
    """Remove what interrupted writes left; what cannot be removed is in nobody's way."""
    for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            path.unlink()
