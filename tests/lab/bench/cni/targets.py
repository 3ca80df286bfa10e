"""The targets of `lab bench cni`: ratios within one run, since machines differ. Pure."""

from collections.abc import Iterator
from typing import Final

from tests.lab.bench.cni.cases import Kind
from tests.lab.bench.cni.results import CniRun, Side, Times
from tests.lab.bench.results import Verdict
from tests.lab.bench.targets import at_most

_ROUND_TRIP_TO_START: Final = 5.0
# More interfaces than eth0: what danm may take of what the reference plugins take.
_TO_REFERENCE: Final = {0: 1.5, 4: 0.8, 16: 0.4}
_SIXTEEN_IPVLAN: Final = 3.0
_SIXTEEN_SLOW: Final = 1.3
_REST_MB: Final = 110.0
_STORM_MB: Final = 150.0


def verdicts(run: CniRun) -> list[Verdict]:
    """Judge a run; what was not measured is not judged."""
    return [
        *_round_trip(run),
        *_to_reference(run),
        *_sixteen_to_one(run, Kind.IPVLAN, _SIXTEEN_IPVLAN, "16 IPVLAN interfaces"),
        *_sixteen_to_one(run, Kind.SLOW, _SIXTEEN_SLOW, "16 delegates of 200 ms"),
        *_storm(run),
        *_memory(run),
        Verdict(
            target="addresses held when all Pods are deleted",
            measured=str(run.left),
            limit="none",
            met=run.left == 0,
        ),
    ]


def _round_trip(run: CniRun) -> Iterator[Verdict]:
    ours, theirs = run.start("danm", "CHECK"), run.start("macvlan", "VERSION")
    if ours is not None and theirs is not None:
        yield at_most(
            "danm to danmd and back (CHECK of nothing), to the start of macvlan",
            ours.times.p50 / theirs.times.p50,
            _ROUND_TRIP_TO_START,
        )


def _verbs(side: Side) -> Iterator[tuple[str, Times]]:
    yield "ADD", side.add
    yield "DEL", side.delete


def _to_reference(run: CniRun) -> Iterator[Verdict]:
    for more, limit in _TO_REFERENCE.items():
        row = run.row(Kind.BRIDGE, 1 + more)
        if row is None or row.reference is None:
            continue
        what = f"eth0 and {more} more" if more else "eth0 alone"
        both = zip(_verbs(row.danm), _verbs(row.reference), strict=True)
        for (verb, ours), (_, theirs) in both:
            yield at_most(f"{what}: {verb}, to bridge and macvlan", ours.p50 / theirs.p50, limit)


def _sixteen_to_one(run: CniRun, kind: Kind, limit: float, what: str) -> Iterator[Verdict]:
    one, sixteen = run.row(kind, 1), run.row(kind, 16)
    if one is None or sixteen is None:
        return
    for (verb, many), (_, single) in zip(_verbs(sixteen.danm), _verbs(one.danm), strict=True):
        yield at_most(f"{what}: {verb}, to one", many.p50 / single.p50, limit)


def _storm(run: CniRun) -> Iterator[Verdict]:
    for storm in run.storms:
        if storm.who != "danm":
            continue
        what = f"{storm.pods} Pods with {storm.interfaces} interfaces at once"
        for verb, phase in (("ADD", storm.add), ("DEL", storm.delete)):
            yield Verdict(
                target=f"{what}: {verb}s that failed",
                measured=str(phase.failed),
                limit="none",
                met=phase.failed == 0,
            )
        yield at_most(f"{what}: danmd's memory", run.memory.storm, _STORM_MB, unit="MB")


def _memory(run: CniRun) -> Iterator[Verdict]:
    for when, found in (
        ("before the first Pod", run.memory.rest),
        ("after all Pods are deleted", run.memory.after),
    ):
        yield at_most(f"danmd's memory at rest, {when}", found, _REST_MB, unit="MB")
