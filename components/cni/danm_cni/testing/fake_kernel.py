"""The kernel's links and network namespaces in memory."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_interface

from danm_api.errors import LinkSetupError
from danm_api.model.addresses import IPAddress
from danm_cni.concurrency import all_of
from danm_cni.interface_setup import (
    Address,
    ChildLink,
    InterfaceSetup,
    LinkFacts,
    PolicyRule,
    TakeDown,
)
from danm_cni.netns import NetnsGoneError
from danm_cni.plan import PlannedRoute
from danm_cni.testing.failures import Failures

PARENT_MAC = "02:00:00:00:00:01"


@dataclass(kw_only=True)
class FakeNetns:
    """A namespace: interfaces with their addresses, MACs and MTUs of their own, routes, and rules.

    Attributes:
        parents: The host's links that danmd's own interfaces hang on.
        announced: What the neighbours were told: interface and address.
    """

    interfaces: dict[str, list[str]] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    mtus: dict[str, int] = field(default_factory=dict)
    routes: dict[str, list[PlannedRoute]] = field(default_factory=dict)
    announced: set[tuple[str, str]] = field(default_factory=set)
    rules: set[PolicyRule] = field(default_factory=set)


class FakeKernel:
    """Links and namespaces in memory."""

    def __init__(self, *parents: str) -> None:
        """Have these links on the host."""
        self.host_links = set(parents)
        self.namespaces: dict[str, FakeNetns] = defaultdict(FakeNetns)
        self.gone: set[str] = set()
        # Those that a process alone keeps, as below /proc.
        self.unnamed: set[str] = set()
        # Those that are at the path of another one by now: path -> identity.
        self.identities: dict[str, str] = {}
        self.failures = Failures()

    async def parents(self, names: Sequence[str]) -> Mapping[str, LinkFacts]:
        """Read links of the host."""
        await self.failures.meet("parents")
        facts = LinkFacts(mac=PARENT_MAC, mtu=1500)
        return {name: facts for name in names if name in self.host_links}

    async def create(
        self, wanted: Sequence[tuple[ChildLink, InterfaceSetup]], netns: str
    ) -> Sequence[LinkFacts]:
        """Create links; a failure planned as ``create-half`` comes when one exists."""
        return await all_of(self._create(link, setup, netns) for link, setup in wanted)

    async def _create(self, link: ChildLink, setup: InterfaceSetup, netns: str) -> LinkFacts:
        await self.failures.meet("create")
        space = self._space(netns)
        if link.name in space.interfaces:
            raise LinkSetupError(f"interface {link.name}: File exists")
        space.interfaces[link.name] = []
        space.macs[link.name] = link.mac or PARENT_MAC
        space.parents[link.name] = link.parent
        space.mtus[link.name] = link.mtu or 1500
        await self.failures.meet("create-half")
        return await self.set_up(setup, netns)

    async def set_up(self, setup: InterfaceSetup, netns: str) -> LinkFacts:
        """Add addresses, routes and rules, and set the MTU."""
        await self.failures.meet("set_up")
        space = self._space(netns)
        if setup.name not in space.interfaces:
            raise LinkSetupError(f"the Pod has no interface {setup.name}")
        space.interfaces[setup.name] += [str(each) for each in setup.addresses]
        space.routes[setup.name] = list(setup.routes)
        space.rules |= set(setup.rules)
        if setup.mtu is not None:
            space.mtus[setup.name] = setup.mtu
        await self.announce(setup.name, setup.addresses, netns)
        mtu = space.mtus.get(setup.name, 1500)
        return LinkFacts(mac=space.macs.get(setup.name, PARENT_MAC), mtu=mtu)

    async def announce(self, name: str, addresses: Sequence[Address], netns: str) -> None:
        """Tell the neighbours of an interface that is there."""
        space = self._space(netns)
        if name in space.interfaces:
            space.announced |= {(name, str(each)) for each in addresses}

    async def take_down(self, downs: Sequence[TakeDown], netns: str, *, identity: str = "") -> None:
        """Remove rules and links."""
        if not self.has_netns(netns, identity=identity):
            raise NetnsGoneError(f"the network namespace {netns} is gone")
        await all_of(self._take_down(each, netns) for each in downs)

    async def _take_down(self, down: TakeDown, netns: str) -> None:
        await self.failures.meet("take_down")
        space = self._space(netns)
        space.rules -= set(down.rules)
        if down.delete_link:
            space.interfaces.pop(down.name, None)

    async def faults(self, setups: Sequence[InterfaceSetup], netns: str) -> Sequence[str]:
        """Return what of setups is not there: links, MACs and rules."""
        space = self._space(netns)
        return [fault for each in setups for fault in self._faults(each, space)]

    def _faults(self, setup: InterfaceSetup, space: FakeNetns) -> list[str]:
        links = [] if setup.name in space.interfaces else [f"interface {setup.name} is missing"]
        if setup.mac not in (None, space.macs.get(setup.name)):
            links.append(f"{setup.name} has another MAC than {setup.mac}")
        return links + [f"{rule} is missing" for rule in setup.rules if rule not in space.rules]

    def has_netns(self, netns: str, *, identity: str | None = None) -> bool:
        """Say whether a namespace exists, and is that of an identity."""
        return netns not in self.gone and identity in (None, "", self.identity(netns))

    def identity(self, netns: str) -> str:
        """Return the first one of a path, unless another one is planned to have come."""
        return "" if netns in self.gone else self.identities.get(netns, f"first at {netns}")

    async def addresses(self, netns: str) -> frozenset[IPAddress]:
        """Return the addresses of all interfaces of a namespace."""
        await self.failures.meet("addresses")
        interfaces = self._space(netns).interfaces
        return frozenset(ip_interface(text).ip for texts in interfaces.values() for text in texts)

    async def remove_addresses(self, netns: str, addresses: Collection[IPAddress]) -> None:
        """Take addresses off the interfaces of a namespace."""
        interfaces = self._space(netns).interfaces
        for name, texts in interfaces.items():
            interfaces[name] = [text for text in texts if ip_interface(text).ip not in addresses]

    async def named_namespaces(self) -> Sequence[str]:
        """Return the paths of all namespaces."""
        return [path for path in self.namespaces if path not in self.gone | self.unnamed]

    def _space(self, netns: str) -> FakeNetns:
        if netns in self.gone:
            raise NetnsGoneError(f"the network namespace {netns} is gone")
        return self.namespaces[netns]
