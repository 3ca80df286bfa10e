"""Why an address is freed without its owner. Pure."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why addresses are freed.

    Attributes:
        label: In metrics and logs.
        event: The Event's reason.
        of_one: Why, at the end of a sentence about a single one.
        of_many: The same behind a number of them; ``{node}`` stands for their node.
    """

    label: str
    event: str
    of_one: str
    of_many: str


LOST_NODE: Final = Reason(
    label="lost_node",
    event="FreedAddressOfLostNode",
    of_one="its node is gone or declared out of service",
    of_many="of node {node}, which is gone or declared out of service",
)
EXPIRED: Final = Reason(
    label="expired",
    event="FreedExpiredAddress",
    of_one="its owner's time is over",
    of_many="whose owners' time is over",
)
UNFINISHED: Final = Reason(
    label="unfinished",
    event="FreedUnfinishedAddress",
    of_one="the request that took it beside its owner's other one has come to nothing",
    of_many="which requests took beside their owners' other ones, and came to nothing",
)
DOUBLE: Final = Reason(
    label="double",
    event="FreedDeadAddress",
    of_one="its owner has a newer one",
    of_many="whose owners have newer ones",
)
