"""What is broken in which step of which Pod's life: every failpoint with every action. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from danm_cni.failpoints import Effect


class Action(StrEnum):
    """What happens at a failpoint.

    KILL: danmd is killed.
    STOP: danmd stands still for longer than anybody waits, and goes on.
    ERROR: the effect fails; "after" it: it took place, and its answer was lost.
    CUT: the node is cut off from everybody until the answer, or its deadline.
    ORPHAN: the executable is killed, as a runtime does at its own deadline.
    """

    KILL = "kill"
    STOP = "stop"
    ERROR = "error"
    CUT = "cut"
    ORPHAN = "orphan"


class Mood(StrEnum):
    """What a delegate does instead of its work, or after it."""

    DIE_FIRST = "die first"
    DIE_LAST = "die last"
    HANG_FIRST = "hang first"
    HANG_LAST = "hang last"
    RUBBISH = "rubbish"
    # It forgets its IPAM plugin's DEL, as flannel's does when it is killed (SPEC E5).
    FORGET = "forget"


class Story(StrEnum):
    """What the runtime does while it happens.

    ADD: makes a Pod's first sandbox.
    UNDO: the same, and its last step fails, so that it is undone.
    RESUME: the same, and danmd is killed at its last step and started again.
    AGAIN_DEL: removes the sandbox of a Pod that goes on living.
    AGAIN_ADD: makes the next sandbox of such a Pod.
    ADOPT: starts danmd that has lost its journal record.
    OUTLIVED: makes a sandbox whose plugin hangs; danmd is killed meanwhile.
    DEL: removes the sandbox of a Pod that ends.
    LATER: does so while danmd is away, which is started afterwards.
    UNINFORMED: asks DEL of an unknown container, of a danmd that cannot reach the API server yet.
    """

    ADD = "add"
    UNDO = "undo"
    RESUME = "resume"
    AGAIN_DEL = "again, del"
    AGAIN_ADD = "again, add"
    ADOPT = "adopt"
    OUTLIVED = "outlived"
    DEL = "del"
    LATER = "later"
    UNINFORMED = "uninformed"


# After these stories there is one Pod less.
ENDING: Final = frozenset({Story.DEL, Story.LATER, Story.UNINFORMED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fault in one story.

    Attributes:
        point: The failpoint; empty where a plugin alone misbehaves.
        mood: Of the Pod's delegate in this story.
    """

    story: Story
    point: str = ""
    action: Action | None = None
    mood: Mood | None = None

    def __str__(self) -> str:
        """Name it."""
        parts = (self.story, self.point, self.action, self.mood)
        return " / ".join(str(each) for each in parts if each)


_ADD: Final = (
    Effect.WRITE_INTENT,
    Effect.RESERVE,
    Effect.WRITE_ADDRESSES,
    Effect.CREATE_ENDPOINT,
    Effect.CREATE_LINK,
    Effect.NAME_LINK,
    Effect.ADD_ADDRESS,
    Effect.SET_LINK_UP,
    Effect.ADD_ROUTE,
    Effect.ADD_RULE,
    Effect.ANNOUNCE,
    Effect.WRITE_PLUGIN,
    Effect.RUN_ADD,
    Effect.WRITE_TOLD,
    Effect.UPDATE_ENDPOINT,
    Effect.WRITE_ADDED,
    Effect.ANSWER,
    Effect.ANNOTATE,
)
_REMOVAL: Final = (
    Effect.WRITE_REMOVING,
    Effect.REMOVE_RULE,
    Effect.REMOVE_LINK,
    Effect.RUN_DEL,
    Effect.DELETE_ENDPOINT,
    Effect.RELEASE,
    Effect.FORGET,
)
_EFFECTS: Final[dict[Story, tuple[Effect, ...]]] = {
    Story.ADD: _ADD,
    Story.UNDO: _REMOVAL,
    # The Pod is getting another sandbox: its addresses stay.
    Story.RESUME: (Effect.END_STRAYS, *_REMOVAL[:-2], Effect.WRITE_HELD),
    Story.AGAIN_DEL: (Effect.WRITE_HELD,),
    Story.AGAIN_ADD: (Effect.FORGET_OLDER,),
    Story.ADOPT: (Effect.WRITE_ADOPTED,),
    Story.DEL: (*_REMOVAL, Effect.CLEAN_FLANNEL, Effect.ANSWER),
    Story.LATER: (Effect.FORGET_DEL,),
    Story.UNINFORMED: (Effect.LEAVE_DEL,),
}
# Each effect meets every action in the first story that has it; elsewhere the two that are quick
# and hard.
_EVERYWHERE: Final = (Action.KILL, Action.ERROR)
_WITHOUT_CALLER: Final = (Action.KILL, Action.STOP, Action.ERROR, Action.CUT)
# Nobody calls while these happen, or the node is cut off anyway.
_ACTIONS: Final[dict[Story, tuple[Action, ...]]] = {
    Story.UNDO: _EVERYWHERE,
    Story.RESUME: _WITHOUT_CALLER,
    Story.ADOPT: _WITHOUT_CALLER,
    Story.LATER: _WITHOUT_CALLER,
    Story.UNINFORMED: (Action.KILL, Action.STOP, Action.ERROR, Action.ORPHAN),
}
# A socket that has taken an answer whole does not fail afterwards: who has got it is believed.
_IMPOSSIBLE: Final = ("after", Effect.ANSWER, Action.ERROR)
_MOODS: Final[dict[Story, tuple[Mood, ...]]] = {
    Story.ADD: tuple(mood for mood in Mood if mood is not Mood.FORGET),
    Story.OUTLIVED: (Mood.HANG_FIRST, Mood.HANG_LAST),
    Story.DEL: tuple(Mood),
}


def cases(*, without: Sequence[Effect] = ()) -> Iterator[Case]:
    """Yield all cases, without those of effects that a node does not have."""
    for story, effects in _EFFECTS.items():
        for each in effects:
            if each in without:
                continue
            for action in _actions(story, each):
                for when in ("before", "after"):
                    if (when, each, action) == _IMPOSSIBLE:
                        continue
                    mood = Mood.FORGET if each is Effect.CLEAN_FLANNEL else None
                    yield Case(story=story, point=f"{when} {each}", action=action, mood=mood)
    for story, moods in _MOODS.items():
        for mood in moods:
            yield Case(story=story, mood=mood)


def one_of_each_point(chance: Random) -> list[Case]:
    """Return a case of every failpoint, with about as many of each action, in whichever story."""
    by_point: dict[str, list[Case]] = defaultdict(list)
    for case in cases():
        if case.point:
            by_point[case.point].append(case)
    points = list(by_point)
    chance.shuffle(points)
    found: list[Case] = []
    for point in points:
        counts = Counter(case.action for case in found)
        chance.shuffle(by_point[point])
        found.append(min(by_point[point], key=lambda each: counts[each.action]))
    return found


def _actions(story: Story, each: Effect) -> Sequence[Action]:
    if story is Story.RESUME and each is not Effect.END_STRAYS:
        return _EVERYWHERE
    return _ACTIONS.get(story, tuple(Action))


def dealt(found: Sequence[Case], hands: int) -> list[list[Case]]:
    """Deal cases to some nodes, so that each has about the same of every kind."""
    ordered = sorted(found, key=lambda each: (str(each.action), str(each.mood)))
    return [list(ordered[hand::hands]) for hand in range(hands)]
