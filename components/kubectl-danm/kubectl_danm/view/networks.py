"""DanmNets for people: valid or not, how full, on which link, on which nodes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from danm_api.codec.danmnet import encode_network_type
from danm_api.model.danm_node import DanmNode
from danm_api.model.danmnet import (
    CONDITION_APPLIED,
    CONDITION_IN_USE,
    CONDITION_VALID,
    Condition,
    DanmNet,
    NetworkSpec,
    Usage,
)
from danm_api.validation import parent_link_name
from kubectl_danm.view.report import Cell, Report, Row, Section, Tone

# Percent, inclusive: from here on a network is worth a look, and a widening.
NEARLY_FULL = 80
FULL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """How full one address family is.

    Attributes:
        subnet: The cidr or net6 in force; empty while there is none.
        percent: Of the dynamic addresses that are not free, 0 to 100. None when there are none.
        ranges: The used ones, as the status has them.
    """

    family: str
    subnet: str
    total: int
    used: int
    free: int
    percent: int | None
    ranges: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOnNode:
    """The network's link on one node."""

    node: str
    link: str
    up: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedCondition:
    """A condition of the DanmNet."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """One DanmNet.

    Attributes:
        valid: ``True``, ``False`` or ``Unknown``, the validator's verdict on the present spec.
        link: What Pods hang on; empty when the network names none.
        problems: Sentences on what is wrong or waits, with the way out.
        nodes_ready: Nodes on which its link is up. None when nobody has counted them.
        nodes: Each node that has been looked at.
    """

    namespace: str
    name: str
    type: str
    valid: str
    link: str
    fill: tuple[Fill, ...]
    nodes_ready: int | None
    nodes_total: int | None
    problems: tuple[str, ...]
    conditions: tuple[StatedCondition, ...]
    nodes: tuple[LinkOnNode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworksDocument:
    """The answer for programs."""

    networks: tuple[NetworkView, ...]


def view_networks(
    networks: Iterable[DanmNet], nodes: Sequence[DanmNode]
) -> tuple[NetworkView, ...]:
    """Return what each DanmNet is worth, in the order of namespace and name."""
    links: dict[tuple[str, str], list[LinkOnNode]] = {}
    for node in sorted(nodes, key=lambda each: each.name):
        for each in node.networks:
            links.setdefault((each.namespace, each.network), []).append(
                LinkOnNode(node=node.name, link=each.link, up=each.up, reason=each.reason)
            )
    ordered = sorted(networks, key=lambda net: (net.namespace, net.name))
    return tuple(_view(net, links) for net in ordered)


def _view(net: DanmNet, links: Mapping[tuple[str, str], list[LinkOnNode]]) -> NetworkView:
    spec = spec_of(net)
    nodes = tuple(links.get((net.namespace, net.name), ()))
    counted = net.status.nodes
    ready = sum(each.up for each in nodes) if nodes else None
    return NetworkView(
        namespace=net.namespace,
        name=net.name,
        type="" if spec is None else encode_network_type(spec.network_type),
        valid=_status(net.status.condition(CONDITION_VALID)),
        link="" if spec is None else parent_link_name(spec) or "",
        fill=tuple(_fills(net, spec)),
        nodes_ready=ready if counted is None else counted.ready,
        nodes_total=(len(nodes) or None) if counted is None else counted.total,
        problems=tuple(_problems(net, nodes)),
        conditions=tuple(
            StatedCondition(
                type=each.type, status=_status(each), reason=each.reason, message=each.message
            )
            for each in net.status.conditions
        ),
        nodes=nodes,
    )


def spec_of(net: DanmNet) -> NetworkSpec | None:
    """Return the spec in force, or else the present one if it can be read."""
    if net.status.applied is not None:
        return net.status.applied
    return net.spec if isinstance(net.spec, NetworkSpec) else None


def _status(condition: Condition | None) -> str:
    if condition is None or condition.status is None:
        return "Unknown"
    return str(condition.status)


def _fills(net: DanmNet, spec: NetworkSpec | None) -> Iterable[Fill]:
    subnets = (None, None) if spec is None else (spec.cidr, spec.net6)
    for family, usage, subnet in zip(
        ("IPv4", "IPv6"), (net.status.ipv4, net.status.ipv6), subnets, strict=True
    ):
        if usage is not None:
            yield Fill(
                family=family,
                subnet="" if subnet is None else str(subnet),
                total=usage.total,
                used=usage.used,
                free=usage.free,
                percent=_percent(usage),
                ranges=usage.ranges,
            )


def _percent(usage: Usage) -> int | None:
    """Return how full the pool is, rounded up to 1 and down from 100, so that both mean it."""
    if usage.total <= 0:
        return None
    gone = usage.total - usage.free
    if gone <= 0:
        return 0
    return FULL if usage.free <= 0 else min(99, max(1, 100 * gone // usage.total))


def _problems(net: DanmNet, nodes: Sequence[LinkOnNode]) -> Iterable[str]:
    valid = net.status.condition(CONDITION_VALID)
    if valid is None:
        yield "not judged yet: does the validator run (kubectl -n danm-system get pods)?"
    elif valid.status is not True:
        yield valid.message
    elif valid.observed_generation and valid.observed_generation < net.generation:
        yield "its last change is not judged yet: does the validator run?"
    applied = net.status.condition(CONDITION_APPLIED)
    if applied is not None and applied.status is not True:
        yield applied.message
    if net.deleting:
        in_use = net.status.condition(CONDITION_IN_USE)
        yield f"being deleted; {in_use.message}" if in_use is not None else "being deleted"
    for family, usage in (("IPv4", net.status.ipv4), ("IPv6", net.status.ipv6)):
        if usage is not None and usage.total > 0 and usage.free <= 0:
            yield f"no {family} address of the pool is free: widen it, or end Pods"
    down = [f"{each.node}: {each.reason}" for each in nodes if not each.up]
    if down:
        yield f"not usable on {len(down)} of {len(nodes)} nodes; {'; '.join(down[:3])}"
    elif not nodes and net.status.nodes is not None and net.status.nodes.why:
        yield net.status.nodes.why


def report_networks(
    views: tuple[NetworkView, ...], *, where: str, notes: tuple[str, ...] = ()
) -> Report:
    """Return a line for each DanmNet; ``where`` names what was looked at."""
    columns = ("NAMESPACE", "NAME", "TYPE", "VALID", "LINK", "USED", "FREE", "FULL", "NODES", "WHY")
    return Report(
        document=NetworksDocument(networks=views),
        names=tuple(_name(each) for each in views),
        sections=(
            Section(
                columns=columns,
                rows=tuple(_row(each) for each in views),
                empty=f"No DanmNet {where}.",
            ),
        ),
        notes=notes,
    )


def report_network(view: NetworkView, *, notes: tuple[str, ...] = ()) -> Report:
    """Return all there is to say of one DanmNet."""
    facts = [
        ("Type", Cell(view.type)),
        ("Valid", _valid(view)),
        ("Link", Cell(view.link or "none")),
        *((f"{each.family} {each.subnet}", _filled(each)) for each in view.fill),
        *((f"{each.family} in use", Cell(each.ranges or "none")) for each in view.fill),
        *(("Problem", Cell(problem, Tone.BAD)) for problem in view.problems),
    ]
    conditions = tuple(
        (Cell(each.type), Cell(each.status), Cell(each.reason), Cell(each.message))
        for each in view.conditions
    )
    nodes = tuple(
        (
            Cell(each.node),
            Cell(each.link or "none needed"),
            Cell("up", Tone.GOOD) if each.up else Cell("down", Tone.BAD),
            Cell(each.reason),
        )
        for each in view.nodes
    )
    return Report(
        document=NetworksDocument(networks=(view,)),
        names=(_name(view),),
        sections=(
            Section(
                title=f"DanmNet {view.namespace}/{view.name}",
                columns=("WHAT", "VALUE"),
                rows=tuple((Cell(what, Tone.FAINT), value) for what, value in facts),
            ),
            Section(
                title="Conditions", columns=("TYPE", "STATUS", "REASON", "MESSAGE"), rows=conditions
            ),
            Section(title="Nodes", columns=("NODE", "LINK", "STATE", "WHY"), rows=nodes),
        ),
        notes=notes,
    )


def _name(view: NetworkView) -> str:
    return f"danmnet.danm.k8s.io/{view.name}"


def _row(view: NetworkView) -> Row:
    tone = Tone.PLAIN
    if view.nodes_ready is not None and view.nodes_total is not None:
        tone = Tone.GOOD if view.nodes_ready == view.nodes_total else Tone.BAD
    nodes = "?" if view.nodes_total is None else f"{view.nodes_ready}/{view.nodes_total}"
    return (
        Cell(view.namespace),
        Cell(view.name, Tone.STRONG),
        Cell(view.type),
        _valid(view),
        Cell(view.link or "-"),
        Cell(" ".join(str(each.used) for each in view.fill) or "-"),
        Cell(" ".join(str(each.free) for each in view.fill) or "-"),
        _full(view.fill),
        Cell(nodes, tone),
        Cell("; ".join(view.problems), Tone.BAD),
    )


def _valid(view: NetworkView) -> Cell:
    tones = {"True": Tone.GOOD, "False": Tone.BAD}
    return Cell(view.valid, tones.get(view.valid, Tone.WARN))


def _full(fills: Sequence[Fill]) -> Cell:
    known = [each.percent for each in fills if each.percent is not None]
    text = " ".join(f"{percent}%" for percent in known)
    return Cell(text or "-", _tone(max(known, default=0)))


def _filled(fill: Fill) -> Cell:
    percent = "" if fill.percent is None else f" ({fill.percent}%)"
    text = f"{fill.used} used, {fill.free} of {fill.total} free{percent}"
    return Cell(text, _tone(fill.percent or 0))


def _tone(percent: int) -> Tone:
    if percent >= FULL:
        return Tone.BAD
    return Tone.WARN if percent >= NEARLY_FULL else Tone.GOOD
