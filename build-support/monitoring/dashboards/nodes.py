"""Nodes: whether they can serve, and what they have to clean up."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring import metrics as m
from monitoring.panels import (
    WINDOW,
    Query,
    Step,
    choice,
    dashboard,
    graph,
    number,
    rate_or_none,
)
from monitoring.scrape import DANMD_JOB

_WHERE: Final = '{node=~"$node"}'
_READY: Final = f'{m.READY}{{job="{DANMD_JOB}", node=~"$node"}}'
_ANY: Final = (Step(at=1, color="red"),)


def _each(metric: str, *labels: str) -> Query:
    """Show a gauge of each node."""
    by = ", ".join(("node", *labels))
    legend = " ".join(f"{{{{{label}}}}}" for label in ("node", *labels))
    return Query(expr=f"sum by ({by}) ({metric}{_WHERE})", legend=legend)


def _rate(counter: str, *labels: str) -> Query:
    """Show how often something happens on each node."""
    by = ", ".join(("node", *labels))
    legend = " ".join(f"{{{{{label}}}}}" for label in ("node", *labels))
    return Query(expr=f"sum by ({by}) (rate({counter}{_WHERE}[{WINDOW}]))", legend=legend)


def nodes() -> Dashboard:
    """Return the dashboard."""
    return (
        dashboard("nodes", "DANM / Nodes", "Whether each node can give Pods their networks.")
        .with_variable(choice("node", m.SANDBOXES))
        .with_panel(
            number(
                "Nodes with danmd",
                "Those whose danmd can be asked.",
                Query(expr=f'sum({m.UP}{{job="{DANMD_JOB}"}})'),
            )
        )
        .with_panel(
            number(
                "danmd not ready",
                "ADDs wait there, and fail after a while.",
                Query(expr=f"count({_READY}) - sum({_READY})"),
                steps=_ANY,
            )
        )
        .with_panel(
            number(
                "Host links down",
                "Pods on their DanmNets do not start on these nodes.",
                Query(expr=f'sum({m.LINKS}{{state="down"}})'),
                steps=_ANY,
            )
        )
        .with_panel(
            number(
                "Addresses that their node does not know",
                "They are given back within seconds, or a leak is suspected.",
                Query(expr=f"sum({m.UNKNOWN_ADDRESSES})"),
                steps=_ANY,
            )
        )
        .with_panel(
            graph(
                "danmd is ready",
                "1: ADDs are served.",
                Query(expr=f"sum by (node) ({_READY})", legend="{{node}}"),
                maximum=1,
            )
        )
        .with_panel(
            graph("Host links", "Those that are wanted, by state.", _each(m.LINKS, "state"))
        )
        .with_panel(
            graph(
                "Links that were lost",
                "A link that was up was down, gone or changed; it is mended within a second.",
                _rate(m.LINK_LOSSES, "link"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Changes made to links",
                "By kind.",
                _rate(m.LINK_ACTIONS, "action"),
                unit="ops",
            )
        )
        .with_panel(graph("Sandboxes", "Of Pods, by state.", _each(m.SANDBOXES, "state")))
        .with_panel(
            graph(
                "Interfaces that fakeipam serves", "By state.", _each(m.FAKEIPAM_ADDRESSES, "state")
            )
        )
        .with_panel(
            graph(
                "ADDs that wait for their turn",
                "More come than the node works on at once.",
                _each(m.WAITING),
            )
        )
        .with_panel(
            graph(
                "Left to clean up",
                "Removals that a whole round could not end, and addresses that nobody there knows.",
                _each(m.UNFINISHED_REMOVALS),
                _each(m.UNKNOWN_ADDRESSES),
            )
        )
        .with_panel(
            graph(
                "Addresses put right",
                "Given back without a DEL, claimed again, taken down; DanmEps created again.",
                *(
                    Query(expr=rate_or_none(counter, where=_WHERE), legend=legend)
                    for counter, legend in (
                        (m.GIVEN_BACK, "given back"),
                        (m.CLAIMED, "claimed again"),
                        (m.LOST, "taken down"),
                        (m.ENDPOINTS_RESTORED, "DanmEps created again"),
                    )
                ),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Errors answered to the runtime",
                "By verb and CNI code; components/cni/README.md says what the codes mean.",
                Query(
                    expr=rate_or_none(m.ERRORS, "verb", "code", where=_WHERE),
                    legend="{{verb}} {{code}}",
                ),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Kernel events lost",
                "All links are compared then.",
                _rate(m.KERNEL_EVENTS_LOST),
                unit="ops",
            )
        )
    )
