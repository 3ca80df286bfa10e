"""What DANM's services change about a DanmNet, written into the object as the server sent it. Pure.

So fields that this release does not know stay as they are.
"""

from danm_api import labels
from danm_api.codec.danmnet import encode_marked_valid, encode_status
from danm_api.codec.meta import RawObject
from danm_api.codec.network_status import (
    encode_condition,
    encode_node_sum,
    encode_usage,
    encode_usage6,
)
from danm_api.model.danmnet import Condition, NetworkStatus, NodeSum, Usage


def with_mark(raw: RawObject, *, valid: bool) -> RawObject:
    """Return the object with ``spec.Validation`` (SPEC A6), to be PUT with its resourceVersion."""
    return {**raw, "spec": {**(raw.get("spec") or {}), **encode_marked_valid(valid=valid)["spec"]}}


def with_status(raw: RawObject, status: NetworkStatus) -> RawObject:
    """Return the object with a status, to be PUT to the subresource with its resourceVersion.

    What is None in ``status`` is taken away: a merge patch could not do that for ``applied``.
    """
    old = dict(raw.get("status") or {})
    for key in ("applied", "ipv4", "ipv6"):
        old.pop(key, None)
    return {**raw, "status": {**old, **encode_status(status)}}


def with_condition(raw: RawObject, condition: Condition) -> RawObject:
    """Return the object with one condition, to be PUT to the status with its resourceVersion.

    The others stay as they are: another service writes them, of another release perhaps.
    """
    status = raw.get("status") or {}
    others = [each for each in status.get("conditions") or () if _type_of(each) != condition.type]
    return {**raw, "status": {**status, "conditions": [*others, encode_condition(condition)]}}


def _type_of(condition: object) -> object:
    return condition.get("type") if isinstance(condition, dict) else None


def without_finalizer(raw: RawObject) -> RawObject:
    """Return the object without DANM's finalizer, to be PUT with its UID and resourceVersion."""
    metadata = raw["metadata"]
    left = [each for each in metadata.get("finalizers") or () if each != labels.DANMNET_FINALIZER]
    return {**raw, "metadata": {**metadata, "finalizers": left}}


def nodes_patch(nodes: NodeSum) -> RawObject:
    """Return the merge patch of the status subresource that sums up the nodes (SPEC N6)."""
    return {"status": {"nodes": encode_node_sum(nodes)}}


def usage_patch(*, ipv4: Usage | None, ipv6: Usage | None) -> RawObject:
    """Return the merge patch of the status subresource that says how full a network is (SPEC A4).

    It touches nothing else, so it needs no resourceVersion; None takes a family away.
    """
    return {
        "status": {
            "ipv4": None if ipv4 is None else encode_usage(ipv4),
            "ipv6": None if ipv6 is None else encode_usage6(ipv6),
        }
    }
