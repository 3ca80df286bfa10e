"""Files that are whole or absent after a crash: write aside, fsync, rename, fsync the directory."""

import os
import threading
from contextlib import suppress
from pathlib import Path

# A name with this start is a write that has not finished; whoever finds one at start removes it.
TEMPORARY_PREFIX = "."
# Of a journal's files.
RECORD_SUFFIX = ".json"


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put a file on the disk under its final name, all of it or nothing.

    Raises:
        OSError: The disk is full, read-only or broken; nothing is left behind.
    """
    temporary = _write_aside(path, data, mode=mode)
    try:
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def try_writing(path: Path, data: bytes) -> None:
    """Find out whether ``write_atomically`` would succeed now, and leave nothing.

    Raises:
        OSError: As there.
    """
    _write_aside(path, data, mode=0o600).unlink(missing_ok=True)


def _write_aside(path: Path, data: bytes, *, mode: int) -> Path:
    """Put a file's content on the disk under another name, and return that."""
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
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


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


def records_under(directory: Path) -> list[Path]:
    """Return the files of a journal, in the order of their names; none without the directory."""
    return sorted(directory.glob(f"*{RECORD_SUFFIX}"))


def remove_temporaries(directory: Path) -> None:
    """Remove what interrupted writes left; what cannot be removed is in nobody's way."""
    for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            path.unlink()
