"""What of a request to the API server is measured and traced."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from prometheus_client import Histogram

from danm_api.errors import ConflictError, DanmError
from danm_api.kube import metrics
from danm_api.kube.api import Resource
from danm_api.telemetry import SpanKind, span


@contextmanager
def observed(method: str, resource: Resource, path: str) -> Iterator[None]:
    """Measure and trace a request; one that is cancelled got no answer either.

    Args:
        method: HTTP's.
        resource: What it is about.
        path: Which object: for the trace alone, since there may be any number.
    """
    began_s = time.perf_counter()
    result = "unavailable"
    try:
        with span(f"{method} {resource.plural}", kind=SpanKind.CLIENT, path=path):
            yield
        result = "ok"
    except ConflictError:
        result = "conflict"
        raise
    except DanmError as error:
        if not error.transient:
            result = "refused"
        raise
    finally:
        took_s = time.perf_counter() - began_s
        _series(method, resource.plural, result).observe(took_s)


# Looking a series up takes longer than counting in it.
@cache
def _series(method: str, plural: str, result: str) -> Histogram:
    return metrics.REQUEST_SECONDS.labels(method, plural, result)
