"""DanmNets: how full they are, and when they will be."""

from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard

from monitoring import metrics as m
from monitoring.panels import (
    Query,
    Step,
    choice,
    dashboard,
    graph,
    number,
    rate,
    rate_or_none,
    table,
)

# Long enough that a night's quiet does not hide the days' growth, and yet follows it.
_PAST: Final = "6h"
_DAY_S: Final = 24 * 60 * 60
_NETWORK: Final = ("namespace", "network", "family")
_WHERE: Final = 'namespace=~"$namespace"'
_LEGEND: Final = "{{namespace}}/{{network}} {{family}}"
# A pool that does not fill is full in some thousand years.
_SLOWEST: Final = "1e-9"


def _addresses(state: str) -> str:
    return f'max by ({", ".join(_NETWORK)}) ({m.ADDRESSES}{{state="{state}", {_WHERE}}})'


def _of_network(query: str) -> str:
    return f'max by ({", ".join(_NETWORK)}) ({query})'


_FREE: Final = _addresses("free")
_SIZE: Final = _of_network(f"{m.POOL_SIZE}{{{_WHERE}}}")
_FILL: Final = f"1 - {_FREE} / ({_SIZE} > 0)"
# One line of each network, whoever led when: what a replica showed that leads no more would go on
# for hours as a line of its own.
_FREE_LINE: Final = f"{_FREE}[{_PAST}:]"
_IN_A_DAY: Final = f"clamp_min(predict_linear({_FREE_LINE}, {_DAY_S}), 0) and {_FREE}"
_PACE: Final = f"clamp_min(-1 * deriv({_FREE_LINE}), {_SLOWEST})"
_LEFT: Final = f"{_FREE} / {_PACE}"


def networks() -> Dashboard:
    """Return the dashboard."""
    return (
        dashboard("networks", "DANM / Networks", "How full each DanmNet is, and when it will be.")
        .with_variable(choice("namespace", m.POOL_SIZE))
        .with_panel(
            number(
                "Networks that hand out addresses",
                "DanmNets with a pool; one of both families counts twice.",
                Query(expr=f"count({_SIZE})"),
            )
        )
        .with_panel(
            number(
                "Fullest pool",
                "The alert DanmPoolNearlyFull begins at 90 %.",
                Query(expr=f"max({_FILL})"),
                unit="percentunit",
                steps=(Step(at=0.8, color="orange"), Step(at=0.9, color="red")),
            )
        )
        .with_panel(
            number(
                "Addresses in use",
                "Of all DanmNets, those outside of pools as well.",
                Query(expr=f"sum({_addresses('used')})"),
            )
        )
        .with_panel(
            number(
                "Addresses that cool",
                "Given back, and not handed out again yet (Options.cooldown).",
                Query(expr=f"sum({_addresses('cooling')})"),
            )
        )
        .with_panel(
            table(
                "Pools",
                "Full in: at the pace of the last six hours. In a day: free addresses by then.",
                ("Size", "short", Query(expr=_SIZE)),
                ("Used", "short", Query(expr=_addresses("used"))),
                ("Cooling", "short", Query(expr=_addresses("cooling"))),
                ("Free", "short", Query(expr=_FREE)),
                ("Fill", "percentunit", Query(expr=_FILL)),
                ("Free in a day", "short", Query(expr=_IN_A_DAY)),
                ("Full in", "s", Query(expr=_LEFT)),
            )
        )
        .with_panel(
            graph(
                "Fill",
                "What part of each pool is used or cools.",
                Query(expr=_FILL, legend=_LEGEND),
                unit="percentunit",
                maximum=1,
            )
        )
        .with_panel(
            graph(
                "Free addresses, and how many there will be in a day",
                "The forecast continues the line of the last six hours.",
                Query(expr=_FREE, legend=f"{_LEGEND} now"),
                Query(expr=_IN_A_DAY, legend=f"{_LEGEND} in a day"),
            )
        )
        .with_panel(
            graph(
                "Reservations and releases",
                "Requests to ipam-svc, by how they ended.",
                Query(expr=rate(m.RESERVES, "result"), legend="reserve: {{result}}"),
                Query(expr=rate(m.RELEASES, "result"), legend="release: {{result}}"),
                unit="ops",
            )
        )
        .with_panel(
            graph(
                "Freed without a DEL",
                "By the Lease holder of ipam-svc (lost nodes, expired owners, doubles), and by the"
                " nodes (nobody there knew them).",
                Query(expr=rate(m.RECLAIMED, "reason"), legend="Lease holder: {{reason}}"),
                Query(expr=rate(m.GIVEN_BACK), legend="nodes"),
                Query(expr=rate_or_none(m.RECLAIM_FAILURES), legend="failures"),
                unit="ops",
            )
        )
    )
