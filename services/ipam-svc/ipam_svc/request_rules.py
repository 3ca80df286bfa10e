"""What a request must look like before anything is done with it. Pure.

Names go into paths of the API server and into the record, whose objects must stay small and
readable for every replica: so all texts and numbers have bounds here (DESIGN, P6).
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from danm_api.errors import InvalidRequestError, Violation
from danm_api.ipam_api import (
    MAX_ADDRESS_LENGTH,
    MAX_ATTACHMENTS,
    MAX_ATTEMPT,
    MAX_NAME_LENGTH,
    MAX_REASON_LENGTH,
    OBJECT_NAME_PATTERN,
    PLAIN_PATTERN,
    AttachmentRequest,
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    ReleaseRequest,
    ReserveRequest,
)
from danm_api.names import MAX_INTERFACE_NAME_BYTES
from danm_api.validation import interface_name_fault

_OBJECT_NAME: Final = re.compile(OBJECT_NAME_PATTERN)
_PLAIN: Final = re.compile(PLAIN_PATTERN)
# Times at either end of the calendar have no form in every time zone.
_FIRST_EXPIRY: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST_EXPIRY: Final = datetime(9000, 1, 1, tzinfo=UTC)


def check_reserve(request: ReserveRequest) -> tuple[Violation, ...]:
    """Return what is wrong with the form of a reserve."""
    return (
        *_check_owner(request.owner, node=request.node),
        *_check_attempt(request.attempt),
        *_check_timeout(request.timeout_s),
        *_check_attachments(request),
    )


def check_release(request: ReleaseRequest) -> tuple[Violation, ...]:
    """Return what is wrong with the form of a release."""
    return (
        *_check_owner(request.owner, node=request.node),
        *_check_attempt(request.attempt),
        *_check_timeout(request.timeout_s),
        *_check_lists(request),
    )


def require_object_name(text: str, *, field: str) -> None:
    """Make sure that a part of the path may be the name of an object.

    Raises:
        InvalidRequestError: It may not.
    """
    violations = tuple(replace(each, place="path") for each in _check_name(text, field))
    if violations:
        raise refusal(violations)


def refusal(violations: Iterable[Violation]) -> InvalidRequestError:
    """Return the error that tells of all that is wrong with a request."""
    found = tuple(violations)
    reason = "the request is not valid: " + "; ".join(map(str, found))
    return InvalidRequestError(reason, violations=found)


def violation(field: str, message: str, *, place: str = "") -> Violation:
    """Return one fault of a request: of its body, or of a parameter at a place."""
    return Violation(field=field, rule="I2", message=message, place=place)


def _check_attachments(request: ReserveRequest) -> Iterable[Violation]:
    if not request.attachments:
        yield violation("attachments", "is empty; name at least one network")
    if len(request.attachments) > MAX_ATTACHMENTS:
        yield violation("attachments", f"has more than {MAX_ATTACHMENTS} entries")
        return
    seen: set[str] = set()
    external = isinstance(request.owner, ExternalOwnerMessage)
    for index, wanted in enumerate(request.attachments):
        yield from _check_attachment(index, wanted, external=external)
        # An interface has one attachment; an external owner has one address on a network.
        name = wanted.network if external else wanted.interface
        if name in seen:
            what = "network" if external else "interface"
            yield violation(f"attachments[{index}].{what}", "is named twice")
        seen.add(name)


def _check_attachment(
    index: int, wanted: AttachmentRequest, *, external: bool
) -> Iterable[Violation]:
    where = f"attachments[{index}]"
    yield from _check_name(wanted.network, f"{where}.network")
    if external and wanted.interface:
        yield violation(f"{where}.interface", "must be empty for an external owner")
    if not external:
        yield from _check_interface(wanted.interface, f"{where}.interface")
    for field, text in (("ip", wanted.ip), ("ip6", wanted.ip6)):
        if len(text) > MAX_ADDRESS_LENGTH:
            yield violation(f"{where}.{field}", "is too long to be an address")


def _check_lists(request: ReleaseRequest) -> Iterable[Violation]:
    for field, names in (("networks", request.networks), ("interfaces", request.interfaces)):
        if len(names) > MAX_ATTACHMENTS:
            yield violation(field, f"has more than {MAX_ATTACHMENTS} entries")
            return
    if not set(request.families) <= {4, 6}:
        yield violation("families", "may have 4 and 6 only")
    for index, name in enumerate(request.networks):
        yield from _check_name(name, f"networks[{index}]")
    for index, name in enumerate(request.interfaces):
        # What a release with fewer rules for names has given must not be held for ever.
        if not name or len(name.encode()) > MAX_INTERFACE_NAME_BYTES:
            message = (
                f"must have 1 to {MAX_INTERFACE_NAME_BYTES} bytes, as the name of an interface"
            )
            yield violation(f"interfaces[{index}]", message)


def _check_owner(owner: OwnerMessage, *, node: str) -> Iterable[Violation]:
    yield from _check_name(owner.namespace, "owner.namespace")
    match owner:
        case PodOwnerMessage():
            yield from _check_name(owner.name, "owner.name")
            yield from _check_plain(owner.uid, "owner.uid")
        case ContainerOwnerMessage():
            yield from _check_plain(owner.container_id, "owner.containerId")
        case ExternalOwnerMessage():
            yield from _check_plain(owner.name, "owner.name")
            yield from _check_external(owner)
            if node:
                yield violation("node", "must be empty for an external owner")
            return
    yield from _check_name(node, "node")


def _check_external(owner: ExternalOwnerMessage) -> Iterable[Violation]:
    if len(owner.reason) > MAX_REASON_LENGTH:
        yield violation("owner.reason", f"has more than {MAX_REASON_LENGTH} characters")
    if owner.expires is None:
        return
    if owner.expires.tzinfo is None:
        yield violation("owner.expires", "needs a time zone, such as a closing Z")
    elif owner.expires < _FIRST_EXPIRY:
        yield violation("owner.expires", "lies in the past")
    elif owner.expires > _LAST_EXPIRY:
        yield violation("owner.expires", "is too far away; leave it out for an owner that stays")


def _check_attempt(attempt: int) -> Iterable[Violation]:
    if not 0 < attempt <= MAX_ATTEMPT:
        yield violation("attempt", f"must be from 1 to {MAX_ATTEMPT}, such as the clock in ms")


def _check_timeout(timeout_s: float) -> Iterable[Violation]:
    if not timeout_s > 0:
        yield violation("timeoutS", "must be more than 0: how long you will wait for the answer")


def _check_name(text: str, field: str) -> Iterable[Violation]:
    if not text:
        yield violation(field, "is empty; a name is needed")
    elif len(text) > MAX_NAME_LENGTH or not _OBJECT_NAME.fullmatch(text):
        yield violation(
            field, 'is no name of a Kubernetes object: use small letters, digits, "-" and "."'
        )


def _check_plain(text: str, field: str) -> Iterable[Violation]:
    if len(text) > MAX_NAME_LENGTH or not _PLAIN.fullmatch(text):
        yield violation(
            field,
            f'must have 1 to {MAX_NAME_LENGTH} letters, digits, "-", ".", "_", ":", "/" or "@", and'
            " begin and end with a letter or digit",
        )


def _check_interface(text: str, field: str) -> Iterable[Violation]:
    fault = interface_name_fault(text)
    if fault is not None:
        yield violation(field, fault)
