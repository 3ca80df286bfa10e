"""The cases of every failpoint."""

from collections import Counter
from random import Random

import pytest

from danm_cni.failpoints import FAILPOINTS, Effect
from tests.lab.chaos.cni.cases import (
    ENDING,
    Action,
    Case,
    Mood,
    Story,
    cases,
    dealt,
    one_of_each_point,
)
from tests.lab.chaos.cni.trap import error_at


def test_every_failpoint_meets_every_action() -> None:
    """Each is killed, stopped, failed and cut off at; where somebody calls, orphaned too."""
    # Issue 5, "killed, stopped or cut off at every step of an ADD and DEL"
    found = {(case.point, case.action) for case in cases() if case.point}
    silent = {Effect.END_STRAYS, Effect.WRITE_ADOPTED, Effect.FORGET_DEL}
    for point in FAILPOINTS:
        wanted = set(Action)
        if point.partition(" ")[2] in silent:
            wanted -= {Action.ORPHAN}
        if point.endswith(str(Effect.LEAVE_DEL)):
            # The node is cut off already.
            wanted -= {Action.CUT}
        if point == f"after {Effect.ANSWER}":
            wanted -= {Action.ERROR}
        assert wanted == {action for where, action in found if where == point}, point


def test_every_case_is_another() -> None:
    """No case is played twice, and effects that a node lacks are left out."""
    found = list(cases())
    assert len(found) == len(set(found))
    without = list(cases(without=[Effect.NAME_LINK]))
    assert {case for case in found if str(Effect.NAME_LINK) not in case.point} == set(without)


def test_every_mood_and_story_is_met() -> None:
    """A delegate has each of its moods, and each story is told."""
    found = list(cases())
    assert set(Mood) == {case.mood for case in found if case.mood}
    assert set(Story) == {case.story for case in found}
    assert set(Story) > ENDING


def test_dealt() -> None:
    """All cases are dealt once, to each node about as many of each action."""
    found = list(cases())
    hands = dealt(found, 4)
    assert sorted(map(str, found)) == sorted(str(case) for hand in hands for case in hand)
    for action in Action:
        counts = [sum(case.action is action for case in hand) for hand in hands]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("seed", range(20))
def test_one_of_each_point(seed: int) -> None:
    """Each failpoint is met once, and each action by about a fifth of them."""
    found = one_of_each_point(Random(seed))
    assert sorted(FAILPOINTS) == sorted(case.point for case in found)
    assert set(found) <= set(cases())
    counts = Counter(case.action for case in found)
    assert set(counts) == set(Action)
    assert max(counts.values()) - min(counts.values()) <= 2
    assert found == one_of_each_point(Random(seed))


def test_other_seeds_meet_all() -> None:
    """Every failpoint meets every action in the end, in every story."""
    found = {case for seed in range(200) for case in one_of_each_point(Random(seed))}
    assert found == {case for case in cases() if case.point}


def test_name() -> None:
    """A case is named by what it is about."""
    case = Case(story=Story.DEL, point="before releasing", action=Action.KILL)
    assert str(case) == "del / before releasing / kill"


def test_every_failpoint_has_an_error() -> None:
    """What goes wrong at a failpoint says so, as the effect's own errors do."""
    for point in FAILPOINTS:
        assert point in str(error_at(point))
