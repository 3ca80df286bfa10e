"""What is counted while DANM is updated under load, and the table that shows it. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_interface
from itertools import pairwise

from tests.lab.chaos.cni.facts import Endpoint, NodeView


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What had happened up to a moment.

    Attributes:
        at: Seconds of a monotonic clock.
        pods: That had come and gone.
        failed_adds: Sandboxes that kubelet could not create, by its Events.
        failed_pods: Pods that ended otherwise than they should.
        received: Numbered packets that came.
        lost: Packets that did not, though later ones did.
        overruns: Packets that came to a Pod that was too slow to take them.
        looked_up: Answered look-ups of the Service.
        wrong: Those with other addresses than there were.
        unanswered: Those that the name server did not answer.
    """

    at: float
    pods: int
    failed_adds: int
    failed_pods: int
    received: int
    lost: int
    overruns: int
    looked_up: int
    wrong: int
    unanswered: int


_ROWS = {
    "at": "seconds",
    "pods": "Pods that came and went",
    "failed_adds": "failed ADDs",
    "failed_pods": "failed Pods",
    "received": "packets received",
    "lost": "packets lost",
    "overruns": "packets that came and that a Pod was too slow to take",
    "looked_up": "look-ups",
    "wrong": "wrong look-ups",
    "unanswered": "unanswered look-ups",
}


def table(moments: Sequence[Moment], columns: Sequence[str], totals: Mapping[str, object]) -> str:
    """Return a table in Markdown: what happened between each two moments, and in all.

    Args:
        moments: In order, one more than there are columns.
        columns: What was done between them.
        totals: Further rows, which are known for the whole alone.
    """
    lines = [
        f"| | {' | '.join(columns)} | in all |",
        f"| --- |{' ---: |' * (len(columns) + 1)}",
    ]
    for name, title in _ROWS.items():
        values = [getattr(moment, name) for moment in moments]
        steps = [later - earlier for earlier, later in pairwise(values)]
        whole = values[-1] - values[0]
        cells = " | ".join(f"{value:.0f}" for value in (*steps, whole))
        lines.append(f"| {title} | {cells} |")
    lines += [f"| {title} |{' |' * len(columns)} {value} |" for title, value in totals.items()]
    return "\n".join(lines)


def unanswered_share(before: Moment, after: Moment) -> float:
    """Return which part of the look-ups between two moments had no answer: 0 to 1."""
    unanswered = after.unanswered - before.unanswered
    asked = after.looked_up - before.looked_up + unanswered
    return unanswered / asked if asked else 0.0


def told_twice(endpoints: Sequence[Endpoint]) -> set[str]:
    """Return the addresses that two DanmEps have at one moment."""
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for each in endpoints:
        for text in each.addresses:
            owners[each.network, str(ip_interface(text).ip)].add(each.name)
    return {
        f"{address} of {network}: {', '.join(sorted(names))}"
        for (network, address), names in owners.items()
        if len(names) > 1
    }


def held_twice(nodes: Sequence[NodeView], prefixes: Sequence[str]) -> set[str]:
    """Return the addresses that two network namespaces have at one moment.

    Args:
        nodes: What they have.
        prefixes: How the addresses of the networks in question begin.
    """
    holders: dict[str, set[str]] = defaultdict(set)
    for node in nodes:
        for path, netns in node.namespaces.items():
            for link in netns.links:
                for text in link.addresses:
                    if text.startswith(tuple(prefixes)):
                        holders[str(ip_interface(text).ip)].add(f"{node.node} {path}")
    return {
        f"{address}: {', '.join(sorted(places))}"
        for address, places in holders.items()
        if len(places) > 1
    }
