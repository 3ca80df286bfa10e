"""A measurement needs its program."""

import asyncio
from pathlib import Path

import pytest

from tests.lab.bench.controllers.endpoints.measure import while_alive
from tests.lab.errors import StartError
from tests.lab.process import start_leashed


async def test_a_program_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    """Its log says why; the change that it would have followed does not come."""
    program = start_leashed("broken", ["sh", "-c", "echo no way >&2"], log=tmp_path / "broken.log")
    try:
        async with asyncio.timeout(10):
            with pytest.raises(StartError, match="no way"):
                await while_alive(program, asyncio.Event().wait())
    finally:
        program.stop()


async def test_what_a_running_program_does_is_returned(tmp_path: Path) -> None:
    """As soon as it is done."""
    program = start_leashed("idle", ["sleep", "60"], log=tmp_path / "idle.log")
    try:
        assert await while_alive(program, asyncio.sleep(0, "done")) == "done"
    finally:
        program.stop()
