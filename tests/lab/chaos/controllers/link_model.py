"""Which links a node must have for the DanmNets that are in force. Pure, slow, without DANM's code.

Of VXLAN: the other kind of link that SPEC N2 knows is not in every kernel.

Source: SPEC N2 to N4, N6; services/netwatcher/README.md for MTU and marks.
"""

from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Final

import msgspec

from tests.lab.chaos.controllers.facts import Difference, Kind
from tests.lab.chaos.controllers.link_facts import HostLink, LinkData, Node
from tests.lab.chaos.controllers.network_facts import DanmNet, NetworkSpec

_MARK: Final = "danm:"
_PORT: Final = 4789
# What a tunnel over IPv4 takes of its parent's MTU, in bytes.
_TUNNEL_BYTES: Final = 50
_GROUPS: Final = IPv4Address("239.0.0.0")
_NO_GROUP: Final = "default"


def differences(node: Node) -> list[Difference]:
    """Return all that is missing, left or wrong."""
    wanted = wanted_links(node)
    found = [*_unmarked(node), *_touched(node)]
    for name, spec in wanted.items():
        found += _of_link(node, name, spec)
    for link in node.links:
        name = link.ifalias.removeprefix(_MARK)
        if _is_ours(link) and name not in wanted and not _users(node, name):
            found.append(_difference("left", name, f"link {link.ifname}, which nobody asks for"))
    return [*found, *_of_told(node, wanted)]


def wanted_links(node: Node) -> dict[str, NetworkSpec]:
    """Return by name what asks for a tunnel; of several the oldest in force."""
    found: dict[str, NetworkSpec] = {}
    for net in sorted(node.networks, key=_age):
        spec = net.status.applied
        if spec is not None and spec.options.vxlan is not None and spec.options.host_device:
            found.setdefault(f"vx_{spec.network_id}", spec)
    return found


def hindrance(node: Node, name: str, spec: NetworkSpec) -> str:
    """Say why a link cannot be as wanted; empty when it can."""
    bearer = _bearer(node, name)
    if bearer is not None and not _is_ours(bearer):
        return "somebody else's link has the name"
    parent = _bearer(node, spec.options.host_device)
    if parent is None:
        return "no host_device"
    if "UP" not in parent.flags:
        return "host_device is down"
    if not _source(parent):
        return "host_device has no address"
    others = (link for link in node.links if link.ifalias != f"{_MARK}{name}")
    if any(_data(link).id == spec.options.vxlan for link in others):
        return "another link has the VNI"
    return ""


def _of_link(node: Node, name: str, spec: NetworkSpec) -> Iterator[Difference]:
    if hindrance(node, name, spec):
        return
    link = next((link for link in node.links if link.ifalias == f"{_MARK}{name}"), None)
    if link is None:
        yield _difference("missing", name, "the link")
        return
    parent = _bearer(node, spec.options.host_device)
    assert parent is not None
    assert spec.options.vxlan is not None
    right = LinkData(
        id=spec.options.vxlan,
        group=str(_GROUPS + spec.options.vxlan),
        local=_source(parent),
        link=parent.ifname,
        port=_PORT,
        learning=True,
    )
    data = _data(link)
    if msgspec.structs.replace(data, local=right.local) != right and _users(node, name):
        # It would have to be replaced, and goes with the last of them.
        return
    if data != right:
        yield _difference("wrong", name, f"{data}, not {right}")
    if link.ifname != name:
        yield _difference("wrong", name, f"called {link.ifname}")
    if link.mtu != parent.mtu - _TUNNEL_BYTES:
        yield _difference("wrong", name, f"MTU {link.mtu} over {parent.mtu}")
    if "UP" not in link.flags:
        yield _difference("wrong", name, "down")


def _unmarked(node: Node) -> Iterator[Difference]:
    """Yield what was begun and not finished, and what was made twice."""
    marks = Counter(link.ifalias for link in node.links if _is_ours(link))
    for mark, count in marks.items():
        if count > 1:
            yield _difference("left", mark.removeprefix(_MARK), f"{count} links of it")
    for link in node.links:
        if link.group != _NO_GROUP:
            yield _difference("wrong", link.ifname, f"in group {link.group}")


def _touched(node: Node) -> Iterator[Difference]:
    for link in node.foreign:
        if link not in node.links:
            now = _bearer(node, link.ifname)
            yield _difference("wrong", link.ifname, f"somebody else's link was touched: {now}")


def _of_told(node: Node, wanted: dict[str, NetworkSpec]) -> Iterator[Difference]:
    told = (
        {}
        if node.told is None
        else {(n.namespace, n.network): n for n in node.told.status.networks}
    )
    present = {(net.metadata.namespace, net.metadata.name) for net in node.networks}
    for key in told.keys() - present:
        yield _difference("left", "/".join(key), "DanmNode tells of it")
    for net in node.networks:
        said = told.get((net.metadata.namespace, net.metadata.name))
        if said is None:
            yield _difference("missing", net.metadata.where, "DanmNode does not tell of it")
            continue
        if not said.up and not said.reason:
            yield _difference("missing", net.metadata.where, "why it cannot be used")
        usable = _usable(node, net, wanted)
        if usable is not None and said.up != usable:
            what = f"DanmNode says {said.up}: {said.reason}"
            yield _difference("wrong", net.metadata.where, what)


def _usable(node: Node, net: DanmNet, wanted: dict[str, NetworkSpec]) -> bool | None:
    """Say whether Pods can be on a network; None where the objects do not tell."""
    spec = net.status.applied
    if spec is None:
        return False
    if spec.options.vxlan is None:
        parent = _bearer(node, spec.options.host_device)
        return not spec.options.host_device or (parent is not None and "UP" in parent.flags)
    name = f"vx_{spec.network_id}"
    if wanted.get(name) != spec or _users(node, name):
        return None
    return not hindrance(node, name, spec)


def _users(node: Node, name: str) -> list[str]:
    """Return who uses a link: interfaces of this node, and networks and links on top of it."""
    network = name.removeprefix("vx_")
    return [
        *(
            each.metadata.where
            for each in node.interfaces
            if each.spec.network == network and each.spec.node == node.name
        ),
        *(
            net.metadata.where
            for net in node.networks
            if net.status.applied is not None and net.status.applied.options.host_device == name
        ),
    ]


def _age(net: DanmNet) -> tuple[str, str, str]:
    return net.metadata.creation_timestamp, net.metadata.namespace, net.metadata.name


def _bearer(node: Node, name: str) -> HostLink | None:
    return next((link for link in node.links if link.ifname == name), None)


def _is_ours(link: HostLink) -> bool:
    return link.ifalias.startswith(_MARK)


def _data(link: HostLink) -> LinkData:
    is_tunnel = link.linkinfo.info_kind == "vxlan"
    return link.linkinfo.info_data if is_tunnel else LinkData()


def _source(parent: HostLink) -> str:
    """Return where a tunnel over a link starts: its first global IPv4 address."""
    return next((a.local for a in parent.addr_info if a.scope == "global" and "." in a.local), "")


def _difference(kind: Kind, where: str, what: str) -> Difference:
    return Difference(kind=kind, where=where, what=what)
