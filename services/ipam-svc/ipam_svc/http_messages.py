"""What comes in and goes out, in HTTP's form: parameters, bodies, answers, problem documents."""

import math
import re
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from danm_api.codec.json_text import decode_foreign
from danm_api.errors import (
    DanmError,
    InvalidRequestError,
    OverloadedError,
    UnauthenticatedError,
)
from danm_api.ipam_api import ReservationQuery
from danm_api.ipam_problem import CONTENT_TYPE, problem_of
from danm_api.names import Namespace, NetworkName
from ipam_svc import metrics
from ipam_svc.operations import OPENAPI_PATH
from ipam_svc.request_rules import refusal, require_object_name, violation

T = TypeVar("T")

_COME_BACK: Final = (429, 503)
# Of what is refused for another reason than a queue that is full.
_RETRY_AFTER_S: Final = 1.0
# The decoder names a field that is missing, or not known, in its sentence only.
_NAMED: Final = re.compile("(required|unknown) field `([^`]*)`")


def network_of(request: web.Request) -> tuple[Namespace, NetworkName]:
    """Return the namespace and DanmNet of a path.

    Raises:
        InvalidRequestError: One of them is no name of an object.
    """
    namespace, network = request.match_info["namespace"], request.match_info["network"]
    require_object_name(namespace, field="namespace")
    require_object_name(network, field="network")
    return Namespace(namespace), NetworkName(network)


def decoded(content: bytes | bytearray, kind: type[T]) -> T:
    """Return what a body says.

    Raises:
        InvalidRequestError: It is not JSON, or breaks a rule of that message.
    """
    try:
        return decode_foreign(content, kind)
    except msgspec.ValidationError as error:
        message, field = _fault_of(error)
        raise refusal([violation(field, message)]) from error
    except msgspec.DecodeError as error:
        raise InvalidRequestError(f"the body is not JSON: {error}") from error


def query_of(request: web.Request) -> ReservationQuery:
    """Read the parameters of a list; one that is not known is refused, since it would hide much.

    Raises:
        InvalidRequestError: One is not known, twice there, or breaks a rule.
    """
    twice = sorted({name for name in request.query if len(request.query.getall(name)) > 1})
    if twice:
        raise refusal(violation(name, "is given twice", place="query") for name in twice)
    try:
        return msgspec.convert(dict(request.query), type=ReservationQuery, strict=False)
    except msgspec.ValidationError as error:
        message, field = _fault_of(error)
        raise refusal([violation(field, message, place="query")]) from error


def _fault_of(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return what is wrong, and the field's name, out of a decoder's sentence."""
    message, _, where = str(error).partition(" - at `$")
    field = where.rstrip("`").removeprefix(".")
    if (named := _NAMED.search(message)) is not None:
        field = f"{field}.{named[2]}".removeprefix(".")
        message = "is missing" if named[1] == "required" else f"is not known; see {OPENAPI_PATH}"
    return message, field


def json_answer(answer: msgspec.Struct, *, headers: dict[str, str] | None = None) -> web.Response:
    """Return a message as an answer."""
    return web.Response(
        body=msgspec.json.encode(answer), content_type="application/json", headers=headers
    )


def problem_answer(
    error: DanmError, status: int | None = None, *, nothing_taken: bool = False
) -> web.Response:
    """Return what went wrong as a problem document, with the headers that go with it.

    What is refused for want of room is counted.

    Args:
        error: What went wrong.
        status: Of HTTP; None for the error's own.
        nothing_taken: Tells the caller that no address was taken.
    """
    http_status = None if status is None else HTTPStatus(status)
    problem = problem_of(error, status=http_status, nothing_taken=nothing_taken)
    headers = {}
    if isinstance(error, OverloadedError):
        metrics.REFUSED.labels(problem.status).inc()
    if problem.status in _COME_BACK:
        headers["Retry-After"] = str(math.ceil(problem.retry_after_s or _RETRY_AFTER_S))
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(problem),
        content_type=CONTENT_TYPE,
        headers=headers,
    )
