"""What had happened to a host link, by what has to be done to it. Pure."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import assert_never

from netwatcher.plan import (
    Action,
    CreateVlan,
    CreateVxlan,
    Delete,
    Mark,
    Rename,
    SetMtu,
    SetUp,
    SetVxlanSource,
)


class Damage(StrEnum):
    """Why a link had to be repaired."""

    DELETED = "deleted"
    DOWN = "down"
    RENAMED = "renamed"
    MTU = "mtu"
    SOURCE = "source"
    UNMARKED = "unmarked"


def damage(actions: Sequence[Action], *, was_up: bool) -> Iterator[Damage]:
    """Yield what a plan repairs.

    Args:
        actions: Of one link.
        was_up: It was as wanted when it was looked at last, so that one that is missing was
            deleted. One that comes into being, or goes because nobody asks for it, is no damage,
            nor is one that is made anew since another link is asked for.
    """
    replaced = any(isinstance(each, Delete) for each in actions)
    for each in actions:
        match each:
            case CreateVlan() | CreateVxlan():
                if was_up and not replaced:
                    yield Damage.DELETED
            case SetUp():
                yield Damage.DOWN
            case Rename():
                yield Damage.RENAMED
            case SetMtu():
                yield Damage.MTU
            case SetVxlanSource():
                yield Damage.SOURCE
            case Mark():
                yield Damage.UNMARKED
            case Delete():
                pass
            case _:
                assert_never(each)
