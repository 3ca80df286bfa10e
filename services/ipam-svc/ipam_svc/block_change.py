"""What is asked of one block, and what came of it: data alone.

A change is data, so that it can be judged anew on a newer block after a conflict.
"""

from dataclasses import dataclass

from danm_api.model.addresses import IPAddress
from danm_api.model.danmnet import NetworkSpec
from danm_api.model.ip_block import Cooling, Held, Owner
from danm_api.names import NodeName
from danm_api.record.entries import OwnerKey
from ipam_svc.address_space import AddressSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeAny:
    """Take the next free address of the block, or keep the one that the owner has there.

    Attributes:
        space: Only these addresses; what the owner has already is kept all the same.
        after: The search begins behind this number and wraps around within the block.
        left: What the owner has and wants to leave for another one: it is not kept.
        mac: None derives it from the address taken.
        basis: The spec that the request was judged by; a new entry needs it to be in force. None
            for any.
    """

    owner: Owner
    node: NodeName
    attempt: int
    space: AddressSpace
    after: int
    mac: str | None
    left: frozenset[IPAddress] = frozenset()
    basis: NetworkSpec | None = None

    @property
    def beside(self) -> bool:
        """As of ``TakeExact``."""
        return bool(self.left)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeExact:
    """Take this address, or keep it.

    Attributes:
        keep_only: Only an entry that the owner already has; nothing new.
        dynamic: Nobody asked for just this address: it is not taken while it cools (SPEC A7).
        basis: As of ``TakeAny``.
        alone: A new entry needs that no other DanmNet is on the wire: it lies outside of the pool
            (SPEC G3).
        beside: The owner keeps another address of the family until it is told of this one.
    """

    owner: Owner
    node: NodeName
    attempt: int
    address: IPAddress
    mac: str
    keep_only: bool = False
    dynamic: bool = False
    basis: NetworkSpec | None = None
    alone: bool = False
    beside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Say of a pending entry that its owner gets all that it asked for."""

    key: OwnerKey
    attempt: int
    address: IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """Free an entry of exactly this owner and attempt (DESIGN, "Attempts fence").

    Attributes:
        pending: Only if it still is: by one that is confirmed the owner has lost its other one.
        cooled: What was taken with the address, which nobody has used: it goes on cooling.
    """

    key: OwnerKey
    attempt: int
    address: IPAddress
    cooldown_s: int
    pending: bool = False
    cooled: Cooling | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Free the entries whose owners agreed to lose them by now (SPEC I3)."""

    cooldown_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """Take in no new entry any more: the network is being deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Change nothing but the version, so that a write on an earlier reading loses."""


Change = TakeAny | TakeExact | Confirm | GiveBack | Sweep | Seal | Fence


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """The owner holds the entry now.

    Attributes:
        new: It held no entry for this address before.
        cooled: What it took the place of, where somebody asked for just this address.
    """

    held: Held
    new: bool
    cooled: Cooling | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSpace:
    """The block has nothing free for the request, as far as this replica knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The address's owner agreed to lose it by now, but holds it until the block is swept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveBack:
    """The entry is free."""

    held: Held


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHeld:
    """There was no such entry; ``holder`` has the address under another attempt or name."""

    holder: Held | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """The entries are free: these were."""

    held: tuple[Held, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """The block is sealed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """No write that is based on an earlier reading succeeds any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contended:
    """Another replica writes the block: nothing happened, and another block will be quicker."""


Outcome = Took | NoSpace | Expired | GaveBack | NotHeld | Swept | Sealed | Fenced | Contended
