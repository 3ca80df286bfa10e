"""The targets of `lab bench controllers`. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from tests.lab.bench.controllers.results import (
    KUBERNETES,
    SVCWATCHER,
    ControllerFindings,
    LinkFindings,
    LoadFindings,
)
from tests.lab.bench.results import Verdict
from tests.lab.bench.targets import at_most

_SINGLE_S: Final = 1.0
_ALL_S: Final = 3.0
_REST_CPU: Final = 0.5

_SEEN_S: Final = 1.0
# Where many change at once, the API server and etcd alone are busy for most of this on two cores.
_SEEN_AT_ONCE_S: Final = 2.0
# With room for chance: of a hundred changes, the 99th percentile is the second slowest.
_NO_SLOWER: Final = 1.15
_WRITES_TO_KUBERNETES: Final = 1.05
_MEMORY_TO_KUBERNETES: Final = 2.5
# What ten times as many of everything may add to the cost of one change.
_GROWTH: Final = 1.5


def link_verdicts(links: LinkFindings) -> Iterator[Verdict]:
    """Judge the node role; what was not measured is not judged."""
    count = links.vlans + links.vxlans
    for repair in links.repairs:
        p99_s = repair.single.p99 / 1000
        yield at_most(f"one of {count} links {repair.damage}, p99", p99_s, _SINGLE_S, unit="s")
        yield at_most(f"all {count} links {repair.damage}", repair.all_s, _ALL_S, unit="s")
    if links.rest_s:
        target = f"netwatcher's CPU over {links.rest_s:.0f} s at rest"
        yield at_most(target, links.rest_cpu, _REST_CPU, unit="%")


def endpoint_verdicts(found: Sequence[ControllerFindings]) -> Iterator[Verdict]:
    """Judge svcwatcher: in the large cluster, and by what the small one costs."""
    ours = [each for each in found if each.controller == SVCWATCHER]
    theirs = [each for each in found if each.controller == KUBERNETES]
    if not ours:
        return
    small, full = ours[0], ours[-1]
    for load in full.loads:
        limit_s = _SEEN_AT_ONCE_S if load.at_once else _SEEN_S
        yield at_most(f"{load.name}: p99", load.seen.p99 / 1000, limit_s, unit="s")
    if theirs:
        yield from _beside(full, theirs[-1])
    if small.size != full.size:
        yield from _growth(small, full)


def _beside(ours: ControllerFindings, theirs: ControllerFindings) -> Iterator[Verdict]:
    """Compare with Kubernetes' own controller."""
    yield at_most(
        "start to all slices, to Kubernetes'", ours.started_s / theirs.started_s, _NO_SLOWER
    )
    for load, other in _pairs(ours, theirs):
        yield at_most(
            f"{load.name}: p99, to Kubernetes'", load.seen.p99 / other.seen.p99, _NO_SLOWER
        )
        yield at_most(
            f"{load.name}: writes of slices, to Kubernetes'",
            load.slice_writes / other.slice_writes,
            _WRITES_TO_KUBERNETES,
        )
    yield at_most(
        "memory at rest, to Kubernetes'", ours.rss_mb / theirs.rss_mb, _MEMORY_TO_KUBERNETES
    )
    yield at_most(
        "memory at most, to Kubernetes'", ours.peak_mb / theirs.peak_mb, _MEMORY_TO_KUBERNETES
    )


def _growth(small: ControllerFindings, full: ControllerFindings) -> Iterator[Verdict]:
    """Compare what a change costs at both sizes, where changes do not share what they cost."""
    for load, before in _pairs(full, small):
        if not load.at_once:
            yield at_most(
                f"{load.name}: CPU per change, to that in a cluster of {small.size.pods:,} Pods",
                load.cpu_ms / before.cpu_ms,
                _GROWTH,
            )


def _pairs(
    one: ControllerFindings, other: ControllerFindings
) -> Iterator[tuple[LoadFindings, LoadFindings]]:
    for load in one.loads:
        found = other.load(load.name)
        if found is not None:
            yield load, found
