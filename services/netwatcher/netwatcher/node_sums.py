"""On how many nodes each network can be used, added up from the DanmNodes (SPEC N6).

Pure. One DanmNode tells of all networks, and only those are counted anew whose state on that node
is another one than before (DESIGN, P6). Of 5,000 nodes with 200 networks each only names are kept,
and each of them once.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final

from danm_api.model.danm_node import DanmNode
from danm_api.model.danmnet import NodeSum
from danm_api.names import Namespace, NetworkName, NodeName

_SHOWN: Final = 3
# A sum is read by every node, so it must stay small whatever nodes report.
_REASON_LENGTH: Final = 200
# More than healthy nodes have to say. Networks come and go for as long as a replica leads, and a
# reason may be any text of any node's.
_MAX_SHARED: Final = 20_000

NetworkKey = tuple[Namespace, NetworkName]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """What one node reports.

    Attributes:
        up: Networks that can be used there.
        down: The others, with what is missing.
    """

    node: NodeName
    up: tuple[NetworkKey, ...] = ()
    down: tuple[tuple[NetworkKey, str], ...] = ()


class ReportReader:
    """Makes reports of DanmNodes that share what is equal, so that many of them stay small."""

    def __init__(self, *, limit: int = _MAX_SHARED) -> None:
        """Remember up to ``limit`` networks, and as many reasons; then begin anew."""
        self._limit = limit
        self._keys: dict[NetworkKey, NetworkKey] = {}
        self._reasons: dict[str, str] = {}

    def __len__(self) -> int:
        """Return how many networks and reasons are remembered."""
        return len(self._keys) + len(self._reasons)

    def read(self, node: DanmNode) -> NodeReport:
        """Return what a node reports."""
        report = self._read(node)
        for known in (self._keys, self._reasons):
            if len(known) > self._limit:
                known.clear()
        return report

    def _read(self, node: DanmNode) -> NodeReport:
        up: list[NetworkKey] = []
        down: list[tuple[NetworkKey, str]] = []
        for each in node.networks:
            key = (each.namespace, each.network)
            key = self._keys.setdefault(key, key)
            if each.up:
                up.append(key)
            else:
                reason = each.reason[:_REASON_LENGTH]
                down.append((key, self._reasons.setdefault(reason, reason)))
        return NodeReport(node=node.name, up=tuple(up), down=tuple(down))


class NodeSums:
    """The sums of all networks that nodes have reported."""

    def __init__(self) -> None:
        self._nodes = 0
        self._up: Counter[NetworkKey] = Counter()
        self._down: dict[NetworkKey, dict[NodeName, str]] = {}

    @property
    def nodes(self) -> int:
        """Return how many nodes report."""
        return self._nodes

    def take(self, old: NodeReport | None, new: NodeReport | None) -> set[NetworkKey]:
        """Take a node's report in place of its former one; return whose state changed there."""
        self._nodes += (new is not None) - (old is not None)
        had_up, had_down = _parts(old)
        has_up, has_down = _parts(new)
        for key in had_up - has_up:
            self._up[key] -= 1
            if not self._up[key]:
                del self._up[key]
        for key in has_up - had_up:
            self._up[key] += 1
        for key, _ in had_down - has_down:
            self._drop(key, old)
        for key, reason in has_down - had_down:
            if new is not None:
                self._down.setdefault(key, {})[new.node] = reason
        return (had_up ^ has_up) | {key for key, _ in had_down ^ has_down}

    def _drop(self, key: NetworkKey, report: NodeReport | None) -> None:
        nodes = self._down.get(key)
        if nodes is None or report is None:
            return
        nodes.pop(report.node, None)
        if not nodes:
            del self._down[key]

    def sum_of(self, key: NetworkKey) -> NodeSum:
        """Return the sum of a network; a node that has not heard of it yet is not ready."""
        return NodeSum(
            ready=self._up[key], total=self._nodes, why=_in_words(self._down.get(key, {}).items())
        )


def _parts(
    report: NodeReport | None,
) -> tuple[set[NetworkKey], set[tuple[NetworkKey, str]]]:
    return (set(), set()) if report is None else (set(report.up), set(report.down))


def _in_words(down: Iterable[tuple[NodeName, str]]) -> str:
    """Name the first few nodes, always the same while nothing changes."""
    found = list(down)
    shown = "; ".join(f"{node}: {reason}" for node, reason in nsmallest(_SHOWN, found))
    rest = len(found) - _SHOWN
    return f"{shown}; and {rest} more" if rest > 0 else shown
