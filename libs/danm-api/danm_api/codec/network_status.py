"""The wire form of what DanmNet's status consists of (SPEC A4, N6). Pure.

Counts of IPv4 addresses are JSON numbers. A pool of IPv6 addresses may hold more than 2^63, which
no number of the Kubernetes API can say, so those counts are decimal strings; both forms are read.
"""

from datetime import datetime
from typing import Any, Final

import msgspec

from danm_api.codec.meta import NEVER, encode_time
from danm_api.codec.values import UnreadableValueError, in_utc
from danm_api.errors import InvalidObjectError
from danm_api.model.danmnet import Condition, NodeSum, Usage

_STATUS_TO_WIRE: Final = {True: "True", False: "False", None: "Unknown"}
_STATUS_FROM_WIRE: Final = {wire: status for status, wire in _STATUS_TO_WIRE.items()}


class ConditionWire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition in Kubernetes' standard form."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int = 0
    last_transition_time: datetime | None = None


class UsageWire(msgspec.Struct, frozen=True, kw_only=True):
    """How full one address family is."""

    total: int | str = 0
    used: int | str = 0
    free: int | str = 0
    ranges: str = ""


class NodeSumWire(msgspec.Struct, frozen=True, kw_only=True):
    """On how many nodes a network can be used; ``summary`` is for ``kubectl get``."""

    ready: int = 0
    total: int = 0
    summary: str = ""
    why: str = ""


def decode_conditions(raw: object, *, where: str) -> tuple[Condition, ...]:
    """Read a list of conditions; a missing list is empty.

    Raises:
        InvalidObjectError: It is no list of conditions.
    """
    if raw is None:
        return ()
    try:
        wires = msgspec.convert(raw, tuple[ConditionWire, ...])
        return tuple(
            Condition(
                type=wire.type,
                status=_STATUS_FROM_WIRE.get(wire.status),
                reason=wire.reason,
                message=wire.message,
                observed_generation=wire.observed_generation,
                last_transition=in_utc(wire.last_transition_time or NEVER),
            )
            for wire in wires
        )
    except (msgspec.ValidationError, UnreadableValueError) as error:
        raise InvalidObjectError(f"{where} has unreadable conditions: {error}") from error


def encode_condition(condition: Condition) -> dict[str, Any]:
    """Return a condition's wire form."""
    return {
        "type": condition.type,
        "status": _STATUS_TO_WIRE[condition.status],
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": condition.observed_generation,
        "lastTransitionTime": encode_time(condition.last_transition),
    }


def decode_usage(raw: object, *, where: str) -> Usage | None:
    """Read a family's usage; None when it has not been counted yet.

    Raises:
        InvalidObjectError: It is something else.
    """
    if raw is None:
        return None
    try:
        wire = msgspec.convert(raw, UsageWire)
        return Usage(
            total=int(wire.total), used=int(wire.used), free=int(wire.free), ranges=wire.ranges
        )
    except ValueError as error:  # msgspec's error is one too
        raise InvalidObjectError(f"{where} has an unreadable usage: {error}") from error


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Return the wire form of IPv4 usage, with numbers."""
    return {
        "total": usage.total,
        "used": usage.used,
        "free": usage.free,
        "ranges": usage.ranges,
    }


def encode_usage6(usage: Usage) -> dict[str, Any]:
    """Return the wire form of IPv6 usage, with decimal strings."""
    return {
        "total": str(usage.total),
        "used": str(usage.used),
        "free": str(usage.free),
        "ranges": usage.ranges,
    }


def decode_node_sum(raw: object, *, where: str) -> NodeSum | None:
    """Read the sum of the nodes; None when there is none yet.

    Raises:
        InvalidObjectError: It is something else.
    """
    if raw is None:
        return None
    try:
        wire = msgspec.convert(raw, NodeSumWire)
    except msgspec.ValidationError as error:
        raise InvalidObjectError(f"{where} has an unreadable sum of nodes: {error}") from error
    return NodeSum(ready=wire.ready, total=wire.total, why=wire.why)


def encode_node_sum(nodes: NodeSum) -> dict[str, Any]:
    """Return the wire form; ``why`` is always there, so that a merge patch clears it."""
    return {
        "ready": nodes.ready,
        "total": nodes.total,
        "summary": f"{nodes.ready}/{nodes.total}",
        "why": nodes.why,
    }
