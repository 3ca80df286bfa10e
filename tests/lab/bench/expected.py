"""The targets that a run has to judge, by name. Pure.

A target whose figures are missing is not judged: without these lists nobody would miss it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from tests.lab.bench.results import Verdict

_IPAM: Final = (
    "one caller: median, to a raw PUT's",
    "32 callers: rate, to 32 that GET, PUT and retry",
    "32 callers: rate, to one caller's raw PUTs",
    "32 callers: p99, to that of 32 that GET, PUT and retry",
    "512 callers: p99",
    "512 callers: a replica's memory",
    "32 callers, batches of 4: addresses per second, to one caller's raw PUTs",
    "32 callers on one network: two replicas' rate, to one's",
    "1 caller, 60,000 used: cost, to none",
    "1 caller, 60,000 used: bytes per reservation, to none",
    "1 caller, 60,000 used: a replica's memory",
    "32 callers, 60,000 used: cost, to none",
    "32 callers, 60,000 used: bytes per reservation, to none",
    "32 callers, 60,000 used: a replica's memory",
    "reservations that failed",
)
_IPAM_UNHURRIED: Final = (
    "512 callers, batches of 4: p99",
    "512 callers, batches of 4: a replica's memory",
    "512 callers, 2 replicas: p99",
    "512 callers, 2 replicas: a replica's memory",
)
_CNI: Final = (
    "danm to danmd and back (CHECK of nothing), to the start of macvlan",
    "eth0 alone: ADD, to bridge and macvlan",
    "eth0 alone: DEL, to bridge and macvlan",
    "eth0 and 4 more: ADD, to bridge and macvlan",
    "eth0 and 4 more: DEL, to bridge and macvlan",
    "eth0 and 16 more: ADD, to bridge and macvlan",
    "eth0 and 16 more: DEL, to bridge and macvlan",
    "16 IPVLAN interfaces: ADD, to one",
    "16 IPVLAN interfaces: DEL, to one",
    "16 delegates of 200 ms: ADD, to one",
    "16 delegates of 200 ms: DEL, to one",
    "50 Pods with 4 interfaces at once: ADDs that failed",
    "50 Pods with 4 interfaces at once: DELs that failed",
    "50 Pods with 4 interfaces at once: danmd's memory",
    "danmd's memory at rest, before the first Pod",
    "danmd's memory at rest, after all Pods are deleted",
    "addresses held when all Pods are deleted",
)
_DAMAGES: Final = ("deleted", "set down", "renamed", "of another MTU")
_ALONE: Final = (
    "one at a time, small Services",
    "one at a time, the large Service",
    "15 a second, a third of the large Service",
)


def ipam_targets(*, quick: bool) -> tuple[str, ...]:
    """Return those of `lab bench ipam`."""
    return _IPAM if quick else (*_IPAM, *_IPAM_UNHURRIED)


def cni_targets() -> tuple[str, ...]:
    """Return those of `lab bench cni`, quick or not."""
    return _CNI


def controllers_targets(*, quick: bool) -> tuple[str, ...]:
    """Return those of `lab bench controllers`."""
    rest_s, at_once, small = (20, 100, "200") if quick else (300, 500, "1,000")
    loads = (*_ALONE, f"{at_once} at once")
    return (
        *(f"one of 200 links {damage}, p99" for damage in _DAMAGES),
        *(f"all 200 links {damage}" for damage in _DAMAGES),
        f"netwatcher's CPU over {rest_s} s at rest",
        *(f"{load}: p99" for load in loads),
        "start to all slices, to Kubernetes'",
        *(f"{load}: p99, to Kubernetes'" for load in loads),
        *(f"{load}: writes of slices, to Kubernetes'" for load in loads),
        "memory at rest, to Kubernetes'",
        "memory at most, to Kubernetes'",
        *(f"{load}: CPU per change, to that in a cluster of {small} Pods" for load in _ALONE),
    )


def absent(expected: Sequence[str], verdicts: Iterable[Verdict]) -> list[str]:
    """Return the targets that were not judged."""
    judged = {each.target for each in verdicts}
    return [target for target in expected if target not in judged]
