"""Answers of the API server in DANM's words."""

import pytest

from danm_api.errors import (
    ApiError,
    ApiUnavailableError,
    ConflictError,
    DanmError,
    InvalidObjectError,
    KindNotServedError,
    NotFoundError,
)
from danm_api.kube.api_errors import error_of_answer, is_too_old


@pytest.mark.parametrize(
    ("status", "expected", "transient"),
    [
        pytest.param(400, ApiError, False, id="bad request"),
        pytest.param(401, ApiError, False, id="unauthenticated"),
        pytest.param(403, ApiError, False, id="forbidden"),
        pytest.param(404, NotFoundError, False, id="absent"),
        pytest.param(409, ConflictError, True, id="conflict"),
        pytest.param(410, ApiError, False, id="gone"),
        pytest.param(422, InvalidObjectError, False, id="invalid"),
        pytest.param(429, ApiUnavailableError, True, id="too many requests"),
        pytest.param(500, ApiUnavailableError, True, id="server error"),
        pytest.param(504, ApiUnavailableError, True, id="gateway"),
    ],
)
def test_statuses_map_to_the_tree(status: int, expected: type[DanmError], transient: bool) -> None:
    """Each HTTP status becomes its error, with the server's sentence in the reason."""
    error = error_of_answer("get pods ns/a", status, b'{"kind":"Status","message":"it says why"}')
    assert type(error) is expected
    assert error.transient is transient
    assert error.reason == "get pods ns/a: it says why"
    assert is_too_old(error) is (status == 410)


def test_a_proxys_page_is_quoted() -> None:
    """A body that is no Status is quoted in part, so that one sees who answered."""
    error = error_of_answer("get pods a", 502, b"<html>\n  <h1>Bad gateway</h1>" + b"x" * 1000)
    assert error.reason.startswith("get pods a: <html> <h1>Bad gateway</h1>")
    assert len(error.reason) < 300


@pytest.mark.parametrize(
    "body", [b'{"message": "\xff"}', b'{"a": ' + b"[" * 5000], ids=["bytes", "depth"]
)
def test_any_answer_is_an_error_of_danms(body: bytes) -> None:
    """Whoever answered, the request is tried again, or told of, as any other."""  # DESIGN P7
    assert type(error_of_answer("get pods a", 503, body)) is ApiUnavailableError


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"<html><h1>404 Not Found</h1></html>", ApiUnavailableError, id="a proxy"),
        pytest.param(b"", ApiUnavailableError, id="nothing"),
        pytest.param(b"404 page not found\n", KindNotServedError, id="a kind that is not served"),
        pytest.param(b'{"kind":"Status","reason":"NotFound"}', NotFoundError, id="an object"),
    ],
)
def test_what_is_absent_says_the_api_server(body: bytes, expected: type[DanmError]) -> None:
    """While a proxy answers for an API server that is away, nothing is taken for gone."""
    # DESIGN, P3
    assert type(error_of_answer("get pods ns/a", 404, body)) is expected
