"""What all Kubernetes objects share: metadata, owner references, timestamps. Pure."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from danm_api.errors import InvalidObjectError

# The JSON form of an object, as the API server sends it.
RawObject = dict[str, Any]

# Of objects that the API server has not seen yet.
NEVER: Final = datetime.fromtimestamp(0, UTC)


class OwnerReference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Another object that this one belongs to."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


class Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The part of ``metadata`` that DANM reads; lists and maps may be null on the wire."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None

    @property
    def created(self) -> datetime:
        """Return when the API server made the object; 1970 before that."""
        return self.creation_timestamp or NEVER

    @property
    def deleting(self) -> bool:
        """Say whether the object only waits for its finalizers."""
        return self.deletion_timestamp is not None


def decode_metadata(raw: RawObject) -> Metadata:
    """Read an object's metadata.

    Raises:
        InvalidObjectError: It has none, or one of a wrong type.
    """
    try:
        return msgspec.convert(raw.get("metadata"), Metadata)
    except msgspec.ValidationError as error:
        reason = f"{raw.get('kind', 'object')} has unreadable metadata: {error}"
        raise InvalidObjectError(reason) from error


def describe(raw: RawObject) -> str:
    """Return kind, namespace and name of an object, for people, whatever is missing."""
    metadata = raw.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    path = "/".join(str(known[key]) for key in ("namespace", "name") if known.get(key))
    return f"{raw.get('kind', 'object')} {path or '(unnamed)'}"


def encode_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC, with microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
