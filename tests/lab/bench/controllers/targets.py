"""The targets of `lab bench controllers`. Pure."""

from collections.abc import Iterator
from typing import Final

from tests.lab.bench.controllers.results import LinkFindings
from tests.lab.bench.results import Verdict
from tests.lab.bench.targets import at_most

_SINGLE_S: Final = 1.0
_ALL_S: Final = 3.0
_REST_CPU: Final = 0.5


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
