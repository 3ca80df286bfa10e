"""What an ADD says of how far it has come."""

import asyncio
import math

import pytest

from danm_api.errors import DanmError
from danm_cni.progress import Progress


async def test_what_the_time_was_over_for_is_named() -> None:
    """Waits that are cut off are; those that came to an end, good or bad, are not."""
    # DESIGN, P7
    progress = Progress("making", deadline_s=math.inf)
    inside = asyncio.Event()

    async def hang() -> None:
        with progress.waiting("the one that hangs"):
            inside.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await inside.wait()
    with progress.waiting("the one that ends"):
        assert progress.describe() == "making: the one that hangs, the one that ends"
    with pytest.raises(DanmError), progress.waiting("the one that fails"):
        raise DanmError("x")
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert progress.describe() == "making: the one that hangs"


async def test_steps_side_by_side_are_all_named() -> None:
    """One that has ended is not; one that is cut off is, since the time was over for it."""
    # DESIGN, P7
    progress = Progress("planning", deadline_s=math.inf)
    inside = asyncio.Event()

    async def hang() -> None:
        with progress.doing("making the interfaces"), progress.waiting("eth0 needs a plugin"):
            inside.set()
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await inside.wait()
    with progress.doing("writing DanmEps"), progress.doing("making the interfaces"):
        assert progress.describe() == (
            "making the interfaces and writing DanmEps: eth0 needs a plugin"
        )
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert progress.describe() == "making the interfaces: eth0 needs a plugin"


def test_a_step_that_waits_for_nothing_is_told_alone() -> None:
    """The present one."""
    progress = Progress("planning", deadline_s=math.inf)
    progress.enter("reserving")
    assert progress.describe() == "reserving"


def test_steps_are_measured() -> None:
    """Each one that was entered, the present one included; one entered again once."""
    progress = Progress("planning", deadline_s=math.inf)
    for step in ("making", "planning"):
        progress.enter(step)
    assert set(progress.took_ms()) == {"planning", "making"}


def test_a_step_goes_on_when_one_beside_it_has_ended() -> None:
    """What it takes afterwards is its own again, and not the other one's."""
    progress = Progress("planning", deadline_s=math.inf)
    with progress.doing("making the interfaces"):
        with progress.doing("writing DanmEps"):
            assert progress.step == "writing DanmEps"
        assert progress.step == "making the interfaces"
    assert progress.step == "making the interfaces"


async def test_what_has_failed_is_told_while_others_go_on() -> None:
    """And when all of it is undone, why it is, and nothing of what was under way."""
    # SPEC C3; DESIGN, P7
    progress = Progress("planning", deadline_s=math.inf)
    with progress.doing("making the interfaces"):
        for error in (DanmError("no such field"), OSError("no space")):
            with pytest.raises(type(error)), progress.failing():
                raise error
        told = "making the interfaces, after this had failed: no such field; no space"
        assert progress.describe() == told
        with progress.waiting("eth0 needs a plugin"):
            progress.turn_back("the time was over")
            with progress.doing("undoing"):
                told = "undoing, after this had failed: the time was over"
                assert progress.describe() == told
    assert progress.describe().startswith("undoing,")


@pytest.mark.parametrize("fails", [True, False])
async def test_what_is_cut_off_since_its_part_has_failed_is_not_named(*, fails: bool) -> None:
    """Nobody waited for it any more; where the time is over for all parts, it is named."""
    # DESIGN, P7
    progress = Progress("planning", deadline_s=math.inf)
    waiting = asyncio.Event()

    async def hang(what: str) -> None:
        with progress.doing("making the interfaces"), progress.waiting(what):
            waiting.set()
            await asyncio.Event().wait()

    async def make() -> None:
        with progress.part():
            piece = asyncio.create_task(hang("eth0 needs a plugin"))
            try:
                await waiting.wait()
                if fails:
                    raise DanmError("no such field")
                await piece
            finally:
                piece.cancel()
                await asyncio.gather(piece, return_exceptions=True)

    other, part = asyncio.create_task(hang("net1 needs a plugin")), asyncio.create_task(make())
    await asyncio.wait({part}, timeout=None if fails else 0)
    for task in (other, part):
        task.cancel()
    await asyncio.gather(other, part, return_exceptions=True)
    assert ("eth0 needs a plugin" in progress.describe()) is not fails
    assert "net1 needs a plugin" in progress.describe()


def test_a_step_that_fails_gives_way_to_one_that_goes_on() -> None:
    """What follows is the other one's time."""
    progress = Progress("planning", deadline_s=math.inf)
    with progress.doing("making the interfaces"):
        with pytest.raises(DanmError), progress.doing("writing DanmEps"):
            raise DanmError("refused")
        assert progress.step == "making the interfaces"
