"""DANM's errors as RFC 9457 problem documents of ipam-svc's HTTP API, and back. Pure.

The one table that maps the error tree to HTTP (STYLE: one table at each edge); the client turns a
document back into the same error, so that callers see no difference.
"""

import re
from http import HTTPStatus
from typing import Final

from danm_api import errors
from danm_api.errors import (
    ApiError,
    DanmError,
    DelegateError,
    InvalidObjectError,
    InvalidRequestError,
    IpamUnavailableError,
    OverloadedError,
    SeveralErrors,
    StaleAttemptError,
    Violation,
)
from danm_api.ipam_api import FieldViolation, Problem

CONTENT_TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:danm:error:"
_STEPS: Final = re.compile(r"[.\[\]]")

# The most specific class that is named here decides.
HTTP_STATUS: Final[dict[type[DanmError], HTTPStatus]] = {
    DanmError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidObjectError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidRequestError: HTTPStatus.BAD_REQUEST,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.PoolExhaustedError: HTTPStatus.CONFLICT,
    errors.AddressTakenError: HTTPStatus.CONFLICT,
    errors.StaleAttemptError: HTTPStatus.CONFLICT,
    errors.AccessDeniedError: HTTPStatus.FORBIDDEN,
    errors.UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    errors.NetworkNotReadyError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.IpamUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ConflictError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.OverloadedError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.DeadlineExceededError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ApiError: HTTPStatus.BAD_GATEWAY,
    errors.ApiUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    # ipam-svc makes no interfaces; should one of these arrive, it is a bug of the service.
    errors.KubeletUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LinkSetupError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.DelegateError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.SeveralErrors: HTTPStatus.CONFLICT,
}


def status_of(error: DanmError) -> HTTPStatus:
    """Return the HTTP status of an error."""
    if isinstance(error, SeveralErrors) and error.transient:
        return HTTPStatus.SERVICE_UNAVAILABLE
    return next(HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in HTTP_STATUS)


def problem_of(
    error: DanmError, *, status: HTTPStatus | None = None, nothing_taken: bool = False
) -> Problem:
    """Return the document that tells a caller of an error, with its own status by default."""
    status = status or status_of(error)
    violations = error.violations if isinstance(error, InvalidObjectError) else ()
    return Problem(
        type=type_of(type(error)),
        title=status.phrase,
        status=status,
        detail=error.reason,
        transient=error.transient,
        violations=[
            FieldViolation(
                field=each.field,
                rule=each.rule,
                message=each.message,
                pointer=pointer_of(each) if isinstance(error, InvalidRequestError) else "",
                place=each.place,
            )
            for each in violations
        ],
        current_attempt=error.current_attempt if isinstance(error, StaleAttemptError) else None,
        retry_after_s=error.retry_after_s if isinstance(error, OverloadedError) else None,
        nothing_taken=nothing_taken,
    )


def type_of(kind: type[DanmError]) -> str:
    """Return the URI that stands for a class of errors."""
    return f"{_TYPE_PREFIX}{kind.__name__}"


def pointer_of(violation: Violation) -> str:
    """Return where in a request's body a field is, as a JSON pointer in a URI fragment.

    Source: RFC 9457, section 3 (the example's ``errors``), and RFC 6901, section 6. No name of our
    messages holds a character that would have to be escaped.
    """
    if violation.place:
        return ""
    steps = [step for step in _STEPS.split(violation.field) if step]
    return "".join(("#", *(f"/{step}" for step in steps)))


def error_of(problem: Problem) -> DanmError:
    """Return the error that a document tells of.

    One of a later release, whose class this one does not know, becomes an ApiError with its status.
    """
    error = _error_of(problem)
    error.nothing_taken = problem.nothing_taken
    return error


def _error_of(problem: Problem) -> DanmError:
    kind = _known().get(problem.type.removeprefix(_TYPE_PREFIX))
    if kind is None:
        return ApiError(problem.detail, status=problem.status, transient=problem.transient)
    if issubclass(kind, SeveralErrors):
        single = DanmError(problem.detail, transient=problem.transient)
        return SeveralErrors([single])
    if issubclass(kind, StaleAttemptError):
        return kind(problem.detail, current_attempt=problem.current_attempt or 0)
    if issubclass(kind, InvalidObjectError):
        violations = [
            Violation(field=each.field, rule=each.rule, message=each.message, place=each.place)
            for each in problem.violations
        ]
        return kind(problem.detail, violations=violations)
    if issubclass(kind, OverloadedError) and problem.retry_after_s is not None:
        return kind(
            problem.detail, transient=problem.transient, retry_after_s=problem.retry_after_s
        )
    if issubclass(kind, ApiError):
        return kind(problem.detail, status=problem.status, transient=problem.transient)
    if issubclass(kind, DelegateError):
        return IpamUnavailableError(problem.detail)
    return kind(problem.detail, transient=problem.transient)


def _known() -> dict[str, type[DanmError]]:
    """Return the classes of the tree by name."""
    found: dict[str, type[DanmError]] = {}
    pending: list[type[DanmError]] = [DanmError]
    while pending:
        kind = pending.pop()
        found[kind.__name__] = kind
        pending += kind.__subclasses__()
    return found
