"""What is freed without its owner: why, and the sentences that tell it. Pure.

What is freed together, of one network and for one reason, is told in one sentence, however much it
is: Events are few and short (1024 bytes), the log has a line for each.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from danm_api.codec.event import MAX_NOTE_LENGTH
from danm_api.model.danmep import EndpointIdentity
from danm_api.model.ip_block import Held
from danm_api.record.entries import describe_owner
from danm_api.record.reasons import LOST_NODE, Reason
from ipam_svc.address_space import Version, version_of
from ipam_svc.summary import run_text, runs_of

_VERSIONS: Final[tuple[Version, ...]] = (4, 6)

# The Event's reason where DanmEps of a lost node were deleted.
DELETED_ENDPOINT: Final = "DeletedDanmEpOfLostNode"

_IN_LOG: Final = "; the log names each"


def tell_addresses(reason: Reason, freed: Sequence[Held]) -> str:
    """Say in a sentence which addresses were freed: as many as an Event has room for.

    Args:
        reason: Why.
        freed: At least one, all of one node where the reason speaks of the node.
    """
    if len(freed) == 1:
        (held,) = freed
        return f"freed {held.address} of {describe_owner(held.owner)}: {reason.of_one}"
    why = reason.of_many.format(node=freed[0].node)
    return _listed(f"freed {len(freed)} addresses {why}", _runs(freed), total=len(freed))


def tell_endpoints(deleted: Sequence[EndpointIdentity]) -> str:
    """Say in a sentence which DanmEps of one lost node were deleted, as ``tell_addresses`` does."""
    if len(deleted) == 1:
        (one,) = deleted
        whose = f" of Pod {one.namespace}/{one.pod} (interface {one.interface})" if one.pod else ""
        return f"deleted DanmEp {one.name}{whose}: {LOST_NODE.of_one}"
    why = LOST_NODE.of_many.format(node=deleted[0].node)
    names = sorted(f"{each.pod} ({each.interface})" if each.pod else each.name for each in deleted)
    head = f"deleted {len(deleted)} DanmEps {why}"
    return _listed(head, ((name, 1) for name in names), total=len(names))


def _runs(freed: Sequence[Held]) -> Iterator[tuple[str, int]]:
    """Yield single addresses and ranges, with how many addresses each is."""
    for version in _VERSIONS:
        numbers = (int(each.address) for each in freed if version_of(each.address) == version)
        for first, last in runs_of(sorted(numbers)):
            yield run_text(version, first, last), last - first + 1


def _listed(head: str, names: Iterable[tuple[str, int]], *, total: int) -> str:
    """Append the names for which an Event has room, and count what is left out."""
    text, separator, left = head, ": ", total
    for name, count in names:
        longer = f"{text}{separator}{name}"
        if len((longer + _more(left - count)).encode()) <= MAX_NOTE_LENGTH:
            text, separator, left = longer, ", ", left - count
    return text + _more(left) if left < total else head + _IN_LOG


def _more(count: int) -> str:
    return f" and {count} more{_IN_LOG}" if count else ""
