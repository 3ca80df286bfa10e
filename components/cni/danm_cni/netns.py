"""Network namespaces by the paths that a runtime gives, entered without forking (0.04 ms)."""

import errno
import os
from pathlib import Path
from typing import Final

from danm_api.errors import LinkSetupError
from danm_cni.threads import CLONE_NEWNET, enter_namespace

# Not the process's: tests run danmd in a thread that is elsewhere.
_OWN: Final = Path("/proc/thread-self/ns/net")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
# Linux gives up at the same number (ELOOP).
_MAX_LINKS: Final = 40
# What the kernel says of a path that names nothing; any other error tells nothing about it.
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


class NetnsGoneError(LinkSetupError):
    """The namespace does not exist any more, so nothing is left in it."""


def resolve_in_root(root: Path, path: str) -> Path:
    """Follow a path as a process with that root directory would, its absolute links included.

    ``/var/run`` is an absolute link on many hosts: below ``/proc/1/root`` the kernel itself would
    follow it in the caller's own root.
    """
    # Texts, since this is done several times for each interface and Path takes ten times as long.
    base = str(root).rstrip("/")
    todo = _parts(path)
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            done = done[:-1]
            continue
        # The namespaces below /proc/PID are links that only the kernel can follow.
        inside_proc = done[:1] == ["proc"]
        target = None if inside_proc else _link_target("/".join((base, *done, part)))
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = []
        todo.extend(_parts(target))
    return Path("/".join((base, *done)) or "/")


def _parts(path: str) -> list[str]:
    """Return the names of a path, the last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _link_target(path: str) -> str | None:
    """Return where a symbolic link leads; None for what is none, or is not there."""
    try:
        return os.readlink(path)  # noqa: PTH115  (see above)
    except OSError as error:
        if error.errno in (errno.EINVAL, *_GONE):
            return None
        raise


def open_netns(root: Path, path: str) -> int:
    """Open a network namespace by its path on the host; the caller closes it.

    Raises:
        NetnsGoneError: There is no namespace at the path.
        LinkSetupError: It cannot be told, such as without a free file descriptor.
    """
    try:
        return os.open(resolve_in_root(root, path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _GONE:
            raise LinkSetupError(
                f"the network namespace {path} cannot be opened: {error.strerror}"
            ) from error
        raise NetnsGoneError(f"the network namespace {path} is gone: {error.strerror}") from error


def is_namespace(descriptor: int) -> bool:
    """Say whether what was opened is a namespace: all are on one nsfs, which no other file is."""
    return os.fstat(descriptor).st_dev == _OWN.stat().st_dev


def is_own(descriptor: int) -> bool:
    """Say whether a namespace is that of the calling thread."""
    return os.path.samestat(os.fstat(descriptor), _OWN.stat())


def identity_of(descriptor: int) -> str:
    """Return what no other namespace has while this one lives, nor any of another boot.

    The kernel gives numbers from the lowest one on, so after a boot they come again.
    """
    found = os.fstat(descriptor)
    return f"{_BOOT.read_text().strip()}/{found.st_dev}/{found.st_ino}"


def enter_netns(descriptor: int) -> None:
    """Move the calling thread into a network namespace.

    Raises:
        NetnsGoneError: What was opened is no namespace: its mount is gone.
        LinkSetupError: The kernel did not allow it.
    """
    try:
        enter_namespace(descriptor, CLONE_NEWNET)
    except OSError as error:
        kind = NetnsGoneError if error.errno == errno.EINVAL else LinkSetupError
        raise kind(f"the network namespace cannot be entered: {error.strerror}") from error
