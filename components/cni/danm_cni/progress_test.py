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
