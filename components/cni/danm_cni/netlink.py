"""Interfaces inside a Pod's network namespace, all of a sandbox at once (SPEC D1 to D4, E4).

Blocking: the functions run in threads of ``danm_cni.threads``, one for all interfaces of a sandbox:
the kernel does one change of links after the other anyway. They execute what was planned and decide
nothing.
"""

import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from ipaddress import IPv6Interface
from pathlib import Path
from typing import Final, TypeVar

from danm_api.errors import DanmError, LinkSetupError
from danm_api.netlink_socket import KernelRefusedError
from danm_cni.concurrency import raise_together
from danm_cni.failpoints import Effect, effect
from danm_cni.interface_setup import (
    ChildLink,
    InterfaceSetup,
    LinkFacts,
    PolicyRule,
    TakeDown,
)
from danm_cni.kernel_errors import ignored, told
from danm_cni.neighbours import frame_socket, keep_telling, tell_neighbours
from danm_cni.netns import enter_netns
from danm_cni.plan import PlannedRoute
from danm_cni.rtnetlink import (
    MAIN_TABLE,
    GatewayRoute,
    Link,
    RouteSocket,
)

T = TypeVar("T")
R = TypeVar("R")

_IPV6_SWITCH: Final = "/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
# The kernel compares macvlan links of one parent, in whichever network they are.
_MAC_IN_USE: Final = {
    errno.EADDRINUSE: "another macvlan interface on the same link of the node has its MAC, which "
    "follows from the last three bytes of an IPv4 address unless the runtime asked for one"
}

_NAME_IN_USE: Final = {
    errno.EEXIST: "another interface in the Pod has that name, or has it as an alternative name"
}


