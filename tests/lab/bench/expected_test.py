"""The targets that a run has to judge."""

from collections.abc import Sequence

import pytest

from tests.lab.bench.expected import absent, cni_targets, controllers_targets, ipam_targets
from tests.lab.bench.results import Verdict


def _judged(*targets: str, met: bool = True) -> list[Verdict]:
    return [Verdict(target=each, measured="1", limit="at most 2", met=met) for each in targets]


@pytest.mark.parametrize(
    ("verdicts", "missing"),
    [
        pytest.param([], ["a", "b", "c"], id="nothing was judged"),
        pytest.param(_judged("b"), ["a", "c"], id="one was, and the others keep their order"),
        pytest.param(_judged("c", "b", "a"), [], id="all were, in another order"),
        pytest.param(_judged("a", "b", "c", "d"), [], id="more than was asked"),
        pytest.param(_judged("a", "b", "c", met=False), [], id="a missed one is judged, too"),
        pytest.param(_judged("a", "a", "b"), ["c"], id="one twice stands for no other"),
        pytest.param(_judged("A", "b ", "c"), ["a", "b"], id="a name that is nearly the same"),
    ],
)
def test_what_was_not_judged_is_told(verdicts: list[Verdict], missing: list[str]) -> None:
    """By name, whatever else was."""
    assert absent(["a", "b", "c"], verdicts) == missing


@pytest.mark.parametrize(
    "targets",
    [
        pytest.param(ipam_targets(quick=True), id="ipam, quick"),
        pytest.param(ipam_targets(quick=False), id="ipam"),
        pytest.param(cni_targets(), id="cni"),
        pytest.param(controllers_targets(quick=True), id="controllers, quick"),
        pytest.param(controllers_targets(quick=False), id="controllers"),
    ],
)
def test_a_bench_has_targets_and_each_a_name_of_its_own(targets: Sequence[str]) -> None:
    """Of two with one name the verdict of either would do for both."""
    assert targets
    assert sorted(set(targets)) == sorted(targets)


@pytest.mark.parametrize(
    ("quick", "whole", "of_both", "of_the_whole_alone"),
    [
        pytest.param(
            ipam_targets(quick=True),
            ipam_targets(quick=False),
            "512 callers: p99",
            "512 callers, 2 replicas: p99",
            id="ipam",
        ),
        pytest.param(
            controllers_targets(quick=True),
            controllers_targets(quick=False),
            "all 200 links renamed",
            "500 at once: p99",
            id="controllers",
        ),
    ],
)
def test_a_quick_run_owes_less(
    quick: Sequence[str], whole: Sequence[str], of_both: str, of_the_whole_alone: str
) -> None:
    """It has fewer or smaller cases, and is asked for what they give alone."""
    assert (of_both in quick, of_both in whole) == (True, True)
    assert (of_the_whole_alone in quick, of_the_whole_alone in whole) == (False, True)
