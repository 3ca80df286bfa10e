"""The comparison takes a right world for right, and names what is wrong with each wrong one."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from tests.lab.chaos.cni.facts import (
    Endpoint,
    Entry,
    Link,
    LivingPod,
    Netns,
    NodeView,
    Route,
    Rule,
    Wanted,
    World,
)
from tests.lab.chaos.cni.model import differences

PATH = "/var/run/netns/a"
DUAL = Wanted(
    name="mac0",
    network="mac",
    families=(4, 6),
    routes=(("198.51.100.0/24", "10.90.0.1", "main"), ("203.0.113.0/24", "10.90.0.1", "250")),
)
STATIC = Wanted(name="eth0", network="mgmt", from_ipam=False, bridge="cbr0")
ROUTES = (
    Route(destination="198.51.100.0/24", gateway="10.90.0.1", device="mac0"),
    Route(destination="203.0.113.0/24", gateway="10.90.0.1", device="mac0", table="250"),
)
SANDBOX = Netns(
    links=(
        Link(name="lo"),
        Link(name="eth0", kind="veth", addresses=("192.0.2.5/24",)),
        Link(name="mac0", kind="macvlan", addresses=("10.90.0.5/22", "2001:db8:90::5/64")),
    ),
    routes=ROUTES,
    rules=(Rule(source="10.90.0.5", table="250"),),
)
RECORD: dict[str, Any] = {
    "container_id": "c1",
    "pod": "p",
    "pod_uid": "uid-p",
    "netns": PATH,
    "state": "added",
    "interfaces": [{"interface": "eth0"}, {"interface": "mac0"}],
}
NODE = NodeView(
    node="n1",
    host=Netns(
        links=(
            Link(name="lo"),
            Link(name="up0"),
            Link(name="cbr0", kind="bridge"),
            Link(name="veth1", kind="veth", bridge="cbr0"),
        )
    ),
    namespaces={PATH: SANDBOX},
    journal={"c1.json": RECORD},
    host_local={"cbr0/192.0.2.5": "c1\neth0"},
)
POD = LivingPod(
    name="p",
    uid="uid-p",
    node="n1",
    wanted=(STATIC, DUAL),
    annotation={
        "eth0": frozenset({"192.0.2.5"}),
        "mac0": frozenset({"10.90.0.5", "2001:db8:90::5"}),
    },
)
ENDPOINTS = (
    Endpoint(
        name="ep-eth0",
        pod_uid="uid-p",
        container_id="c1",
        node="n1",
        network="mgmt",
        interface="eth0",
        addresses=frozenset({"192.0.2.5/24"}),
    ),
    Endpoint(
        name="ep-mac0",
        pod_uid="uid-p",
        container_id="c1",
        node="n1",
        network="mac",
        interface="mac0",
        addresses=frozenset({"10.90.0.5/22", "2001:db8:90::5/64"}),
    ),
)
ENTRIES = tuple(
    Entry(network="mac", address=address, holder="uid-p", interface="mac0", node="n1")
    for address in ("10.90.0.5", "2001:db8:90::5")
)
WORLD = World(
    pods=(POD,),
    nodes=(NODE,),
    endpoints=ENDPOINTS,
    entries=ENTRIES,
    own_links={"n1": frozenset({"lo", "up0"})},
)


def _node(**change: object) -> World:
    return replace(WORLD, nodes=(msgspec.structs.replace(NODE, **change),))


def _sandbox(**change: object) -> World:
    return _node(namespaces={PATH: msgspec.structs.replace(SANDBOX, **change)})


def _without_link(name: str) -> World:
    return _sandbox(links=tuple(link for link in SANDBOX.links if link.name != name))


def _changed_link(**change: object) -> World:
    *others, link = SANDBOX.links
    return _sandbox(links=(*others, msgspec.structs.replace(link, **change)))


def _pod(**change: object) -> World:
    return replace(WORLD, pods=(replace(POD, **change),))  # type: ignore[arg-type]


def _endpoint(**change: object) -> World:
    return replace(WORLD, endpoints=(ENDPOINTS[0], replace(ENDPOINTS[1], **change)))  # type: ignore[arg-type]


STRAY = Netns(links=(Link(name="lo"), Link(name="mac0", kind="macvlan")))
WRONG: dict[str, tuple[Callable[[], World], str]] = {
    "interface missing": (lambda: _without_link("mac0"), "missing: n1, Pod p: interface mac0"),
    "interface left": (
        lambda: _sandbox(links=(*SANDBOX.links, Link(name="danm1234"))),
        "left: n1, Pod p: interface danm1234",
    ),
    "interface down": (lambda: _changed_link(up=False), "wrong: n1, Pod p: mac0 is down"),
    "address missing": (
        lambda: _changed_link(addresses=("10.90.0.5/22",)),
        "wrong: n1, Pod p: addresses of mac0: 10.90.0.5/22",
    ),
    "another address": (
        lambda: _changed_link(addresses=("10.90.0.6/22", "2001:db8:90::5/64")),
        "missing: n1, Pod p: address of mac0 in ipam-svc 10.90.0.6",
    ),
    "route missing": (
        lambda: _sandbox(routes=ROUTES[:1]),
        "missing: n1, Pod p: route 203.0.113.0/24 10.90.0.1 mac0 250",
    ),
    "route left": (
        lambda: _sandbox(
            routes=(
                *ROUTES,
                Route(destination="0.0.0.0/0", gateway="192.0.2.1", device="eth0", table="99"),
            )
        ),
        "left: n1, Pod p: route 0.0.0.0/0 192.0.2.1 eth0 99",
    ),
    "rule missing": (
        lambda: _sandbox(rules=()),
        "missing: n1, Pod p: rule 10.90.0.5 250",
    ),
    "rule left": (
        lambda: _sandbox(rules=(*SANDBOX.rules, Rule(source="10.90.0.9", table="250"))),
        "left: n1, Pod p: rule 10.90.0.9 250",
    ),
    "namespace missing": (
        lambda: _node(namespaces={}),
        f"missing: n1, Pod p: its namespace {PATH}",
    ),
    "namespace of nobody": (
        lambda: _node(namespaces={PATH: SANDBOX, "/b": STRAY}),
        "left: n1, /b of no Pod that lives: interface mac0",
    ),
    "rule of nobody": (
        lambda: _node(
            namespaces={PATH: SANDBOX, "/b": Netns(rules=(Rule(source="10.90.0.9", table="250"),))}
        ),
        "left: n1, /b of no Pod that lives: rule from 10.90.0.9 to 250",
    ),
    "no record": (
        lambda: _node(journal={}),
        "missing: n1, Pod p: one journal record, not: none",
    ),
    "two records": (
        lambda: _node(journal={"c1.json": RECORD, "c0.json": RECORD | {"state": "held"}}),
        "left: n1, Pod p: one journal record, not: c1 added, c1 held",
    ),
    "record of nobody": (
        lambda: _node(journal={"c1.json": RECORD, "c0.json": RECORD | {"pod_uid": "uid-q"}}),
        "left: n1: journal record c0.json (p added)",
    ),
    "unreadable record": (
        lambda: _node(journal={"c1.json": RECORD, ".c1.json.7": None}),
        "left: n1: journal record .c1.json.7 (unreadable)",
    ),
    "record half-way": (
        lambda: _node(journal={"c1.json": RECORD | {"state": "removing"}}),
        "wrong: n1, Pod p: its record is removing",
    ),
    "record without an interface": (
        lambda: _node(journal={"c1.json": RECORD | {"interfaces": [{"interface": "eth0"}]}}),
        "missing: n1, Pod p: interface in its record mac0",
    ),
    "tombstone": (lambda: _node(tombstones=("c7",)), "left: n1: a DEL to finish of c7"),
    "plugin": (lambda: _node(plugins=("c7",)), "left: n1: a running plugin of c7"),
    "host-local left": (
        lambda: _node(host_local={**NODE.host_local, "cbr0/192.0.2.9": "c9\neth0"}),
        "left: n1: host-local's cbr0/192.0.2.9 of c9 eth0",
    ),
    "host-local twice": (
        lambda: _node(host_local={**NODE.host_local, "cbr0/192.0.2.9": "c1\neth0"}),
        "left: n1: 1 host-local file of c1 eth0, not 2",
    ),
    "host-local missing": (
        lambda: _node(host_local={}),
        "missing: n1: 1 host-local file of c1 eth0, not 0",
    ),
    "port left": (
        lambda: _node(
            host=msgspec.structs.replace(
                NODE.host, links=(*NODE.host.links, Link(name="veth2", bridge="cbr0"))
            )
        ),
        "left: n1: 2 ports of cbr0, not 1",
    ),
    "port missing": (
        lambda: _node(host=msgspec.structs.replace(NODE.host, links=NODE.host.links[:-1])),
        "missing: n1: 0 ports of cbr0, not 1",
    ),
    "link left on the host": (
        lambda: _node(
            host=msgspec.structs.replace(
                NODE.host, links=(*NODE.host.links, Link(name="danm12", kind="macvlan"))
            )
        ),
        "left: n1: link danm12 (macvlan)",
    ),
    "DanmEp missing": (
        lambda: replace(WORLD, endpoints=ENDPOINTS[:1]),
        "missing: n1, Pod p: the DanmEp of mac0",
    ),
    "DanmEp left": (
        lambda: replace(
            WORLD, endpoints=(*ENDPOINTS, replace(ENDPOINTS[0], name="ep-q", pod_uid="uid-q"))
        ),
        "left: n1: DanmEp ep-q",
    ),
    "DanmEp twice": (
        lambda: replace(WORLD, endpoints=(*ENDPOINTS, replace(ENDPOINTS[1], name="ep-2"))),
        "left: n1: DanmEp ep-2",
    ),
    "DanmEp of an older sandbox": (
        lambda: _endpoint(container_id="c0"),
        "wrong: n1, Pod p: DanmEp ep-mac0: ",
    ),
    "DanmEp with another address": (
        lambda: _endpoint(addresses=frozenset({"10.90.0.6/22"})),
        "wrong: n1, Pod p: DanmEp ep-mac0: ",
    ),
    "address missing in ipam-svc": (
        lambda: replace(WORLD, entries=ENTRIES[1:]),
        "missing: n1, Pod p: address of mac0 in ipam-svc 10.90.0.5",
    ),
    "address left in ipam-svc": (
        lambda: replace(WORLD, entries=(*ENTRIES, replace(ENTRIES[0], holder="uid-q"))),
        "left: n1: 10.90.0.5 of mac, of uid-q mac0",
    ),
    "second address in ipam-svc": (
        lambda: replace(WORLD, entries=(*ENTRIES, replace(ENTRIES[0], address="10.90.0.9"))),
        "left: n1, Pod p: address of mac0 in ipam-svc 10.90.0.9",
    ),
    "address of another node": (
        lambda: replace(WORLD, entries=tuple(replace(each, node="n2") for each in ENTRIES)),
        "left: n2: 10.90.0.5 of mac, of uid-p mac0",
    ),
    "one address, two Pods": (
        lambda: replace(
            WORLD,
            endpoints=(*ENDPOINTS, replace(ENDPOINTS[1], name="ep-q", pod_uid="uid-q")),
        ),
        "wrong: cluster: 10.90.0.5 of mac is told of Pods uid-p, uid-q",
    ),
    "no annotation": (
        lambda: _pod(annotation={}),
        "wrong: n1, Pod p: its annotation tells of none",
    ),
    "annotation of an older sandbox": (
        lambda: _pod(annotation={**POD.annotation, "mac0": frozenset({"10.90.0.4"})}),
        "wrong: n1, Pod p: mac0 in its annotation: 10.90.0.4",
    ),
    "a node that nobody looked at": (
        lambda: replace(WORLD, nodes=()),
        "wrong: n1: nobody has looked at the node of p",
    ),
    "all of a Pod that is gone": (
        lambda: replace(WORLD, pods=()),
        f"left: n1, {PATH} of no Pod that lives: interface eth0",
    ),
}


def test_a_right_world_is_right() -> None:
    """Nothing is said of a world where all is as the Pods want it."""
    assert [] == [str(each) for each in differences(WORLD)]
    empty = World(pods=(), nodes=(), endpoints=(), entries=(), own_links={})
    assert [] == differences(empty)


@pytest.mark.parametrize(
    ("world", "wanted"), [pytest.param(*each, id=name) for name, each in WRONG.items()]
)
def test_a_wrong_world_is_refused(world: Callable[[], World], wanted: str) -> None:
    """What is missing, left or wrong is named, with the node and the Pod."""
    found = [str(each) for each in differences(world())]
    assert any(each.startswith(wanted) for each in found), found


def test_what_a_family_has_no_address_of_has_no_routes() -> None:
    """Routes and rules of a family are wanted only where the interface has addresses of it."""
    six = ("2001:db8:1::/64", "2001:db8::1", "250")
    wanted = (STATIC, replace(DUAL, families=(4,), routes=(*DUAL.routes, six)))
    *others, link = SANDBOX.links
    four = msgspec.structs.replace(link, addresses=("10.90.0.5/22",))
    world = replace(
        _sandbox(links=(*others, four)),
        pods=(
            replace(
                POD,
                wanted=wanted,
                annotation={**POD.annotation, "mac0": frozenset({"10.90.0.5"})},
            ),
        ),
        endpoints=(ENDPOINTS[0], replace(ENDPOINTS[1], addresses=frozenset({"10.90.0.5/22"}))),
        entries=ENTRIES[:1],
    )
    assert [] == [str(each) for each in differences(world)]
