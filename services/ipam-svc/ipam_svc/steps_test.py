"""Steps that are done at once."""

import asyncio

import pytest

from danm_api.errors import ApiUnavailableError, ConflictError, DanmError, SeveralErrors
from ipam_svc.steps import for_each


async def test_at_most_so_many_steps_are_under_way() -> None:
    """Each thing is done once, and no more of them at once than allowed."""
    # DESIGN P6
    under_way: set[int] = set()
    done: list[int] = []
    most = 0

    async def step(number: int) -> None:
        nonlocal most
        under_way.add(number)
        most = max(most, len(under_way))
        for _ in range(number % 3 + 1):
            await asyncio.sleep(0)
        under_way.discard(number)
        done.append(number)

    await for_each(range(20), step, at_once=4)
    assert sorted(done) == list(range(20))
    assert most == 4
    await for_each([], step, at_once=4)


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        pytest.param({1: ConflictError("one")}, ConflictError, id="one"),
        pytest.param(
            {1: ConflictError("one"), 2: ApiUnavailableError("other", status=0)},
            SeveralErrors,
            id="several",
        ),
    ],
)
async def test_a_failure_stops_no_other_step(
    failures: dict[int, DanmError], expected: type[DanmError]
) -> None:
    """All steps are done to their end before a failure is told."""
    done: list[int] = []

    async def step(number: int) -> None:
        await asyncio.sleep(0)
        if number in failures:
            raise failures[number]
        done.append(number)

    with pytest.raises(expected):
        await for_each(range(5), step, at_once=2)
    assert done == [number for number in range(5) if number not in failures]
