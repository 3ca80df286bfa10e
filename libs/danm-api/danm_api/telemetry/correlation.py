"""One id in the log lines of all parts that work on one request.

It is the container id of a sandbox, which the runtime logs as well: danmd has it from the
executable, and sends it on to ipam-svc. Unlike a trace's id it is there whether or not anybody
collects traces.
"""

import re
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

REQUEST_ID_HEADER: Final = "X-Request-ID"

# Container ids have 64 characters. What somebody else sends goes into log lines: nothing else than
# this, and no more of it.
_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
# Of a write that many requests share; a line is to stay readable.
_MAX_SHOWN: Final = 16

_request_ids: ContextVar[tuple[str, ...]] = ContextVar("request_ids", default=())


@contextmanager
def correlated(request_ids: Sequence[str]) -> Iterator[None]:
    """Have all log lines of the block, and of tasks that it starts, carry these ids.

    What cannot be an id is left out.
    """
    known = tuple(each for each in request_ids if _ID.fullmatch(each))
    token = _request_ids.set(known)
    try:
        yield
    finally:
        _request_ids.reset(token)


def current_request_ids() -> tuple[str, ...]:
    """Return the ids of the requests that are being worked on; as a rule one, or none."""
    return _request_ids.get()


def shown_request_ids() -> dict[str, object]:
    """Return the keys of a log line."""
    match _request_ids.get():
        case ():
            return {}
        case (only,):
            return {"request_id": only}
        case several:
            return {"request_ids": list(several[:_MAX_SHOWN])}


def inject_request_id(headers: MutableMapping[str, str]) -> None:
    """Add the id to the headers of a request, where there is exactly one."""
    ids = _request_ids.get()
    if len(ids) == 1:
        headers[REQUEST_ID_HEADER] = ids[0]
