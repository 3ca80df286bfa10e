"""Whether what a node orders for a Pod is what the Pod's annotation asks (SPEC B4). Pure."""

from collections.abc import Sequence

from danm_api.model.attachment import (
    Attachment,
    Dynamic,
    IPv4Request,
    IPv6Request,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import ExternalOwner
from danm_api.validation import effective_pool, effective_pool6
from ipam_svc.orders import OrderedAttachment

# What is ordered, and its network.
OrderedOn = tuple[OrderedAttachment, DanmNet]


def not_asked(entries: Sequence[Attachment], ordered: Sequence[OrderedOn]) -> list[OrderedOn]:
    """Return what no entry of an annotation covers; each entry covers one attachment.

    Args:
        entries: Of the Pod's annotation.
        ordered: For the Pod.
    """
    unused, missing = list(entries), []

    def in_words(each: OrderedOn) -> bool:
        return any(_is_same(entry, each[0]) for entry in entries)

    # What is asked word for word first, so that a looser match takes nothing from it.
    for attachment, net in sorted(ordered, key=in_words, reverse=True):
        match = _match(unused, attachment, net)
        if match is None:
            missing.append((attachment, net))
        else:
            unused.remove(match)
    return missing


def _match(
    entries: Sequence[Attachment], asked: OrderedAttachment, net: DanmNet
) -> Attachment | None:
    by_likeness = sorted(entries, key=lambda entry: _is_same(entry, asked), reverse=True)
    return next((entry for entry in by_likeness if _covers(entry, asked, net)), None)


def interface_of(asked: OrderedAttachment) -> str:
    """Return for which interface something is ordered; empty for an owner that has none."""
    return "" if isinstance(asked.owner, ExternalOwner) else asked.owner.interface


def _is_same(entry: Attachment, asked: OrderedAttachment) -> bool:
    return (entry.network, entry.ip, entry.ip6) == (asked.network, asked.ip, asked.ip6)


def _covers(entry: Attachment, asked: OrderedAttachment, net: DanmNet) -> bool:
    """Say whether an entry of the annotation covers an attachment.

    Its interface is the one that SPEC B4 gives the entry: under names of its own choice a node
    could reserve for one Pod as often as it liked. Where a dynamic address is asked for, danmd may
    name one of the pool: it re-asserts so what an interface has, when the record has forgotten it
    (DESIGN, "Nodes fence").
    """
    spec = net.status.applied
    return (
        entry.network == asked.network
        and interface_of(asked) in _interface_names(entry, net)
        and _covers_request(entry.ip, asked.ip, spec)
        and _covers_request(entry.ip6, asked.ip6, spec)
    )


def _interface_names(entry: Attachment, net: DanmNet) -> set[str]:
    """Return how an entry's interface may be called: by the spec in force, or the one written."""
    specs = (spec for spec in (net.status.applied, net.spec) if isinstance(spec, NetworkSpec))
    return {spec.container_prefix or f"eth{entry.index}" for spec in specs}


def _covers_request(
    asked: IPv4Request | IPv6Request, ordered: IPv4Request | IPv6Request, spec: NetworkSpec | None
) -> bool:
    if asked == ordered or isinstance(ordered, NoAddress):
        return True
    if not isinstance(asked, Dynamic) or spec is None:
        return False
    match ordered:
        case StaticIPv4():
            pool = effective_pool(spec)
            return pool is not None and ordered.interface.ip in pool
        case StaticIPv6():
            pool6 = effective_pool6(spec)
            return pool6 is not None and ordered.interface.ip in pool6
    return False
