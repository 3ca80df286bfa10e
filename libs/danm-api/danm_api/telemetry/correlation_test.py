"""The id of a request: where it goes, and what of others' ids is taken."""

import asyncio

import pytest

from danm_api.telemetry import correlated, current_request_ids, inject_request_id
from danm_api.telemetry.correlation import shown_request_ids

CONTAINER = "7f" * 32


async def test_tasks_have_the_id_of_who_starts_them() -> None:
    """What goes on in the background is found by the id of what asked for it."""

    async def work() -> tuple[str, ...]:
        return current_request_ids()

    with correlated([CONTAINER]):
        task = asyncio.create_task(work())
    assert current_request_ids() == ()
    assert await task == (CONTAINER,)


def test_the_next_part_is_told() -> None:
    """A request carries the id; one for several carries none, since it would be of the others."""
    headers: dict[str, str] = {}
    with correlated(["a", "b"]):
        inject_request_id(headers)
    assert headers == {}
    with correlated(["a"]):
        inject_request_id(headers)
    assert headers == {"X-Request-ID": "a"}


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 129, id="long"),
        pytest.param('"} {"level":"error', id="json"),
        pytest.param("a\nb", id="lines"),
        pytest.param("a\n", id="a line's end"),
    ],
)
def test_what_is_no_id_is_left_out(sent: str) -> None:
    """Whoever asks cannot write into the log."""
    with correlated([sent]):
        assert shown_request_ids() == {}


def test_a_line_stays_readable() -> None:
    """Of many requests that share a write the first ones are shown."""
    with correlated([f"c{number}" for number in range(50)]):
        assert shown_request_ids() == {"request_ids": [f"c{number}" for number in range(16)]}
