"""Files on the host that cannot be written now."""

import asyncio
import threading

import pytest

from danm_cni.host_files import HostFiles


class _Host:
    """Takes files, or not.

    Attributes:
        taken: What it has.
    """

    def __init__(self, *, full: bool) -> None:
        self.full = full
        self.taken: list[str] = []

    def take(self, what: str) -> None:
        """Have a file."""
        if self.full:
            raise OSError(28, "No space left on device")
        self.taken.append(what)


async def test_what_nobody_waits_for_is_put_there_later() -> None:
    """In its order: the configuration never comes before the executables that it names."""
    # Peers' complaint 10
    host, files = _Host(full=True), HostFiles()
    await files.put(lambda: host.take("executables"), needed=False)
    assert "No space left" in (files.missing or "")
    host.full = False
    await files.put(lambda: host.take("configuration"), needed=False)
    assert (host.taken, files.missing) == (["executables", "configuration"], None)


async def test_what_is_missing_is_tried_again() -> None:
    """As long as it takes; and what is there is not written again."""
    host, files = _Host(full=True), HostFiles()
    await files.put(lambda: host.take("executables"), needed=False)
    await files.put_missing()
    assert (host.taken, files.missing is None) == ([], False)
    host.full = False
    for _ in range(2):
        await files.put_missing()
        assert (host.taken, files.missing) == (["executables"], None)


async def test_a_node_that_needs_the_files_is_told() -> None:
    """Nobody would call a danmd without executables."""
    host, files = _Host(full=True), HostFiles()
    with pytest.raises(OSError, match="No space left"):
        await files.put(lambda: host.take("executables"), needed=True)


async def test_what_has_begun_is_waited_for() -> None:
    """A danmd that is told to end does not write over what the next one has put there."""
    # docs/decisions/0021
    begun, may_end, done = (threading.Event() for _ in range(3))

    def work() -> None:
        begun.set()
        may_end.wait(30)
        done.set()

    files = HostFiles()
    putting = asyncio.create_task(files.put(work, needed=True))
    await asyncio.to_thread(begun.wait, 30)
    putting.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert done.is_set()
