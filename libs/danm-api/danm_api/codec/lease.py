"""The wire form of Leases (coordination.k8s.io/v1), as far as elections need it. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from danm_api.codec.meta import RawObject, describe
from danm_api.codec.values import UnreadableValueError, in_utc
from danm_api.errors import InvalidObjectError


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """Who leads.

    Attributes:
        holder: The holder's identity; empty when it was released.
        duration_s: How long the holder may be silent before others take over.
        acquired: When the holder began, by its own clock: for people.
        renewed: When it wrote last, by its own clock: others only see whether it changes.
        transitions: How often the holder changed.
    """

    holder: str
    duration_s: int
    acquired: datetime
    renewed: datetime
    transitions: int


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: datetime | None = None
    renew_time: datetime | None = None
    lease_transitions: int | None = None


_NEVER = datetime.fromtimestamp(0, UTC)


def decode_lease(raw: RawObject) -> LeaseRecord:
    """Read a Lease; what is missing counts as a Lease that nobody holds.

    Raises:
        InvalidObjectError: A value has the wrong type, or is no time.
    """
    try:
        spec = msgspec.convert(raw.get("spec") or {}, _Spec)
        acquired = in_utc(spec.acquire_time or _NEVER)
        renewed = in_utc(spec.renew_time or _NEVER)
    except (msgspec.ValidationError, UnreadableValueError) as error:
        where = describe({**raw, "kind": "Lease"})
        raise InvalidObjectError(f"{where} is unreadable: {error}") from error
    return LeaseRecord(
        holder=spec.holder_identity or "",
        duration_s=spec.lease_duration_seconds or 0,
        acquired=acquired,
        renewed=renewed,
        transitions=spec.lease_transitions or 0,
    )


def encode_lease_spec(record: LeaseRecord) -> dict[str, object]:
    """Return the ``spec`` of a Lease."""
    return {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": record.duration_s,
        "acquireTime": encode_micro_time(record.acquired),
        "renewTime": encode_micro_time(record.renewed),
        "leaseTransitions": record.transitions,
    }


def encode_micro_time(moment: datetime) -> str:
    """Return a MicroTime, which has six digits of microseconds even when they are zero."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
