"""How requests end: in a metric and, where it is not as asked, in the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from prometheus_client import Counter

from danm_api.errors import DanmError, OverloadedError
from danm_api.telemetry import get_logger

_log = get_logger(__name__)


@contextmanager
def counted(counter: Counter, refused: str) -> Iterator[None]:
    """Count how a piece of work ends, by the error's class, and tell of what is refused.

    But not when too much is asked: that would be too much to log, and is counted.
    """
    try:
        yield
    except DanmError as error:
        counter.labels(type(error).__name__).inc()
        if not isinstance(error, OverloadedError):
            _log.info(refused, reason=type(error).__name__, error=error)
        raise
    _done(counter).inc()


# Looking a series up takes longer than counting in it.
@cache
def _done(counter: Counter) -> Counter:
    return counter.labels("done")
