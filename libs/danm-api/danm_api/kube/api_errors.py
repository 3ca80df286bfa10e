"""From answers of the API server to DANM's error tree. Pure."""

from typing import Final

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    ConflictError,
    DanmError,
    InvalidObjectError,
    KindNotServedError,
    NotFoundError,
)

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_GONE: Final = 410
_UNPROCESSABLE: Final = 422
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERRORS: Final = 500

# A body that is no Status may be a proxy's page: enough of it to recognise whose.
_EXCERPT_LENGTH: Final = 200
# All that the API server says to a path that it does not have.
_NO_SUCH_KIND: Final = b"404 page not found"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a Status object that says what went wrong."""

    message: str = ""
    reason: str = ""
    code: int = 0


def error_of_answer(request: str, status: int, body: bytes) -> DanmError:
    """Return the error of an answer with an HTTP status of 400 and more.

    Args:
        request: What was asked, such as ``replace danmnets ns/internal``.
        status: The HTTP status.
        body: A Status object, or anything when something between answered.
    """
    try:
        detail = decode_foreign(body, Status)
    except msgspec.DecodeError:
        excerpt = " ".join(body[:_EXCERPT_LENGTH].decode(errors="replace").split())
        detail = Status(message=excerpt)
        if status == _NOT_FOUND:
            if body.strip() == _NO_SUCH_KIND:
                return KindNotServedError(f"{request}: {excerpt}")
            # No word of the API server's: the object may well be there.
            return ApiUnavailableError(f"{request}: {excerpt}", status=status)
    return error_of_status(request, status, detail)


def error_of_status(request: str, status: int, detail: Status) -> DanmError:
    """Return the error of an HTTP status, or of the Status object in a watch's ERROR event."""
    said = detail.message or detail.reason or "no reason given"
    reason = f"{request}: {said}"
    if status == _NOT_FOUND:
        return NotFoundError(reason)
    if status == _CONFLICT:
        return ConflictError(reason)
    if status == _UNPROCESSABLE:
        return InvalidObjectError(reason)
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS:
        return ApiUnavailableError(reason, status=status)
    return ApiError(reason, status=status)


def is_too_old(error: DanmError) -> bool:
    """Say whether a watch or a page must start anew with a list."""
    return isinstance(error, ApiError) and error.status == _GONE


def unreachable(request: str, server: str, error: BaseException) -> ApiUnavailableError:
    """Return the error of a request that got no answer."""
    return ApiUnavailableError(
        f"{request}: no answer from the API server at {server}: {error or type(error).__name__}",
        status=0,
    )
