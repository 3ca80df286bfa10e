"""A part of DANM that runs on an API server in memory, and has faults on request."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Final

# Bookmarks come several times within the shortest window that a test asks for.
_TICK_S: Final = 0.25

HOST: Final = "127.0.0.1"

Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and how it is put right."""

    make: Act
    mend: Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part that runs, with its metrics on a port.

    Attributes:
        tick: Does a little of what the part does all day; called several times a second.
        faults: What can go wrong here, by name.
    """

    tick: Act
    faults: Mapping[str, Fault] = field(default_factory=dict)


Part = Callable[[int], AbstractAsyncContextManager[Stage]]
"""Runs a part, with its metrics on a port."""


async def play(part: Part, port: int) -> None:
    """Run a part until standard input ends.

    Each line that is read names a fault: the first time it is made, then it is mended.
    """
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with part(port) as stage:
        ticking = asyncio.create_task(_tick(stage))
        made: set[str] = set()
        while line := await lines.readline():
            name = line.decode().strip()
            fault = stage.faults[name]
            await (fault.mend() if name in made else fault.make())
            made ^= {name}
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking


async def _tick(stage: Stage) -> None:
    while True:
        await stage.tick()
        await asyncio.sleep(_TICK_S)


class Silence:
    """A fault of the API server: it sends no bookmarks, or does again."""

    def __init__(self, bookmark: Callable[[], None]) -> None:
        """Send bookmarks until told otherwise."""
        self._bookmark = bookmark
        self._silent = False
        self.fault: Final = Fault(make=self._begin, mend=self._end)

    def tick(self) -> None:
        """Send a bookmark, as API servers do where nothing happens."""
        if not self._silent:
            self._bookmark()

    async def _begin(self) -> None:
        self._silent = True

    async def _end(self) -> None:
        self._silent = False
