"""Events (events.k8s.io/v1) as they are read; ``codec.event`` has those that DANM writes. Pure.

Kubernetes' own parts write the older core form, whose fields the API server shows under names that
begin with ``deprecated``.
"""

from datetime import datetime

import msgspec

from danm_api.codec.meta import RawObject, describe
from danm_api.codec.values import UnreadableValueError, in_utc
from danm_api.errors import InvalidObjectError
from danm_api.model.observed_event import ObservedEvent

_WARNING = "Warning"


class _Regarding(msgspec.Struct, frozen=True, kw_only=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class _Series(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    count: int = 1
    last_observed_time: datetime | None = None


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    component: str = ""


class _EventWire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    type: str = ""
    reason: str = ""
    note: str = ""
    reporting_controller: str = ""
    regarding: _Regarding = _Regarding()
    event_time: datetime | None = None
    series: _Series | None = None
    deprecated_source: _Source = _Source()
    deprecated_count: int = 0
    deprecated_first_timestamp: datetime | None = None
    deprecated_last_timestamp: datetime | None = None


def decode_event(raw: RawObject) -> ObservedEvent:
    """Read an Event of either form.

    Raises:
        InvalidObjectError: A value is of the wrong type, or no time.
    """
    try:
        wire = msgspec.convert(raw, _EventWire)
        last = max((in_utc(time) for time in _times(wire) if time is not None), default=None)
    except (msgspec.ValidationError, UnreadableValueError) as error:
        raise InvalidObjectError(f"{describe(raw)} is unreadable: {error}") from error
    return ObservedEvent(
        warning=wire.type == _WARNING,
        reason=wire.reason,
        note=wire.note,
        reporter=wire.reporting_controller or wire.deprecated_source.component,
        kind=wire.regarding.kind,
        name=wire.regarding.name,
        namespace=wire.regarding.namespace,
        uid=wire.regarding.uid,
        count=max(1, wire.deprecated_count, 0 if wire.series is None else wire.series.count),
        last=last,
    )


def _times(wire: _EventWire) -> tuple[datetime | None, ...]:
    return (
        None if wire.series is None else wire.series.last_observed_time,
        wire.deprecated_last_timestamp,
        wire.event_time,
        wire.deprecated_first_timestamp,
    )
