"""Steps that are done at once, each to its end, and what is known when one of them fails."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import TypeVar

from danm_api.errors import DanmError, SeveralErrors

T = TypeVar("T")


def leaves_doubt(error: BaseException) -> bool:
    """Say whether a write may have taken effect although its step failed."""
    if isinstance(error, SeveralErrors):
        return any(leaves_doubt(each) for each in error.errors)
    return not isinstance(error, DanmError) or error.transient


async def all_of(steps: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """Run steps at once and wait for every one, so that nothing is done after a failure.

    Returns:
        What they return, in their order.

    Raises:
        DanmError: A step failed; SeveralErrors when more than one did.
    """
    if len(steps) == 1:
        # The usual case needs no task.
        return [await steps[0]]
    results = await asyncio.gather(*steps, return_exceptions=True)
    done = [result for result in results if not isinstance(result, BaseException)]
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        if not isinstance(error, DanmError):
            raise error
    _raise_known([error for error in errors if isinstance(error, DanmError)])
    return done


async def for_each(
    items: Iterable[T], step: Callable[[T], Awaitable[None]], *, at_once: int
) -> None:
    """Do a step for each of many things, a bounded number at once, each to its end.

    Raises:
        DanmError: As ``all_of``.
    """
    left = iter(items)
    errors: list[DanmError] = []

    async def work() -> None:
        for item in left:
            try:
                await step(item)
            except DanmError as error:
                errors.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    _raise_known(errors)


def _raise_known(errors: Sequence[DanmError]) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise _joined(errors)


def _joined(errors: Sequence[DanmError]) -> DanmError:
    """Return one error for several: of a kind when they are, such as an exhausted pool."""
    kinds = {(type(error), error.transient) for error in errors}
    return errors[0] if len(kinds) == 1 else SeveralErrors(errors)
