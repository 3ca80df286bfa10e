"""When the time of a Service's slices begins and ends."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Histogram

from danm_api.errors import ApiUnavailableError
from danm_api.names import Namespace, ServiceName
from svcwatcher.index import ServiceKey
from svcwatcher.lag import Lag

KEY = ServiceKey(namespace=Namespace("ns"), name=ServiceName("s"))


class Measured:
    """A lag on a clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        self.registry = CollectorRegistry()
        histogram = Histogram("took_seconds", "How long.", registry=self.registry)
        self.lag = Lag(histogram, clock=lambda: self.now)

    def found(self) -> tuple[float, float]:
        """Return how often it was measured, and the sum in seconds."""
        count = self.registry.get_sample_value("took_seconds_count")
        total = self.registry.get_sample_value("took_seconds_sum")
        assert count is not None
        assert total is not None
        return count, total


def fail(written: Callable[[], None], *, after_slices: bool) -> None:
    """Fail as writes do, before or after the slices are written."""
    if after_slices:
        written()
    raise ApiUnavailableError("no answer", status=0)


def test_it_begins_with_the_first_event() -> None:
    """Several events before the work are one delay, the first one's."""
    measured = Measured()
    measured.lag.concerned(KEY)
    measured.now += 2
    measured.lag.concerned(KEY)
    measured.now += 3
    with measured.lag.of_work_on(KEY) as written:
        written()
    assert measured.found() == (1, 5)
    assert len(measured.lag) == 0


def test_what_comes_during_the_work_counts_for_the_next() -> None:
    """The slices that are being written do not tell of it."""
    measured = Measured()
    measured.lag.concerned(KEY)
    with measured.lag.of_work_on(KEY) as written:
        measured.now += 1
        measured.lag.concerned(KEY)
        measured.now += 1
        written()
    measured.now += 4
    with measured.lag.of_work_on(KEY) as written:
        written()
    assert measured.found() == (2, 2 + 5)


def test_a_failure_does_not_stop_the_time() -> None:
    """The next try ends what the first one did not."""
    measured = Measured()
    measured.lag.concerned(KEY)
    measured.now += 1
    with pytest.raises(ApiUnavailableError), measured.lag.of_work_on(KEY) as written:
        fail(written, after_slices=False)
    measured.now += 1
    with measured.lag.of_work_on(KEY) as written:
        written()
    assert measured.found() == (1, 2)


def test_endpoints_that_fail_afterwards_are_no_delay() -> None:
    """Slices are what look-ups are answered from."""
    measured = Measured()
    measured.lag.concerned(KEY)
    with pytest.raises(ApiUnavailableError), measured.lag.of_work_on(KEY) as written:
        fail(written, after_slices=True)
    assert measured.found() == (1, 0)
    assert len(measured.lag) == 0


def test_slices_that_are_right_already_are_not_behind() -> None:
    """An event that changes nothing is not measured, then or later."""
    measured = Measured()
    measured.lag.concerned(KEY)
    with measured.lag.of_work_on(KEY):
        pass
    with measured.lag.of_work_on(KEY) as written:
        written()
    assert measured.found() == (0, 0)
