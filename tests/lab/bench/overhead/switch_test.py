"""One switch for all processes."""

import time
from pathlib import Path

import pytest

from tests.lab.bench.overhead.switch import Switch


def test_a_switch_is_seen_by_whoever_has_the_file(tmp_path: Path) -> None:
    """It is on at first."""
    mine = Switch.make(tmp_path / "switch")
    others = Switch(mine.path)
    assert others.is_on
    mine.turn(on=False)
    assert not others.is_on


def test_who_waits_goes_on_when_it_is_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And looks again until then."""
    mine = Switch.make(tmp_path / "switch")
    others = Switch(mine.path)
    mine.turn(on=False)
    looks = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        mine.turn(on=len(looks) == 2)

    monkeypatch.setattr(time, "sleep", look)
    others.wait_until_on()
    assert len(looks) == 2
    others.wait_until_on()
    assert len(looks) == 2
