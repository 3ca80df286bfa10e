"""Tombstones: a DEL that came while the node daemon was away (DESIGN, "An ADD", step 1).

A tombstone is a file that holds the DEL's request frame. That of `danm` is named by the container
id and beats every later ADD of that id, which is never used again; that of `fakeipam` is named by
the container id and the interface. The daemon reads the directories when it starts and from time to
time. Imports only what is built into the interpreter, as `node_call` does.
"""

import posix

DIRECTORY = "/var/lib/danm/tombstones"
FAKEIPAM_DIRECTORY = "/var/lib/danm/fakeipam-tombstones"
_MAX_INTERFACE_BYTES = 15


def is_interface_name(text: str) -> bool:
    """Say whether a text may be an interface's name, and so part of a plain file name.

    Source: Linux's dev_valid_name.
    """
    return (
        0 < len(text.encode()) <= _MAX_INTERFACE_BYTES
        and text not in (".", "..")
        and not any(character in "/:" or character.isspace() for character in text)
    )


def attachment_name(container_id: str, interface: str) -> str:
    """Return the file name of a container's interface; neither of both holds a colon."""
    return f"{container_id}:{interface}"


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


def write_tombstone(directory: str, name: str, frame: bytes) -> None:
    """Put a tombstone on the disk under a plain file name, whole or not at all.

    Raises:
        OSError: The disk is full, read-only or broken; nothing is left behind.
    """
    _make_directory(directory)
    temporary = f"{directory}/.{name}.{posix.getpid()}"
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
        posix.rename(temporary, f"{directory}/{name}")
    except OSError:
        posix.unlink(temporary)
        raise
    # The name itself must survive a power cut too.
    folder = posix.open(directory, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        posix.fsync(folder)
    finally:
        posix.close(folder)
