"""The recorder notes when the wall clock is set."""

from tests.lab.chaos.history import ClockStep
from tests.lab.chaos.recorder import Recorder


def test_a_wall_clock_that_is_set_is_written_down_once() -> None:
    """By how much, and between which looks."""
    ahead_s = 1000.0
    recorder = Recorder(wanted=1, apart_s=0.0, wall_ahead_s=lambda: ahead_s)
    recorder.look_at_wall_clock()
    ahead_s = 1000.001
    recorder.look_at_wall_clock()
    assert recorder.history == []
    ahead_s = 997.0
    recorder.look_at_wall_clock()
    recorder.look_at_wall_clock()
    (step,) = recorder.history
    assert isinstance(step, ClockStep)
    assert round(step.forward_s, 3) == -3.0
    assert 0 < step.since <= step.at <= recorder.now()
