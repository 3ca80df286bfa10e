"""Stalls of the machine are told apart from what is merely late."""

from dataclasses import dataclass

import pytest

from tests.ipam.stalls import Stalls


@dataclass(slots=True)
class Clock:
    """A clock that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now


def _ticked(*gaps_s: float) -> Stalls:
    """Look at a clock that begins at 100 s, after each of some times."""
    clock = Clock()
    stalls = Stalls(clock)
    for gap_s in gaps_s:
        clock.now += gap_s
        stalls.tick()
    return stalls


def test_a_clock_that_leaps_is_a_stall() -> None:
    """Looks that are a little late are none."""
    stalls = _ticked(0.5, 2.75, 0.75, 12.0, 0.5, 3.5)
    assert stalls.found == [(104.0, 116.0), (116.5, 120.0)]
    assert str(stalls) == "2 stalls of this machine, 16 s in all"


@pytest.mark.parametrize(
    ("began", "ended", "wanted"),
    [
        pytest.param(100.0, 101.0, False, id="before"),
        pytest.param(100.0, 103.0, True, id="into it"),
        pytest.param(105.0, 106.0, True, id="within"),
        pytest.param(108.0, 118.0, True, id="out of it"),
        pytest.param(112.0, 122.0, False, id="after"),
    ],
)
def test_what_overlaps_a_stall_is_told(began: float, ended: float, wanted: bool) -> None:
    """A stall from 102 s to 111 s; the rest of the time is as it should be."""
    stalls = _ticked(*[0.5] * 4, 9.0, *[0.5] * 20)
    assert stalls.overlap(began, ended) is wanted


def test_a_stall_at_the_end_of_the_block_is_noted() -> None:
    """The last look comes after what was done, and the time before the block counts for nothing."""
    clock = Clock()
    stalls = Stalls(clock)
    clock.now = 200.0
    with stalls.watched():
        clock.now = 210.0
    (stall,) = stalls.found
    assert stall == (200.0, 210.0)
