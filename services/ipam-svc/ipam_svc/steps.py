"""Steps that are done at once, each to its end, and what is known when one of them fails."""

import asyncio
from collections.abc import Coroutine, Sequence

from danm_api.errors import DanmError, SeveralErrors


def leaves_doubt(error: BaseException) -> bool:
    """Say whether a write may have taken effect although its step failed."""
    if isinstance(error, SeveralErrors):
        return any(leaves_doubt(each) for each in error.errors)
    return not isinstance(error, DanmError) or error.transient


async def all_of(steps: Sequence[Coroutine[None, None, None]]) -> None:
    """Run steps at once and wait for every one, so that nothing is taken after a failure.

    Raises:
        DanmError: A step failed; SeveralErrors when more than one did.
    """
    if len(steps) == 1:
        # The usual case needs no task.
        await steps[0]
        return
    results = await asyncio.gather(*steps, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, DanmError):
            raise error
    known = [error for error in errors if isinstance(error, DanmError)]
    if len(known) == 1:
        raise known[0]
    if known:
        raise _joined(known)


def _joined(errors: Sequence[DanmError]) -> DanmError:
    """Return one error for several: of a kind when they are, such as an exhausted pool."""
    kinds = {(type(error), error.transient) for error in errors}
    return errors[0] if len(kinds) == 1 else SeveralErrors(errors)
