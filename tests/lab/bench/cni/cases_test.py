"""What is measured of danm and danmd."""

import pytest

from tests.lab.bench.cni.cases import COUNTS, MOST, Case, Kind, guest_cases, node_cases, pace


def _all(*, quick: bool) -> list[Case]:
    return [*node_cases(quick=quick), *guest_cases(quick=quick)]


@pytest.mark.parametrize("quick", [True, False])
def test_every_case_has_a_name_of_its_own(quick: bool) -> None:
    """A line of the table says what was measured, and `--only` can choose it."""
    names = [case.name for case in _all(quick=quick)]
    assert len(set(names)) == len(names)


def test_all_that_matters_is_varied() -> None:
    """IPVLAN and macvlan are measured with every number of interfaces, on their kernels."""
    for kind, cases in (
        (Kind.MACVLAN, node_cases(quick=False)),
        (Kind.IPVLAN, guest_cases(quick=False)),
    ):
        assert tuple(each.interfaces for each in cases if each.kind is kind) == COUNTS


@pytest.mark.parametrize("quick", [True, False])
def test_what_is_judged_is_measured(quick: bool) -> None:
    """A quick run judges the same targets as a whole one."""
    measured = {(case.kind, case.interfaces) for case in _all(quick=quick)}
    assert {(Kind.BRIDGE, 1), (Kind.BRIDGE, 5), (Kind.BRIDGE, 17)} <= measured
    for kind in (Kind.IPVLAN, Kind.SLOW):
        assert {(kind, 1), (kind, 16)} <= measured


@pytest.mark.parametrize("quick", [True, False])
def test_there_are_networks_for_every_case(quick: bool) -> None:
    """No case has more interfaces than there are networks, and each gives a median."""
    for case in _all(quick=quick):
        assert 1 <= case.interfaces <= MOST
        assert case.repeats >= 3


def test_a_guest_has_addresses_for_its_cases() -> None:
    """The addresses in memory are one /24 from .10 on, and none is used twice in a case."""
    assert all(case.interfaces * case.repeats < 240 for case in guest_cases(quick=False))


def test_a_quick_run_is_quick() -> None:
    """Its cases begin nothing new after some seconds: all of them take about a minute."""
    assert pace(quick=True).case_s * len(_all(quick=True)) <= 60