def _each(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do something with each, whatever becomes of the others.

    Raises:
        LinkSetupError: The only one that failed.
        SeveralErrors: All that failed.
    """
    results: list[R] = []
    errors: list[DanmError] = []
    for each in items:
        try:
            results.append(work(each))
        except DanmError as error:
            errors.append(error)
    raise_together(errors)
    return results


def read_links(names: Iterable[str]) -> dict[str, LinkFacts]:
    """Read links of this namespace; a missing one is left out."""
    with told("the node's links cannot be read"), RouteSocket() as host:
        found = {name: host.link(name) for name in dict.fromkeys(names)}
    return {name: _facts(link) for name, link in found.items() if link is not None}


def create_and_set_up(
    wanted: Sequence[tuple[ChildLink, InterfaceSetup]], netns: int
) -> list[LinkFacts]:
    """Create links on parents of this namespace in another one, enter it, and set them up.

    Raises:
        LinkSetupError: A parent is missing, or the kernel refused; what was done before stays, for
            the caller to undo.
        SeveralErrors: The same of more than one.
        NetnsGoneError: The namespace is gone.
    """
    with RouteSocket() as host:
        present = _each(lambda each: _create_child(host, each[0], netns), wanted)
    enter_netns(netns)

    def finish(each: tuple[str, InterfaceSetup]) -> LinkFacts:
        name, setup = each
        facts = _set_up(pod, frames, setup, present_name=name)
        keep_telling(setup.name)
        return facts

    with RouteSocket() as pod, frame_socket() as frames:
        return _each(finish, zip(present, (setup for _, setup in wanted), strict=True))


def _create_child(host: RouteSocket, link: ChildLink, netns: int) -> str:
    """Create a link.

    Returns:
        The name that it has for now. Linux before 6.14 refuses a name that *this* namespace has as
        well, such as eth0; then the link gets its final name in its own namespace.
    """
    what = f"{link.kind} interface {link.name} on {link.parent}"
    busy = (
        f"{link.parent} is a port of a bridge or bond, or has children of another kind, and Linux "
        "allows one of ipvlan and macvlan on a link"
    )
    with told(what, {errno.EBUSY: busy, **_NAME_IN_USE}):
        parent = host.link(link.parent)
        if parent is None:
            raise LinkSetupError(
                f"interface {link.name}: this node has no link {link.parent!r}; if the DanmNet has "
                "a vlan or vxlan, netwatcher makes it on host_device: see its log and 'kubectl get "
                "danmnodes', else correct Options.host_device"
            )
        name = link.name if host.link(link.name) is None else _interim_name(link.name)
        with effect(Effect.CREATE_LINK):
            host.add_child(
                link.kind,
                name,
                parent=parent.index,
                netns=netns,
                options=link.options,
                mtu=link.mtu,
                mac=link.mac,
            )
    return name


def _interim_name(name: str) -> str:
    """Return a name that no link of a node has, always the same for one final name."""
    return f"danm{sha256(name.encode()).hexdigest()[:11]}"


def set_up(setup: InterfaceSetup, netns: int) -> LinkFacts:
    """Enter a namespace and give an interface that is there what it needs; tell the neighbours.

    Raises:
        LinkSetupError: The kernel refused; what was done before stays, for the caller to undo.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    with RouteSocket() as pod, frame_socket() as frames:
        return _set_up(pod, frames, setup, present_name=setup.name)


def _set_up(
    pod: RouteSocket, frames: socket.socket, setup: InterfaceSetup, *, present_name: str
) -> LinkFacts:
    with told(f"interface {present_name} cannot be read"):
        link = pod.link(present_name)
    if link is None:
        raise LinkSetupError(f"the Pod has no interface {present_name}")
    if present_name != setup.name:
        what = f"interface {setup.name} cannot get its name"
        with told(what, _NAME_IN_USE), effect(Effect.NAME_LINK):
            pod.rename(link.index, setup.name)
    if any(isinstance(address, IPv6Interface) for address in setup.addresses):
        _enable_ipv6(setup.name)
    for address in setup.addresses:
        with (
            told(f"address {address} on {setup.name}"),
            ignored(errno.EEXIST),
            effect(Effect.ADD_ADDRESS),
        ):
            pod.add_address(link.index, address.ip, address.network.prefixlen)
    with (
        told(f"interface {setup.name} cannot be set up", _MAC_IN_USE),
        effect(Effect.SET_LINK_UP),
    ):
        pod.set_up(link.index, mtu=setup.mtu)
    for route in setup.routes:
        with effect(Effect.ADD_ROUTE):
            _add_route(pod, link, setup.name, route)
    for rule in setup.rules:
        with (
            told(f"rule from {rule.source} lookup {rule.table}"),
            ignored(errno.EEXIST),
            effect(Effect.ADD_RULE),
        ):
            pod.add_rule(rule)
    with effect(Effect.ANNOUNCE):
        tell_neighbours(frames, setup.name, link.mac, setup.addresses)
    return replace(_facts(link), mtu=setup.mtu or link.mtu)


def _facts(link: Link) -> LinkFacts:
    return LinkFacts(mac=link.mac, mtu=link.mtu)


def take_down(downs: Sequence[TakeDown], netns: int) -> None:
    """Enter a namespace and remove interfaces and their rules, where they are there.

    Raises:
        LinkSetupError: The kernel refused; all else was removed.
        SeveralErrors: It refused more than once.
        NetnsGoneError: The namespace is gone, and everything in it.
    """
    enter_netns(netns)
    names = [each.name for each in downs if each.delete_link]
    with RouteSocket() as pod:
        steps = [
            *(partial(_delete_rule, pod, rule) for each in downs for rule in each.rules),
            partial(_delete_links, pod, names),
        ]
        _each(lambda step: step(), steps)


def _delete_rule(pod: RouteSocket, rule: PolicyRule) -> None:
    what = f"rule from {rule.source} lookup {rule.table} cannot be removed"
    with (
        told(what),
        ignored(errno.ENOENT, errno.EAFNOSUPPORT),
        effect(Effect.REMOVE_RULE),
    ):
        pod.delete_rule(rule)


def _delete_links(pod: RouteSocket, names: Sequence[str]) -> None:
    """Remove links under their final or interim names.

    All in one request: the kernel waits at the end of each for everyone who may still look at the
    links, which takes 10 ms and more.
    """
    present: dict[int, str] = {}
    for name in names:
        with told(f"interface {name} cannot be removed"):
            for each in (name, _interim_name(name)):
                link = pod.link(each)
                # One with the name as its alternative one is somebody else's.
                if link is not None and link.name == each:
                    present[link.index] = name
    if len(present) > 1:
        try:
            with effect(Effect.REMOVE_LINK):
                pod.delete_links(list(present))
        except KernelRefusedError:
            # Of one, then; which one is told below.
            pass
        else:
            return
    _each(lambda each: _delete_link(pod, *each), present.items())


def _delete_link(pod: RouteSocket, index: int, name: str) -> None:
    with (
        told(f"interface {name} cannot be removed"),
        ignored(errno.ENODEV),
        effect(Effect.REMOVE_LINK),
    ):
        pod.delete_link(index)


def find_faults(setups: Sequence[InterfaceSetup], netns: int) -> list[str]:
    """Enter a namespace and return what of setups is not there, in words (SPEC C6).

    Raises:
        LinkSetupError: The kernel refused to tell.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    with RouteSocket() as pod, told("the Pod's interfaces cannot be read"):
        links = {each.name: pod.link(each.name) for each in setups}
        held = {(each.link, each.address, each.prefix_length) for each in pod.addresses()}
        routes = set(pod.gateway_routes())
        rules = set(pod.source_rules()) if any(each.rules for each in setups) else set()
    faults: list[str] = []
    for setup in setups:
        link = links[setup.name]
        if link is None:
            faults.append(f"interface {setup.name} is missing")
            continue
        if setup.mac not in (None, link.mac):
            faults.append(f"interface {setup.name} has the MAC {link.mac} and not {setup.mac}")
        faults += [
            f"address {each} is missing on {setup.name}"
            for each in setup.addresses
            if (link.index, each.ip, each.network.prefixlen) not in held
        ]
        faults += [
            f"rule from {each.source} lookup {each.table} is missing"
            for each in setup.rules
            if each not in rules
        ]
        faults += [
            f"route {each.destination} via {each.gateway} is missing on {setup.name}"
            for each in setup.routes
            if _shown(link.index, each) not in routes
        ]
    return faults


def _shown(link: int, route: PlannedRoute) -> tuple[int, str, str, int]:
    table = MAIN_TABLE if route.table is None else route.table
    return (link, str(route.destination), str(route.gateway), table)


def _enable_ipv6(name: str) -> None:
    """Runtimes may create namespaces with IPv6 off; an address asks for it."""
    switch = Path(_IPV6_SWITCH.format(name=name))
    with told(f"IPv6 cannot be enabled on {name}"):
        if switch.exists() and switch.read_text().strip() != "0":
            switch.write_text("0")


def _add_route(pod: RouteSocket, link: Link, name: str, route: PlannedRoute) -> None:
    where = "" if route.table is None else f" in table {route.table}"
    wanted = GatewayRoute(
        destination=route.destination,
        gateway=route.gateway,
        link=link.index,
        table=MAIN_TABLE if route.table is None else route.table,
        metric=route.metric,
    )
    with told(f"route {route.destination} via {route.gateway} on {name}{where}"):
        try:
            pod.add_route(wanted)
        except KernelRefusedError as error:
            # A plugin may have made the very same.
            if error.number != errno.EEXIST or _shown(link.index, route) not in set(
                pod.gateway_routes()
            ):
                raise
