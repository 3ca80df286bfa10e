"""What the seed's demo must look like when it runs. Pure.

Source: examples/seed-demo, docs/specification.md B and D.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from typing import Any, Final

VNF: Final = "example-vnf"
CLIENT: Final = "external-client"
DNS: Final = "demo-dns"
NAMESPACES: Final = (VNF, CLIENT, DNS)
CLUSTER_DOMAIN: Final = "cluster.local"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedInterface:
    """One interface of a Pod.

    Attributes:
        name: In the Pod.
        network: The DanmNet in the Pod's namespace.
        link: The host link that it hangs on; None for a static delegate's.
        first: First address of the pool, inclusive; None for a static delegate's.
        last: Last address of the pool, inclusive.
    """

    name: str
    network: str
    link: str | None = None
    first: str | None = None
    last: str | None = None

    def admits(self, address: str) -> bool:
        """Say whether an address with prefix length is of the right pool."""
        if self.first is None or self.last is None:
            return True
        ip = IPv4Interface(address).ip
        return IPv4Address(self.first) <= ip <= IPv4Address(self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedLink:
    """A host link that every node has.

    Attributes:
        kind: As the kernel names the type of device.
        device: Which of the demo's host devices it hangs on: "external" or "internal".
    """

    kind: str
    device: str


_MANAGEMENT: Final = ExpectedInterface(name="eth0", network="management")
_INTERNAL: Final = ExpectedInterface(
    name="int", network="internal", link="vx_internal", first="10.240.1.100", last="10.240.1.200"
)


def _external(name: str, first: str, last: str) -> ExpectedInterface:
    return ExpectedInterface(
        name=name, network="external", link="external.300", first=first, last=last
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedApp:
    """One Deployment of the demo."""

    namespace: str
    name: str
    replicas: int
    interfaces: tuple[ExpectedInterface, ...]


LOADBALANCER: Final = ExpectedApp(
    namespace=VNF,
    name="loadbalancer",
    replicas=2,
    interfaces=(_MANAGEMENT, _external("ext", "10.100.20.10", "10.100.20.30"), _INTERNAL),
)
PROCESSOR: Final = ExpectedApp(
    namespace=VNF, name="internal-processor", replicas=6, interfaces=(_MANAGEMENT, _INTERNAL)
)
EXTERNAL_CLIENT: Final = ExpectedApp(
    namespace=CLIENT,
    name="external-client",
    replicas=1,
    interfaces=(_external("eth0", "10.100.20.50", "10.100.20.60"),),
)
DNS_SERVER: Final = ExpectedApp(
    namespace=DNS,
    name="demo-dns",
    replicas=1,
    interfaces=(_MANAGEMENT, _external("ext", "10.100.20.100", "10.100.20.100")),
)
APPS: Final = (LOADBALANCER, PROCESSOR, EXTERNAL_CLIENT, DNS_SERVER)
LINKS: Final = {
    "external.300": ExpectedLink(kind="vlan", device="external"),
    "vx_internal": ExpectedLink(kind="vxlan", device="internal"),
}
# Service name -> the application and the interface whose addresses it must answer with.
SERVICES: Final = {
    "vnf-internal-processor": (PROCESSOR, "int"),
    "vnf-internal-lb": (LOADBALANCER, "int"),
    "vnf-external-svc": (LOADBALANCER, "ext"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningPod:
    """One Pod of the demo, as the API server and its DanmEps tell.

    Attributes:
        addresses: IPv4 address with prefix length by interface name.
    """

    app: ExpectedApp
    name: str
    node: str
    addresses: Mapping[str, str]

    def address(self, interface: str) -> str:
        """Return an interface's address without prefix length."""
        return self.addresses[interface].partition("/")[0]


def endpoint_problems(pod: RunningPod) -> list[str]:
    """Return what is wrong with a Pod's DanmEps: one sentence each."""
    problems = []
    expected = {interface.name: interface for interface in pod.app.interfaces}
    if set(pod.addresses) != set(expected):
        found = ", ".join(sorted(pod.addresses)) or "none"
        problems.append(f"{pod.name} has DanmEps for {found}, not for {', '.join(expected)}")
    for name, address in pod.addresses.items():
        if name in expected and not expected[name].admits(address):
            problems.append(f"{pod.name}: {name} has {address}, which is not of its pool")
    return problems


def interface_problems(
    pod: RunningPod,
    seen: Sequence[Mapping[str, Any]],
    link_indices: Mapping[str, int],
) -> list[str]:
    """Return what the kernel shows in a Pod that differs from what was asked for.

    Args:
        pod: The Pod.
        seen: Its interfaces, as examples/programs/interfaces.py prints them.
        link_indices: The interface index of each host link on the Pod's node.
    """
    problems = []
    by_name = {str(interface["name"]): interface for interface in seen}
    for expected in pod.app.interfaces:
        interface = by_name.get(expected.name)
        if interface is None:
            problems.append(f"{pod.name} has no interface {expected.name}")
            continue
        address = pod.addresses.get(expected.name)
        if address not in interface["addresses"]:
            shown = ", ".join(interface["addresses"])
            problems.append(f"{pod.name}: {expected.name} has {shown}, its DanmEp says {address}")
        if expected.link is None:
            continue
        if interface["kind"] != "ipvlan":
            problems.append(f"{pod.name}: {expected.name} is of kind {interface['kind']}")
        if interface["parent_index"] != link_indices[expected.link]:
            problems.append(
                f"{pod.name}: {expected.name} hangs on link {interface['parent_index']} of "
                f"{pod.node}, not on {expected.link}"
            )
    return problems
