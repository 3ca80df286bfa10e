"""Plans of rounds on the lab."""

from itertools import pairwise

import pytest

from danm_cni.failpoints import FAILPOINTS
from tests.lab.chaos.cni.lab_plan import NOT_IN_A_USUAL_LIFE, Kind, TrapAction, round_plan


def test_three_rounds_meet_every_failpoint_in_every_way() -> None:
    """Every failpoint that a usual life comes to is killed, stopped and failed at."""
    # Issue 5, "a failpoint for each step, so that each is hit for certain"
    found = {
        (trap.point, trap.action)
        for seed in (7, 8, 9)
        for traps in round_plan(seed, nodes=2).traps
        for trap in traps
    }
    wanted = {point for point in FAILPOINTS if point.partition(" ")[2] not in NOT_IN_A_USUAL_LIFE}
    assert {(point, action) for point in wanted for action in TrapAction} <= found
    assert wanted == {point for point, _ in found}


@pytest.mark.parametrize("seed", range(20))
def test_a_round_breaks_everything_in_its_time(seed: int) -> None:
    """Each kind of fault happens, in the order of time, and a node that boots is left alone."""
    plan = round_plan(seed, nodes=2)
    assert set(Kind) == {fault.kind for fault in plan.faults}
    assert all(one.at <= next_one.at for one, next_one in pairwise(plan.faults))
    for position, fault in enumerate(plan.faults):
        if fault.kind in {Kind.REBOOT, Kind.REPLACE}:
            later = [each for each in plan.faults[position + 1 :] if each.node == fault.node]
            assert all(each.at >= fault.at + 60 for each in later)


def test_a_seed_says_it_all() -> None:
    """The same seed is the same plan, another one another; kinds may be left out."""
    assert round_plan(1, nodes=2) == round_plan(1, nodes=2)
    assert round_plan(1, nodes=2) != round_plan(2, nodes=2)
    without = round_plan(1, nodes=2, without=[Kind.REBOOT, Kind.REPLACE])
    assert {Kind.REBOOT, Kind.REPLACE}.isdisjoint(fault.kind for fault in without.faults)


def test_a_stray_plugin_s_trap_comes_after_a_kill() -> None:
    """What only happens after danmd was killed has the kill before it, on the same node."""
    for traps in round_plan(3, nodes=2).traps:
        for position, trap in enumerate(traps):
            if trap.point.endswith(("ending stray plugins", "a DEL that was left")):
                assert traps[position - 1].action is TrapAction.KILL
