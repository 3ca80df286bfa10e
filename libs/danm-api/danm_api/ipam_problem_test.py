"""The error tree over HTTP."""

import pytest

from danm_api.errors import (
    ApiError,
    DanmError,
    DelegateError,
    InvalidNetworkError,
    InvalidObjectError,
    InvalidRequestError,
    IpamUnavailableError,
    PoolExhaustedError,
    RateLimitedError,
    SeveralErrors,
    StaleAttemptError,
    Violation,
)
from danm_api.ipam_api import Problem
from danm_api.ipam_problem import HTTP_STATUS, error_of, pointer_of, problem_of, status_of


def _all_kinds() -> list[type[DanmError]]:
    found: list[type[DanmError]] = []
    pending: list[type[DanmError]] = [DanmError]
    while pending:
        kind = pending.pop()
        # Tests of other modules may add classes of their own.
        if kind.__module__ == "danm_api.errors":
            found.append(kind)
            pending += kind.__subclasses__()
    return found


def _example(kind: type[DanmError]) -> DanmError:
    if issubclass(kind, SeveralErrors):
        return SeveralErrors([PoolExhaustedError("full")])
    if issubclass(kind, StaleAttemptError):
        return kind("why", current_attempt=7)
    if issubclass(kind, ApiError):
        return kind("why", status=418)
    if issubclass(kind, DelegateError):
        return kind("why", code=11)
    if issubclass(kind, InvalidObjectError):
        return kind("why", violations=[Violation(field="f", rule="B1", message="m")])
    return kind("why")


@pytest.mark.parametrize("kind", _all_kinds(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_comes_back(kind: type[DanmError]) -> None:
    """Each class of the tree maps to HTTP, and its document gives the same class again."""
    error = _example(kind)
    problem = problem_of(error)
    assert status_of(error) == problem.status
    back = error_of(problem)
    expected = IpamUnavailableError if isinstance(error, DelegateError) else type(error)
    assert type(back) is expected
    assert error.reason == back.reason
    if not isinstance(error, DelegateError):
        assert error.transient == back.transient


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("InvalidNetworkError", 422, id="InvalidNetworkError"),
        pytest.param("IpamUnavailableError", 503, id="IpamUnavailableError"),
        pytest.param("ConflictError", 503, id="ConflictError"),
        pytest.param("RateLimitedError", 429, id="RateLimitedError"),
        pytest.param("PoolExhaustedError", 409, id="PoolExhaustedError"),
        pytest.param("AddressTakenError", 409, id="AddressTakenError"),
        pytest.param("NetworkNotFoundError", 404, id="NetworkNotFoundError"),
    ],
)
def test_statuses_of_the_contract(name: str, status: int) -> None:
    """The statuses that STYLE names for the most important errors hold."""
    (kind,) = (kind for kind in _all_kinds() if kind.__name__ == name)
    assert status == status_of(_example(kind))


def test_details_survive() -> None:
    """Violations, the current attempt and when to come back are kept."""
    stale = error_of(problem_of(StaleAttemptError("old", current_attempt=9)))
    assert isinstance(stale, StaleAttemptError)
    assert stale.current_attempt == 9
    limited = error_of(problem_of(RateLimitedError("too much", retry_after_s=0.25)))
    assert isinstance(limited, RateLimitedError)
    assert limited.retry_after_s == 0.25
    violation = Violation(field="owner.name", rule="I2", message="is empty")
    invalid = error_of(problem_of(InvalidRequestError("bad", violations=[violation])))
    assert isinstance(invalid, InvalidRequestError)
    assert (violation,) == invalid.violations


def test_error_of_a_later_release_is_kept_as_it_is() -> None:
    """A class that this release does not know becomes an ApiError with its status and reason."""
    problem = Problem(type="urn:danm:error:New", title="x", status=409, detail="why")
    error = error_of(problem)
    assert isinstance(error, ApiError)
    assert (error.status, error.reason) == (409, "why")
    assert all(isinstance(status.value, int) for status in HTTP_STATUS.values())


@pytest.mark.parametrize(
    ("field", "place", "pointer"),
    [
        ("attachments[0].ip", "", "#/attachments/0/ip"),
        ("attempt", "", "#/attempt"),
        ("", "", "#"),
        ("limit", "query", ""),
    ],
)
def test_field_at_fault_is_a_json_pointer(field: str, place: str, pointer: str) -> None:
    """A field of the body is pointed at, and a parameter is named with its place."""
    # SPEC I2
    violation = Violation(field=field, rule="I2", message="m", place=place)
    assert pointer_of(violation) == pointer
    error = InvalidRequestError("bad", violations=[violation])
    (shown,) = problem_of(error).violations
    assert (shown.field, shown.pointer, shown.place) == (field, pointer, place)
    # The fields of a DanmNet are no part of the request.
    (other,) = problem_of(InvalidNetworkError("bad", violations=[violation])).violations
    assert other.pointer == ""
