"""What an examination finds, and what may be done about it without harm. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from danm_api.model.danmep import DanmEp
from danm_api.model.ip_block import Held, IPBlock
from danm_api.model.ipam_report import Finding
from danm_api.names import NetworkUid, NodeName
from danm_api.record.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeEntry:
    """Free this very entry.

    Attributes:
        reason: Why, for those who are told.
        lost_node: Only if the API server says at that moment that this node is lost.
        cooldown_s: Seconds before the address may be handed out again.
    """

    block: IPBlock
    held: Held
    reason: Reason
    lost_node: NodeName | None = None
    cooldown_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteEndpoint:
    """Delete a DanmEp, if the API server says at that moment that its node is lost.

    Attributes:
        network_uid: Of its DanmNet, which is told; empty where that is gone.
    """

    endpoint: DanmEp
    network_uid: NetworkUid


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveBlock:
    """Remove a block that is empty."""

    block: IPBlock


Action = FreeEntry | DeleteEndpoint | RemoveBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A finding, and what may be done about it without harm; None when somebody else must act."""

    finding: Finding
    action: Action | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it the same finding in another look."""
        found = self.finding
        return (
            found.kind,
            found.namespace,
            found.network,
            found.subject,
            found.address,
            found.node,
            found.attempt,
        )


def in_both(first: Iterable[Diagnosis], second: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Return what two looks have both seen: it is not merely in flight."""
    known = {each.identity for each in first}
    return tuple(each for each in second if each.identity in known)
