"""What is measured."""

import pytest

from tests.lab.bench.cases import BATCH, SIZES, Caller, Case, Families, cases


@pytest.mark.parametrize("quick", [True, False])
def test_every_case_has_a_name_of_its_own(quick: bool) -> None:
    """A line of the table says what was measured, and `--only` can choose it."""
    names = [case.name for case in cases(quick=quick)]
    assert len(set(names)) == len(names)


def test_all_that_matters_is_varied() -> None:
    """Callers, batches, replicas, sizes, use, families and kinds of owners each appear."""
    measured = cases(quick=False)
    assert {case.callers for case in measured} >= {1, 8, 64, 512}
    assert {case.batch for case in measured} == {1, BATCH}
    assert {case.replicas for case in measured} == {1, 2}
    assert {case.size for case in measured} == set(SIZES)
    assert {case.used for case in measured} == {0, 10_000, 60_000}
    assert {case.families for case in measured} == set(Families)
    assert {case.caller for case in measured} == set(Caller)


@pytest.mark.parametrize("quick", [True, False])
def test_no_network_is_asked_for_more_than_it_has(quick: bool) -> None:
    """A full pool would be measured as failures."""
    for case in cases(quick=quick):
        assert 0 < case.per_network <= case.size - case.used
        assert not case.used or case.per_network == case.count


def test_small_networks_are_left_for_the_next_one() -> None:
    """A network of 254 gives whole blocks, then another one is begun."""
    assert Case(callers=1, count=1000, size=254).per_network == 192
    assert Case(callers=1, count=1000).per_network == 1000
