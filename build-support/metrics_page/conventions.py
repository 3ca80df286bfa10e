"""Prometheus' conventions for names and labels, and ours for what a label may hold. Pure.

Source: https://prometheus.io/docs/practices/naming/ and .../instrumentation/.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Protocol


class Named(Protocol):
    """What is judged of a metric."""

    @property
    def name(self) -> str:
        """With ``_total``."""
        ...

    @property
    def type(self) -> str:
        """Counter, gauge or histogram."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Their names."""
        ...

    @property
    def text(self) -> str:
        """What it means."""
        ...


# What bounds the values of each label. A label that is not here is refused: who adds one says why
# the number of its values does not grow with what users do.
LABELS: Final[Mapping[str, str]] = {
    "action": "kinds of changes in netwatcher's code",
    "cause": "`error`, `rate`",
    "certificate": "`serving`, `authority`",
    "code": "the CNI specification's codes and DANM's own; a delegate's are all `other`",
    "damage": "kinds of damage in netwatcher's code",
    "link": "host links of the DanmNets that there are",
    "family": "`ipv4`, `ipv6`",
    "lease": "one for each part that elects",
    "method": "HTTP's methods; what somebody invents is `other`",
    "namespace": "with `network`: DanmNets, of which administrators make few; the Lease holder's",
    "network": "see `namespace`",
    "outcome": "`ok`, `retry`, `bug`",
    "part": "parts of DANM; each process has its own",
    "path": "the API's routes, not what they are called with; anything else is `unknown`",
    "program": "`danm`, `fakeipam`",
    "queue": "queues in the code",
    "reason": "what the metric names, or classes of DANM's error tree",
    "resource": "kinds of objects that the part reads or writes; svcwatcher's second watch of one "
    "is `endpointslices of Kubernetes`",
    "result": "what the metric names, or classes of DANM's error tree",
    "state": "what the metric names",
    "status": "`429`, `503`",
    "step": "steps in danmd's code",
    "type": "`ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`",
    "verb": "CNI's verbs, each also with `fakeipam` before it, `upkeep` and `other`; of svcwatcher "
    "`create`, `replace`, `delete`",
    "version": "one for each process",
    "verdict": "`Accepted`, `Refused`",
}

_PREFIXES: Final = ("danm_", "danmd_")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", re.ASCII)
# Instead of seconds, bytes and ratios.
_NOT_BASE: Final = frozenset(
    "ns us ms nanoseconds microseconds milliseconds minutes hours days kb mb gb kib mib kilobytes "
    "megabytes percent".split()
)
_BASE: Final = ("seconds", "bytes", "ratio")
_TYPES: Final = frozenset("counter gauge histogram summary".split())


def violations(metric: Named) -> Iterator[str]:
    """Yield what of a metric is against the conventions, as sentences."""
    for told in (*_of_name(metric), *_of_units(metric), *_of_labels(metric)):
        yield f"{metric.name}: {told}"
    if not metric.text:
        yield f"{metric.name}: it has no help"


def _of_name(metric: Named) -> Iterator[str]:
    words = metric.name.split("_")
    if not _NAME.fullmatch(metric.name):
        yield "a name is words in lower case with single underscores"
    if not metric.name.startswith(_PREFIXES):
        yield f"a name begins with {' or '.join(_PREFIXES)}"
    if (metric.type == "counter") != metric.name.endswith("_total"):
        yield "counters end with _total, and nothing else does"
    if metric.name.endswith(("_count", "_sum", "_bucket", "_created")):
        yield "this end is Prometheus' own"
    if metric.name.endswith("_info") and metric.type != "gauge":
        yield "an _info is a gauge that is 1"
    for word in _TYPES.intersection(words):
        yield f"a name does not say its type ({word})"
    if "by" in words:
        yield "a name does not say its labels"


def _of_units(metric: Named) -> Iterator[str]:
    words = metric.name.removesuffix("_total").split("_")
    for word in _NOT_BASE.intersection(words):
        yield f"{word} is no base unit; use seconds, bytes or a ratio"
    for unit in _BASE:
        if unit in words and words[-1] != unit:
            yield f"the unit {unit} comes last"


def _of_labels(metric: Named) -> Iterator[str]:
    for label in metric.labels:
        if not _NAME.fullmatch(label):
            yield f"label {label} is no word in lower case"
        elif label not in LABELS:
            yield f"label {label} is not in LABELS, which say what bounds its values"
