"""Attempt numbers."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_cni.attempts import AttemptCounter


@given(st.lists(st.tuples(st.integers(0, 2**42), st.booleans(), st.integers(0, 2**42))))
def test_numbers_grow_whatever_the_clock_and_crashes_do(
    steps: list[tuple[int, bool, int]],
) -> None:
    """No number is given out twice or falls, across restarts and clocks that go back."""
    with tempfile.TemporaryDirectory() as directory:
        path, now, last = Path(directory) / "attempts", 0, 0

        def clock() -> int:
            return now

        counter = AttemptCounter(path, clock_ms=clock)
        for now_ms, restarts, above in steps:
            now = now_ms
            if restarts:
                counter = AttemptCounter(path, clock_ms=clock)
            attempt = counter.next_attempt(above=above)
            # DESIGN, "Attempts fence"
            assert attempt > max(last, above)
            assert attempt >= now
            last = attempt


def test_most_numbers_cost_no_write(tmp_path: Path) -> None:
    """The bound on the disk is ahead, so that an ADD does not wait for it."""
    path = tmp_path / "attempts"
    counter = AttemptCounter(path, clock_ms=lambda: 1000)
    counter.next_attempt()
    written = path.stat().st_mtime_ns
    for _ in range(1000):
        counter.next_attempt()
    assert written == path.stat().st_mtime_ns


def test_an_earlier_danmd_counts_until_its_end(tmp_path: Path) -> None:
    """One that is put together beside it goes on from what that one has given out by then."""
    # docs/decisions/0021
    earlier = AttemptCounter(tmp_path / "attempts", clock_ms=lambda: 1000)
    following = AttemptCounter(tmp_path / "attempts", clock_ms=lambda: 0)
    given = earlier.next_attempt()
    assert following.next_attempt() > given


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\xff\xfe", b"1.5"])
def test_a_spoilt_file_keeps_no_danmd_from_its_start(tmp_path: Path, content: bytes) -> None:
    """The clock leads, and from the first number on the disk knows the bound again."""
    path = tmp_path / "attempts"
    path.write_bytes(content)
    assert AttemptCounter(path, clock_ms=lambda: 1000).next_attempt() == 1000
    assert AttemptCounter(path, clock_ms=lambda: 1000).next_attempt() > 1000
