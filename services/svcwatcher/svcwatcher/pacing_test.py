"""Tests of how often something may be written."""

import pytest

from danm_api.names import Namespace, ServiceName
from svcwatcher.index import ServiceKey
from svcwatcher.pacing import Pace
from svcwatcher.testing.cluster import KEY, Clock

OTHER = ServiceKey(namespace=Namespace("vnf"), name=ServiceName("other"))


def test_some_writes_go_at_once_and_the_rest_evenly() -> None:
    """After the burst, one write goes in each interval; another Service is not concerned."""
    # DESIGN P6
    clock = Clock()
    pace = Pace(burst=3, interval_s=0.5, clock=clock)
    went_at: list[float] = []
    while len(went_at) < 6:
        wait_s = pace.wait_s(KEY)
        if wait_s:
            assert pace.wait_s(OTHER) == 0
            clock.now += wait_s
            continue
        pace.spend(KEY)
        went_at.append(clock.now - 1000.0)
    assert went_at == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5])


def test_a_quiet_service_has_its_burst_again_and_is_forgotten() -> None:
    """Memory holds only Services that were written lately."""
    # DESIGN P6
    clock = Clock()
    pace = Pace(burst=2, interval_s=1.0, clock=clock)
    for _ in range(2):
        pace.spend(KEY)
    clock.now += 2.0
    assert (pace.wait_s(KEY), len(pace)) == (0, 0)
    pace.spend(KEY)
    assert pace.wait_s(KEY) == 0


def test_without_an_interval_nothing_waits() -> None:
    """Tests of other things switch pacing off."""
    pace = Pace(burst=1, interval_s=0.0, clock=Clock())
    for _ in range(3):
        pace.spend(KEY)
        assert pace.wait_s(KEY) == 0


def test_writes_that_did_not_wait_put_the_next_one_off() -> None:
    """What is removed at once, or written by a burst, is made up for."""
    # DESIGN P6
    clock = Clock()
    pace = Pace(burst=2, interval_s=1.0, clock=clock)
    for _ in range(5):
        pace.spend(KEY)
    assert pace.wait_s(KEY) == 4.0
    clock.now += 3.5
    assert pace.wait_s(KEY) == 0.5


def test_a_long_silence_saves_up_no_more_than_the_burst() -> None:
    """Also where nobody has asked meanwhile whether the next write may go."""
    # DESIGN P6
    clock = Clock()
    pace = Pace(burst=2, interval_s=1.0, clock=clock)
    pace.spend(KEY)
    clock.now += 100.0
    for _ in range(2):
        pace.spend(KEY)
    assert pace.wait_s(KEY) == 1.0


def test_a_service_that_goes_is_forgotten_once_it_has_all_its_writes_again() -> None:
    """Not before: it may come again. The others' writes still count."""
    # DESIGN P6
    clock = Clock()
    pace = Pace(burst=2, interval_s=1.0, clock=clock)
    assert pace.whole_in_s(KEY) == 0
    pace.spend(KEY)
    for _ in range(3):
        pace.spend(OTHER)
    assert (pace.whole_in_s(KEY), pace.whole_in_s(OTHER)) == (1.0, 3.0)
    clock.now += 1.5
    assert (pace.whole_in_s(KEY), pace.whole_in_s(OTHER)) == (0, 1.5)
    assert (pace.wait_s(KEY), pace.wait_s(OTHER), len(pace)) == (0, 0.5, 1)


def test_a_replica_that_leads_no_more_forgets_all() -> None:
    """What it wrote will be long past when it leads again."""
    clock = Clock()
    pace = Pace(burst=1, interval_s=1.0, clock=clock)
    for key in (KEY, OTHER):
        pace.spend(key)
    assert len(pace) == 2
    pace.clear()
    assert (pace.wait_s(KEY), pace.wait_s(OTHER), len(pace)) == (0, 0, 0)
