"""Rounds of comparison: many small steps, of which each may fail without stopping the others."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Final

from danm_api.errors import DanmError
from danm_api.telemetry import get_logger

log = get_logger(__name__)

# As many as ipam-svc and the kernel take without making ADDs wait.
_AT_ONCE: Final = 16


async def side_by_side(work: Iterable[Awaitable[object]]) -> None:
    """Do a bounded number of things at once: each may wait for somebody who is away."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Awaitable[object]) -> None:
        async with slots:
            await each

    await asyncio.gather(*(one(each) for each in work))


async def attempt(what: str, work: Awaitable[None]) -> bool:
    """Do one step and say whether it worked; whatever fails is told, and tried again next time."""
    try:
        await work
    except DanmError as error:
        log.warning("Comparison incomplete", what=what, error=error.reason)
        return False
    except Exception as error:
        # One odd record must not stop the others.
        log.exception("Comparison failed", what=what, error=error)
        return False
    return True
