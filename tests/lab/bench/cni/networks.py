"""The same Pods for both sides: DanmNets and annotations, and the plugins' configurations. Pure.

The two sides have links of the same kinds, on the same parent, with addresses of subnets of the
same size. They differ in who gives the addresses, and in who calls the plugins.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tests.lab.bench.cni.cases import MOST, SLOW_S, Case, Kind

PARENT: Final = "up0"
VERSION: Final = "1.0.0"
# A static type: its configuration is a file of the node.
BRIDGE_TYPE: Final = "bridge-lan"
SLOW_TYPE: Final = "slow"
FALLBACK_FILE: Final = "50-fallback.conf"
_LAN: Final = "lan"
_BASE: Final = "base"
_SLOW: Final = "slow"
# Second bytes of subnets: 0 to 16 are the wires', below each side's first one.
_OURS: Final = 0
_THEIRS: Final = 100
_BRIDGES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A DanmNet; without a type it is no interface's, but has addresses to give."""

    name: str
    type: str = ""
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One call of a plugin.

    Attributes:
        sandbox_interfaces: How many interfaces of the Pod its result has.
    """

    interface: str
    config: Mapping[str, Any]
    sandbox_interfaces: int = 1


def danm_networks() -> list[Network]:
    """Return the DanmNets of all cases on this machine's kernel."""
    lan = {"cidr": f"10.{_OURS + _BRIDGES}.0.0/16", "fakeipam": True}
    return [
        *(_macvlan_network(number) for number in range(MOST)),
        Network(name=_LAN, options=lan),
        Network(name=_BASE, type=BRIDGE_TYPE),
        Network(name=_SLOW, type=SLOW_TYPE),
    ]


def _macvlan_network(number: int) -> Network:
    return Network(
        name=_wire(number),
        type="macvlan",
        options={"host_device": PARENT, "cidr": f"10.{_OURS + number}.0.0/16"},
    )


def ipvlan_options(number: int) -> Mapping[str, Any]:
    """Return the Options of a DanmNet of the guest."""
    return {"host_device": PARENT, "cidr": f"10.{_OURS + number}.0.0/16"}


def wires(count: int) -> list[str]:
    """Return the names of DanmNets that each have a subnet of their own."""
    return [_wire(number) for number in range(count)]


def _wire(number: int) -> str:
    return f"wire-{number}"


def annotation(case: Case) -> str:
    """Return what a Pod of a case asks; empty for nothing."""
    if case.kind is Kind.FALLBACK:
        return ""
    if case.kind is Kind.SLOW:
        names = [_SLOW] * case.interfaces
    elif case.kind is Kind.BRIDGE:
        names = [_BASE, *wires(case.interfaces)[1:]]
    else:
        names = wires(case.interfaces)
    entries = [
        {"network": name} if name in (_BASE, _SLOW) else {"network": name, "ip": "dynamic"}
        for name in names
    ]
    return msgspec.json.encode(entries).decode()


def node_files() -> dict[str, Mapping[str, Any]]:
    """Return the node's CNI configuration files: of static types, and of the fallback."""
    fakeipam = {"type": "fakeipam", "network": _LAN}
    return {
        f"{BRIDGE_TYPE}.conf": _bridge("danm0", ipam=fakeipam),
        f"{SLOW_TYPE}.conf": {"cniVersion": VERSION, "name": _SLOW, "type": SLOW_TYPE},
        FALLBACK_FILE: _bridge("danm1", ipam=_host_local(_OURS + _BRIDGES + 1)),
    }


def reference(case: Case) -> list[Attachment]:
    """Return the plugins that give the same Pod, in the order in which they are called."""
    if case.kind is Kind.SLOW:
        return []
    if case.kind in (Kind.BRIDGE, Kind.FALLBACK):
        first = _bridge("ref0", ipam=_host_local(_THEIRS + _BRIDGES))
        plugin = "macvlan"
    else:
        plugin = str(case.kind)
        first = _child(plugin, 0)
    others = [_child(plugin, number) for number in range(1, case.interfaces)]
    return [
        Attachment(interface=f"eth{number}", config=config)
        for number, config in enumerate([first, *others])
    ]


def _bridge(name: str, *, ipam: Mapping[str, Any]) -> dict[str, Any]:
    config = {"cniVersion": VERSION, "name": f"by-{name}", "type": "bridge", "bridge": name}
    return {**config, "ipam": ipam}


def _child(plugin: str, number: int) -> dict[str, Any]:
    mode = "bridge" if plugin == "macvlan" else "l2"
    config = {"cniVersion": VERSION, "name": f"ref-{_wire(number)}", "type": plugin}
    config |= {"master": PARENT, "mode": mode}
    return {**config, "ipam": _host_local(_THEIRS + number)}


def _host_local(second: int) -> dict[str, Any]:
    # Where it keeps its files follows from the configuration's name.
    return {"type": "host-local", "ranges": [[{"subnet": f"10.{second}.0.0/16"}]]}


def slow_plugin() -> str:
    """Return a plugin that takes its time: a shell script."""
    answer = (
        f'{{"cniVersion":"{VERSION}","interfaces":[{{"name":"%s","sandbox":"%s"}}],'
        '"ips":[{"address":"192.0.2.1/24","interface":0}]}'
    )
    return "\n".join(
        (
            "#!/bin/sh",
            f"sleep {SLOW_S}",
            f"[ $CNI_COMMAND = DEL ] || printf '{answer}' $CNI_IFNAME $CNI_NETNS",
            "",
        )
    )
