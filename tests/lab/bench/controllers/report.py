"""A run of `lab bench controllers` for people: tables and a page. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rich.table import Table

from tests.lab.bench.controllers.endpoints.cases import KUBERNETES_FLAGS
from tests.lab.bench.controllers.results import (
    ControllerFindings,
    ControllersRun,
    LinkFindings,
    LoadFindings,
    Repair,
)
from tests.lab.bench.report import TARGET_COLUMNS, described, judged, markdown, table

_REPAIR_COLUMNS: Final = (
    "links", "one after another", "p50 ms", "p90 ms", "p99 ms", "max ms", "all at once s",
)  # fmt: skip
_COST_COLUMNS: Final = ("netwatcher", "")
_LOAD_COLUMNS: Final = (
    "changes", "controller", "Pods", "how many", "p50 ms", "p99 ms", "max ms", "taken p50 ms",
    "per s", "CPU ms each", "slices written each", "Endpoints written each",
)  # fmt: skip
_CONTROLLER_COLUMNS: Final = (
    "controller", "Pods", "Services", "endpoints", "of the large one", "start to all slices s",
    "MB at rest", "MB at most", "others' CPU",
)  # fmt: skip
_LINKS_METHOD: Final = (
    "A whole node role of netwatcher on the kernel of a guest, a user-mode kernel in which every"
    " system call costs many times more; its API server is in memory. Another process damages links"
    " and looks at them every millisecond: a time is from before the damage until the link is as it"
    " was, up, under its name, marked and with its MTU."
)
_ENDPOINTS_METHOD: Final = (
    "svcwatcher as its own process, with the service account and the rights of deploy/, and after"
    " it Kubernetes' own EndpointSlice controller: kube-controller-manager with `"
    + " ".join(KUBERNETES_FLAGS)
    + "` and else its defaults (5 Services at once; 20 requests a second after a burst of 30, which"
    " is what limits it where many Pods change at once). Both meet the same Pods, each with two"
    " DanmEps, one controller at a time with its own Services and no others: DANM's, headless, on"
    " two networks, and ordinary ones with a selector. Every second Pod is of one large Service;"
    " the other Services have 5 endpoints each. The API server's etcd waits for the disk.",
    "A generator changes Pods' condition Ready, as a kubelet does, and watches slices: a time is"
    ' from before it sends the change until its watch shows a slice that says so, and "taken" is'
    " that part after which the API server had answered. What is changed one at a time has time in"
    " between, so that neither controller holds anything back. Writes are those that the API server"
    " counted; svcwatcher writes Endpoints too, at most once a second and Service, which"
    " kube-controller-manager leaves to another controller that does not run here. CPU is the"
    " controller's alone, with all that it did after the last change; others' CPU is what else ran"
    " on the machine, in cores: the more, the less the figures say.",
)


class _Part(NamedTuple):
    title: str
    columns: Sequence[str]
    lines: list[tuple[str, ...]]


def tables(run: ControllersRun) -> Iterator[Table]:
    """Yield the tables of a run."""
    for part in (*_of_links(run.links), *_of_endpoints(run.endpoints), *_of_targets(run)):
        yield table(*part)


def page(run: ControllersRun) -> str:
    """Return a run as Markdown."""
    lines = [
        "# The controllers, measured",
        "",
        f"`./lab bench controllers` wrote this page and controllers.json beside it, {run.began}:"
        f" {described(run.machine)}.",
    ]
    if run.links is not None:
        lines += ["", "# netwatcher", "", _LINKS_METHOD, *_written(_of_links(run.links))]
    if run.endpoints:
        lines += ["", "# svcwatcher"]
        for paragraph in _ENDPOINTS_METHOD:
            lines += ["", paragraph]
        lines += _written(_of_endpoints(run.endpoints))
    lines += _written(_of_targets(run))
    return "\n".join((*lines, ""))


def _written(parts: Iterator[_Part]) -> Iterator[str]:
    for part in parts:
        yield from ("", f"## {part.title}", "", *markdown(part.columns, part.lines))


def _of_links(links: LinkFindings | None) -> Iterator[_Part]:
    if links is not None:
        title = f"{links.vlans} VLAN and {links.vxlans} VXLAN links, damaged and repaired"
        yield _Part(title, _REPAIR_COLUMNS, [_repair(each) for each in links.repairs])
        yield _Part("What it costs", _COST_COLUMNS, _costs(links))


def _of_endpoints(found: Sequence[ControllerFindings]) -> Iterator[_Part]:
    if found:
        yield _Part(
            "From a Pod's readiness to its slice",
            _LOAD_COLUMNS,
            # The same changes together, so that growth and difference show.
            [
                _load(load, each)
                for name in dict.fromkeys(load.name for each in found for load in each.loads)
                for each in found
                if (load := each.load(name)) is not None
            ],
        )
        yield _Part("Start and memory", _CONTROLLER_COLUMNS, [_controller(each) for each in found])


def _of_targets(run: ControllersRun) -> Iterator[_Part]:
    if run.verdicts:
        yield _Part("Targets", TARGET_COLUMNS, judged(run.verdicts))


def _load(load: LoadFindings, found: ControllerFindings) -> tuple[str, ...]:
    seen = load.seen
    return (
        load.name,
        found.controller,
        f"{found.size.pods:,}",
        str(seen.count),
        f"{seen.p50:.1f}",
        f"{seen.p99:.1f}",
        f"{seen.max:.1f}",
        f"{load.accepted_ms:.1f}",
        f"{load.rate:.0f}",
        f"{load.cpu_ms:.2f}",
        f"{load.slice_writes:.2f}",
        f"{load.endpoints_writes:.2f}",
    )


def _controller(found: ControllerFindings) -> tuple[str, ...]:
    size = found.size
    return (
        found.controller,
        f"{size.pods:,}",
        f"{size.services:,}",
        f"{size.endpoints:,}",
        f"{size.large:,}",
        f"{found.started_s:.1f}",
        f"{found.rss_mb:.0f}",
        f"{found.peak_mb:.0f}",
        f"{found.others_cpu:.2f}",
    )


def _repair(repair: Repair) -> tuple[str, ...]:
    single = repair.single
    return (
        repair.damage,
        str(single.count),
        f"{single.p50:.1f}",
        f"{single.p90:.1f}",
        f"{single.p99:.1f}",
        f"{single.max:.1f}",
        f"{repair.all_s:.2f}",
    )


def _costs(links: LinkFindings) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [
        ("all links made after its start, s", f"{links.made_s:.2f}"),
        ("memory at most, the API server in memory included, MB", f"{links.rss_mb:.0f}"),
    ]
    if links.rest_s:
        lines.append((f"CPU over {links.rest_s:.0f} s at rest, %", f"{links.rest_cpu:.2f}"))
    return lines
