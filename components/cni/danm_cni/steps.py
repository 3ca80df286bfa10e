"""The steps of what the runtime asks for, each measured and traced: where do the seconds go?

A step within a step (what is taken down within an undo) is traced, but counts as part of the outer
one: so what the steps of a request took adds up to the request, less what ran side by side.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from enum import Enum
from functools import cache
from typing import Final

from prometheus_client import Histogram

from danm_api.telemetry import recorded_trace_id, span, wait_span
from danm_cni import metrics
from danm_cni.progress import Progress

_TURN: Final = "turn"


class Step(Enum):
    """A step: its label, and what danmd is doing in it, for the errors of an ADD."""

    TURN = (_TURN, "waiting for its turn")
    POD = ("pod", "reading the Pod")
    POD_TURN = (_TURN, "waiting for another sandbox of the Pod")
    OLDER_SANDBOX = ("older_sandbox", "removing an older sandbox of the Pod")
    PLAN = ("plan", "planning")
    NEW_NETWORK = ("new_network", "waiting for the controllers to get a new DanmNet ready")
    CONFIRM = ("confirm", "reading the DanmNet again")
    DEVICES = ("devices", "asking the kubelet for the Pod's devices")
    JOURNAL = ("journal", "writing the journal")
    RESERVE = ("reserve", "waiting for addresses from ipam-svc")
    ENDPOINTS = ("endpoints", "writing DanmEps")
    INTERFACES = ("interfaces", "making the interfaces")
    PLUGIN_TURN = (_TURN, "waiting for its turn among the plugins that run on this node")
    DELEGATE = ("delegate", "making the interfaces")
    FALLBACK = ("fallback", "waiting for the fallback network's plugin")
    UNDO = ("undo", "undoing what was done")
    STRAYS = ("strays", "ending plugins that an earlier danmd has left")
    REMOVE = ("interfaces", "removing the interfaces")
    RELEASE = ("release", "giving addresses back")

    def __init__(self, label: str, doing: str) -> None:
        """Keep both."""
        self.label = label
        self.doing = doing


# What nobody asked for: danmd goes on with what is left to do.
UPKEEP: Final = "upkeep"

_verb: ContextVar[str] = ContextVar("verb", default=UPKEEP)
_in_step: ContextVar[bool] = ContextVar("in_step", default=False)


@contextmanager
def on_behalf_of(verb: str) -> Iterator[None]:
    """Count the steps of the block, and of tasks that it starts, as those of a verb."""
    token = _verb.set(verb)
    try:
        yield
    finally:
        _verb.reset(token)


@contextmanager
def step(which: Step, progress: Progress | None = None) -> Iterator[None]:
    """Measure and trace a step.

    Args:
        which: What it is.
        progress: The ADD's, which is told of it.
    """
    noted = progress.doing(which.doing) if progress is not None else nullcontext()
    with noted, _measured(which):
        yield


@contextmanager
def _measured(which: Step) -> Iterator[None]:
    # A turn comes at once on most nodes: a span of nothing would cost more than it says.
    traced = wait_span if which.label == _TURN else span
    if _in_step.get():
        with traced(which.label):
            yield
        return
    token = _in_step.set(True)
    began_s, result, trace_id = time.perf_counter(), "ok", ""
    try:
        with traced(which.label):
            trace_id = recorded_trace_id()
            yield
    except asyncio.CancelledError:
        # The time for an ADD is over when it is cancelled.
        result = "timeout"
        raise
    except BaseException:
        result = "error"
        raise
    finally:
        _in_step.reset(token)
        took_s = time.perf_counter() - began_s
        exemplar = {"trace_id": trace_id} if trace_id else None
        _series(_verb.get(), which.label, result).observe(took_s, exemplar)


# Looking a series up takes longer than counting in it.
@cache
def _series(verb: str, label: str, result: str) -> Histogram:
    return metrics.STEPS.labels(verb, label, result)
