"""Where an ADD or a DEL may be interrupted: before and after each of its effects. Pure.

Who runs danmd in a test may observe all of them, and kill, stop or fail danmd at any. danmd itself
has no flag, variable or file that does so (docs/decisions/0019-failpoints.md).

    with effect(Effect.RESERVE):
        ...
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import TracebackType
from typing import Final

Observer = Callable[[str], None]
"""Is told a failpoint's name, in whichever thread danmd is; what it raises is as if the effect had
failed, or its answer was lost."""

_observers: Final[list[Observer]] = []


class Effect(StrEnum):
    """What an ADD, a DEL, an undo or a resumption does that outlives danmd or that others see.

    Without Events, metrics and logs, and without what only the comparison does (``strays``,
    ``reassertion``) and fakeipam's own addresses (``allocations``).
    """

    # An ADD, in its order, but that a static type's plugins start beside what comes before them.
    WRITE_INTENT = "writing the intent"
    FORGET_OLDER = "forgetting an older sandbox"
    RESERVE = "reserving"
    WRITE_ADDRESSES = "writing the addresses"
    CREATE_ENDPOINT = "creating a DanmEp"
    CREATE_LINK = "creating a link"
    NAME_LINK = "naming a link"
    ADD_ADDRESS = "adding an address"
    SET_LINK_UP = "setting a link up"
    ADD_ROUTE = "adding a route"
    ADD_RULE = "adding a rule"
    ANNOUNCE = "announcing addresses"
    WRITE_PLUGIN = "writing which plugin starts"
    RUN_ADD = "running a plugin's ADD"
    WRITE_TOLD = "writing what a plugin told"
    UPDATE_ENDPOINT = "updating a DanmEp"
    WRITE_ADDED = "writing that it is added"
    ANNOTATE = "annotating the Pod"
    # A DEL, and what undoes or resumes an ADD.
    WRITE_REMOVING = "writing that it goes"
    END_STRAYS = "ending stray plugins"
    REMOVE_RULE = "removing a rule"
    REMOVE_LINK = "removing a link"
    RUN_DEL = "running a plugin's DEL"
    CLEAN_FLANNEL = "cleaning up after flannel"
    DELETE_ENDPOINT = "deleting a DanmEp"
    RELEASE = "releasing"
    WRITE_HELD = "writing that addresses are kept"
    FORGET = "forgetting the sandbox"
    LEAVE_DEL = "leaving a DEL for later"
    FORGET_DEL = "forgetting a DEL that was left"
    WRITE_ADOPTED = "writing an adopted sandbox"
    # Both.
    ANSWER = "answering"


IN_THE_KERNEL: Final = frozenset(
    {
        Effect.CREATE_LINK,
        Effect.NAME_LINK,
        Effect.ADD_ADDRESS,
        Effect.SET_LINK_UP,
        Effect.ADD_ROUTE,
        Effect.ADD_RULE,
        Effect.ANNOUNCE,
        Effect.REMOVE_RULE,
        Effect.REMOVE_LINK,
    }
)
"""Those that netlink or a packet socket has."""

FAILPOINTS: Final = tuple(f"{when} {each}" for each in Effect for when in ("before", "after"))
"""All failpoints by their names."""


class effect:  # noqa: N801  (it reads as a statement)
    """Marks the block that has an effect; nobody is told "after" when it fails."""

    __slots__ = ("_effect",)

    def __init__(self, which: Effect) -> None:
        """Mark a block of this effect."""
        self._effect = which

    def __enter__(self) -> None:
        """Tell that the effect is about to come."""
        for observer in _observers:
            observer(f"before {self._effect}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Tell that the effect has come."""
        if kind is None:
            for observer in _observers:
                observer(f"after {self._effect}")


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Tell somebody of all failpoints for the time of the block. For tests."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)
