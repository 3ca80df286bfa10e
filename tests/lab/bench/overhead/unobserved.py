"""Runs a module whose metrics count nothing, and which makes no spans.

python -m tests.lab.bench.overhead.unobserved -m MODULE [ARGUMENT...]
"""

import os
import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import prometheus_client
from prometheus_client import metrics

_Metric = TypeVar("_Metric")


def _nothing(*_args: object, **_options: object) -> None:
    """Take the place of what counts."""


@contextmanager
def _no_time(*_args: object) -> Iterator[None]:
    """Take the place of a block that is timed."""
    yield


def _itself(metric: _Metric, *_args: object, **_options: object) -> _Metric:
    """Take the place of the choice of a series."""
    return metric


def count_nothing() -> None:
    """Have the metrics of this process count nothing, those that others hold included."""
    for kind, names in (
        (prometheus_client.Counter, ("inc", "count_exceptions")),
        (prometheus_client.Gauge, ("inc", "dec", "set", "set_function", "set_to_current_time")),
        (prometheus_client.Histogram, ("observe",)),
        (prometheus_client.Summary, ("observe",)),
    ):
        for name in names:
            setattr(kind, name, _nothing)
    for kind in (prometheus_client.Gauge, prometheus_client.Histogram, prometheus_client.Summary):
        kind.time = _no_time  # type: ignore[method-assign,assignment]
    metrics.MetricWrapperBase.labels = _itself  # type: ignore[method-assign,assignment]


def main() -> None:
    """Run the module that the arguments name as if it had been called itself."""
    flag, module, *arguments = sys.argv[1:]
    if flag != "-m":
        sys.exit(f"Expected -m MODULE, got {flag}.")
    os.environ["OTEL_SDK_DISABLED"] = "true"
    count_nothing()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
