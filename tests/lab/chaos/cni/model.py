"""What there must be for the Pods that live, and nothing else. Pure, without danmd's own code.

``differences`` names what of a world is missing, what is left, and what is not as it should be.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface, ip_network
from typing import Any, Final, Literal

from tests.lab.chaos.cni.facts import (
    USUAL_TABLES,
    Difference,
    Link,
    LivingPod,
    Netns,
    NodeView,
    Wanted,
    World,
)

_LOOPBACK: Final = "lo"


def differences(world: World) -> list[Difference]:
    """Return all that is missing, left or wrong."""
    found: list[Difference] = []
    for node in world.nodes:
        pods = [pod for pod in world.pods if pod.node == node.node]
        found += _of_node(world, node, pods)
    nodes = {node.node for node in world.nodes}
    found += [
        Difference(
            kind="wrong", where=pod.node, what=f"nobody has looked at the node of {pod.name}"
        )
        for pod in world.pods
        if pod.node not in nodes
    ]
    found += _of_objects(world)
    return found


def _of_node(world: World, node: NodeView, pods: Sequence[LivingPod]) -> Iterator[Difference]:
    explained: set[str] = set()
    kept: set[str] = set()
    reserved: Counter[tuple[str, str]] = Counter()
    for pod in pods:
        where = f"{node.node}, Pod {pod.name}"
        records = {
            name: record
            for name, record in node.journal.items()
            if record is not None and record["pod_uid"] == pod.uid
        }
        explained |= set(records)
        if len(records) != 1:
            kind: Literal["missing", "left"] = "left" if records else "missing"
            told = ", ".join(
                f"{each['container_id'][:12]} {each['state']}" for each in records.values()
            )
            yield Difference(
                kind=kind, where=where, what=f"one journal record, not: {told or 'none'}"
            )
            kept |= {record["netns"] for record in records.values()}
            continue
        (record,) = records.values()
        kept.add(record["netns"])
        if record["state"] != "added":
            yield Difference(kind="wrong", where=where, what=f"its record is {record['state']}")
        yield from _of_pod(world, node, pod, record, where)
        for each in pod.wanted:
            if each.bridge:
                reserved[record["container_id"], each.name] += 1
    yield from _left_on(world, node, pods, explained=explained, kept=kept, reserved=reserved)


def _of_pod(
    world: World, node: NodeView, pod: LivingPod, record: Mapping[str, Any], where: str
) -> Iterator[Difference]:
    netns = node.namespaces.get(record["netns"])
    if netns is None:
        yield Difference(kind="missing", where=where, what=f"its namespace {record['netns']}")
        return
    links = {link.name: link for link in netns.links}
    names = {each.name for each in pod.wanted}
    yield from _compared("interface", where, wanted=names, found=set(links) - {_LOOPBACK})
    recorded = {each["interface"] for each in record["interfaces"]}
    yield from _compared("interface in its record", where, wanted=names, found=recorded)
    if set(pod.annotation) != names:
        told = ", ".join(sorted(pod.annotation)) or "none"
        yield Difference(kind="wrong", where=where, what=f"its annotation tells of {told}")
    rules: set[tuple[str, str]] = set()
    routes: set[tuple[str, str, str, str]] = set()
    tables: set[str] = set()
    for each in pod.wanted:
        link = links.get(each.name)
        if link is None:
            continue
        yield from _of_interface(world, pod, each, link, record, where)
        tables |= each.tables
        for text in link.addresses:
            version = ip_interface(text).version
            own = {table for to, _, table in each.routes if ip_network(to).version == version}
            rules |= {(str(ip_interface(text).ip), table) for table in own - USUAL_TABLES}
        versions = {ip_interface(text).version for text in link.addresses}
        routes |= {
            (to, gateway, each.name, table)
            for to, gateway, table in each.routes
            if ip_network(to).version in versions
        }
    found_rules = {(rule.source, rule.table) for rule in netns.rules}
    yield from _compared("rule", where, wanted=rules, found=found_rules)
    found_routes = {(r.destination, r.gateway, r.device, r.table) for r in netns.routes}
    yield from _compared(
        "route",
        where,
        wanted=routes,
        found=found_routes,
        extra=routes | {each for each in found_routes if each[3] in USUAL_TABLES},
    )


def _of_interface(
    world: World,
    pod: LivingPod,
    wanted: Wanted,
    link: Link,
    record: Mapping[str, Any],
    where: str,
) -> Iterator[Difference]:
    what = f"{wanted.name}"
    if not link.up:
        yield Difference(kind="wrong", where=where, what=f"{what} is down")
    found = sorted(ip_interface(text).version for text in link.addresses)
    if found != sorted(wanted.families):
        told = ", ".join(link.addresses) or "none"
        yield Difference(kind="wrong", where=where, what=f"addresses of {what}: {told}")
    plain = frozenset(str(ip_interface(text).ip) for text in link.addresses)
    if wanted.name in pod.annotation and pod.annotation[wanted.name] != plain:
        told = ", ".join(sorted(pod.annotation[wanted.name])) or "none"
        yield Difference(kind="wrong", where=where, what=f"{what} in its annotation: {told}")
    if not wanted.network:
        return
    endpoints = [
        each for each in world.endpoints if (each.pod_uid, each.interface) == (pod.uid, wanted.name)
    ]
    for each in endpoints:
        right = (record["container_id"], pod.node, wanted.network, frozenset(link.addresses))
        if (each.container_id, each.node, each.network, each.addresses) != right:
            yield Difference(kind="wrong", where=where, what=f"DanmEp {each.name}: {each}")
    if not endpoints:
        yield Difference(kind="missing", where=where, what=f"the DanmEp of {what}")
    held = {
        each.address
        for each in world.entries
        if (each.holder, each.interface, each.network, each.node)
        == (pod.uid, wanted.name, wanted.network, pod.node)
    }
    if wanted.from_ipam:
        yield from _compared(f"address of {what} in ipam-svc", where, wanted=plain, found=held)


def _left_on(
    world: World,
    node: NodeView,
    pods: Sequence[LivingPod],
    *,
    explained: set[str],
    kept: set[str],
    reserved: Counter[tuple[str, str]],
) -> Iterator[Difference]:
    where = node.node
    for name in sorted(set(node.journal) - explained):
        record = node.journal[name] or {}
        told = f"{record.get('pod', '')} {record.get('state', 'unreadable')}".strip()
        yield Difference(kind="left", where=where, what=f"journal record {name[:16]} ({told})")
    for name in node.tombstones:
        yield Difference(kind="left", where=where, what=f"a DEL to finish of {name[:12]}")
    for container_id in node.plugins:
        yield Difference(kind="left", where=where, what=f"a running plugin of {container_id[:12]}")
    for path, netns in node.namespaces.items():
        if path not in kept:
            yield from _left_in(netns, f"{where}, {path} of no Pod that lives")
    yield from _of_plugins(node, reserved)
    yield from _on_bridges(world, node, pods)


def _of_plugins(node: NodeView, reserved: Counter[tuple[str, str]]) -> Iterator[Difference]:
    files: Counter[tuple[str, str]] = Counter()
    for file, content in node.host_local.items():
        container_id, _, interface = content.strip().partition("\n")
        files[container_id, interface] += 1
        if (container_id, interface) not in reserved:
            what = f"host-local's {file} of {container_id[:12]} {interface}"
            yield Difference(kind="left", where=node.node, what=what)
    for key, count in reserved.items():
        if files[key] != count:
            container_id, interface = key
            what = f"{count} host-local file of {container_id[:12]} {interface}, not {files[key]}"
            yield Difference(kind=_more_or_less(files[key], count), where=node.node, what=what)


def _on_bridges(world: World, node: NodeView, pods: Sequence[LivingPod]) -> Iterator[Difference]:
    wanted = Counter(each.bridge for pod in pods for each in pod.wanted if each.bridge)
    own = world.own_links.get(node.node, frozenset())
    ports = Counter(link.bridge for link in node.host.links if link.bridge and link.name not in own)
    for bridge in sorted({*wanted, *ports}):
        if ports[bridge] != wanted[bridge]:
            what = f"{ports[bridge]} ports of {bridge}, not {wanted[bridge]}"
            kind = _more_or_less(ports[bridge], wanted[bridge])
            yield Difference(kind=kind, where=node.node, what=what)
    for link in node.host.links:
        if link.name not in own and not link.bridge and link.kind != "bridge":
            what = f"link {link.name} ({link.kind})"
            yield Difference(kind="left", where=node.node, what=what)


def _more_or_less(found: int, wanted: int) -> Literal["left", "missing"]:
    return "left" if found > wanted else "missing"


def _left_in(netns: Netns, where: str) -> Iterator[Difference]:
    for link in netns.links:
        if link.name != _LOOPBACK:
            yield Difference(kind="left", where=where, what=f"interface {link.name}")
    for rule in netns.rules:
        yield Difference(kind="left", where=where, what=f"rule from {rule.source} to {rule.table}")


def _of_objects(world: World) -> Iterator[Difference]:
    wanted = {
        (pod.uid, each.name): (pod, each)
        for pod in world.pods
        for each in pod.wanted
        if each.network
    }
    count: Counter[tuple[str, str]] = Counter()
    for each in world.endpoints:
        count[each.pod_uid, each.interface] += 1
        if (each.pod_uid, each.interface) not in wanted or count[each.pod_uid, each.interface] > 1:
            yield Difference(kind="left", where=each.node, what=f"DanmEp {each.name}")
    for entry in world.entries:
        found = wanted.get((entry.holder, entry.interface))
        if found is None or (entry.network, entry.node) != (found[1].network, found[0].node):
            what = f"{entry.address} of {entry.network}, of {entry.holder} {entry.interface}"
            yield Difference(kind="left", where=entry.node, what=what)
    owners: dict[tuple[str, str], set[str]] = {}
    for each in world.endpoints:
        for text in each.addresses:
            address = str(ip_interface(text).ip)
            owners.setdefault((each.network, address), set()).add(each.pod_uid)
    for (network, address), uids in owners.items():
        # Other plugins' own pools are each node's own.
        if len(uids) > 1 and any(entry.network == network for entry in world.entries):
            what = f"{address} of {network} is told of Pods {', '.join(sorted(uids))}"
            yield Difference(kind="wrong", where="cluster", what=what)


def _compared(
    what: str,
    where: str,
    *,
    wanted: "set[Any] | frozenset[Any]",
    found: "set[Any] | frozenset[Any]",
    extra: "set[Any] | frozenset[Any]" = frozenset(),
) -> Iterator[Difference]:
    """Compare two sets; what is in ``extra`` may be there."""
    for each in sorted(wanted - found):
        yield Difference(kind="missing", where=where, what=f"{what} {_told(each)}")
    for each in sorted(found - wanted - extra):
        yield Difference(kind="left", where=where, what=f"{what} {_told(each)}")


def _told(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
