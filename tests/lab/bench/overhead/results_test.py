"""What is made of the rounds."""

from tests.lab.bench.overhead.results import Comparison, Round, Side, verdicts


def _found(*pairs: tuple[float, float]) -> Comparison:
    rounds = [
        Round(without=Side(time_ms=before, cpu_ms=1.0), observed=Side(time_ms=after, cpu_ms=1.02))
        for before, after in pairs
    ]
    return Comparison(load="32 callers", of="time for each", rounds=rounds, traced_bytes=1)


def test_rounds_are_compared_each_for_itself() -> None:
    """A machine that is slower in one round than in another changes both sides of it."""
    found = _found((1.0, 1.04), (10.0, 10.4), (2.0, 2.6))
    assert round(found.time_percent, 6) == 4.0
    assert round(found.cpu_percent, 6) == 2.0
    assert found.middle().without == Side(time_ms=2.0, cpu_ms=1.0)


def test_more_than_five_percent_is_too_much() -> None:
    """And a load that became quicker is none."""
    met, missed, quicker = verdicts([_found((1.0, 1.04)), _found((1.0, 1.06)), _found((1.0, 0.9))])
    assert (met.met, missed.met, quicker.met) == (True, False, True)
    assert missed.measured == "6.00 %"
