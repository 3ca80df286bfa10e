"""The world outside of danmd, in memory: ipam-svc, the kernel, other plugins."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address, ip_interface

import msgspec

from danm_api.errors import DanmError, DelegateError, LinkSetupError
from danm_api.ipam_api import (
    AttachmentAnswer,
    AttachmentRequest,
    ContainerOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    ReleaseAnswer,
    ReleaseRequest,
    Reservation,
    ReserveAnswer,
)
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
from danm_cni.journal import PluginCall
from danm_cni.netns import NetnsGoneError
from danm_cni.plan import PlannedRoute
from danm_cni.request import Verb

PARENT_MAC = "02:00:00:00:00:01"


class Failures:
    """Errors that the next calls of a name raise, and calls that hang.

    Attributes:
        hanging: How many calls of a name hang now.
    """

    def __init__(self) -> None:
        """Plan nothing."""
        self.hanging: Counter[str] = Counter()
        self._errors: dict[str, list[DanmError]] = defaultdict(list)
        self._hanging: set[str] = set()

    def fail(self, name: str, error: DanmError, *, times: int = 1) -> None:
        """Let the next calls fail."""
        self._errors[name] += [error] * times

    def hang(self, name: str) -> None:
        """Let all calls hang until they are cancelled."""
        self._hanging.add(name)

    def heal(self) -> None:
        """Forget all plans."""
        self._errors.clear()
        self._hanging.clear()

    async def meet(self, name: str) -> None:
        """Do what is planned for a call."""
        if name in self._hanging:
            self.hanging[name] += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.hanging[name] -= 1
        if self._errors[name]:
            raise self._errors[name].pop(0)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Who holds an address."""

    owner: OwnerMessage
    interface: str
    network: str
    address: str
    attempt: int


class FakeAddresses:
    """ipam-svc with one subnet; owners and attempts are judged as by the real one."""

    def __init__(self, node: str) -> None:
        """Hold nothing."""
        self.node = node
        self.entries: list[Entry] = []
        self.fresh: list[bool] = []
        self.via_fakeipam: list[bool] = []
        self.failures = Failures()
        self._attempt = 0
        self._next = 10

    async def reserve(
        self,
        owner: OwnerMessage,
        attachments: Sequence[AttachmentRequest],
        *,
        deadline_s: float,
        note_attempt: Callable[[int], None],
        fresh: bool,
        via_fakeipam: bool = False,
    ) -> ReserveAnswer:
        """Reserve; a failure planned as ``reserve-lost`` comes after the effect."""
        self._attempt += 1
        note_attempt(self._attempt)
        self.fresh.append(fresh)
        self.via_fakeipam.append(via_fakeipam)
        await self.failures.meet("reserve")
        answers = [self._take(owner, each) for each in attachments]
        await self.failures.meet("reserve-lost")
        return ReserveAnswer(attempt=self._attempt, attachments=answers)

    def _take(self, owner: OwnerMessage, wanted: AttachmentRequest) -> AttachmentAnswer:
        taken = {
            key: self._take_one(owner, wanted, asked, new)
            for key, asked, new in (
                ("ip", wanted.ip, f"198.18.0.{self._next}/24"),
                ("ip6", wanted.ip6, f"2001:db8::{self._next:x}/64"),
            )
            if asked != "none"
        }
        self._next += 1
        number = int(ip_address(next(iter(taken.values())).partition("/")[0])) & 0xFFFFFF
        mac = f"fa:16:3e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        return AttachmentAnswer(
            network=wanted.network,
            network_uid=f"uid-{wanted.network}",
            interface=wanted.interface,
            mac=mac,
            **taken,
        )

    def _take_one(
        self, owner: OwnerMessage, wanted: AttachmentRequest, asked: str, new: str
    ) -> str:
        """Return what the owner has already, or take a new one, or the one asked for."""
        address = new if asked == "dynamic" else asked
        for each in self.entries:
            same = (each.network, each.interface) == (wanted.network, wanted.interface)
            if (
                same
                and identity(each.owner) == identity(owner)
                and (":" in each.address) == (":" in new)
            ):
                self.entries.remove(each)
                address = each.address
                break
        self.entries.append(
            Entry(
                owner=owner,
                interface=wanted.interface,
                network=wanted.network,
                address=address,
                attempt=self._attempt,
            )
        )
        return address

    async def release(self, request: ReleaseRequest, *, deadline_s: float) -> ReleaseAnswer:
        """Free what the owner holds under exactly that attempt."""
        await self.failures.meet("release")
        freed = [
            each
            for each in self.entries
            if identity(each.owner) == identity(request.owner)
            and each.attempt == request.attempt
            and each.network in request.networks
            and (not request.interfaces or each.interface in request.interfaces)
        ]
        self.entries = [each for each in self.entries if each not in freed]
        return ReleaseAnswer(released=[self._shown(each) for each in freed])

    async def node_reservations(self) -> Sequence[Reservation]:
        """Return all entries."""
        await self.failures.meet("list")
        return [self._shown(each) for each in self.entries]

    def _shown(self, entry: Entry) -> Reservation:
        return Reservation(
            network=entry.network,
            network_uid=f"uid-{entry.network}",
            address=entry.address.partition("/")[0],
            owner=entry.owner,
            interface=entry.interface,
            node=self.node,
            attempt=entry.attempt,
            since=datetime(2026, 1, 1, tzinfo=UTC),
            mac="",
        )


def identity(owner: OwnerMessage) -> str:
    """Return what tells owners apart."""
    match owner:
        case PodOwnerMessage():
            return owner.uid
        case ContainerOwnerMessage():
            return owner.container_id
    return owner.name


@dataclass(kw_only=True)
class FakeNetns:
    """A namespace: interfaces with their addresses, MACs and MTUs of their own, routes, and rules.

    Attributes:
        announced: What the neighbours were told: interface and address.
    """

    interfaces: dict[str, list[str]] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)
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

    async def take_down(self, downs: Sequence[TakeDown], netns: str) -> None:
        """Remove rules and links."""
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

    def has_netns(self, netns: str) -> bool:
        """Say whether a namespace exists."""
        return netns not in self.gone

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
        return [path for path in self.namespaces if path not in self.gone]

    def _space(self, netns: str) -> FakeNetns:
        if netns in self.gone:
            raise NetnsGoneError(f"the network namespace {netns} is gone")
        return self.namespaces[netns]


class FakeDevices:
    """The kubelet: resource name -> ids, for every Pod."""

    def __init__(self) -> None:
        """Have given nothing."""
        self.given: dict[str, list[str]] = {}
        self.failures = Failures()

    async def devices(self, namespace: str, pod: str) -> Mapping[str, Sequence[str]]:
        """Return what was given."""
        await self.failures.meet("devices")
        return self.given


class FakePlugins:
    """Other plugins, which make an interface in the fake kernel.

    Attributes:
        strays: Containers whose ADD an earlier danmd started and whose plugin still runs: what a
            DEL removes it makes again.
    """

    def __init__(self, kernel: FakeKernel) -> None:
        """Make interfaces there."""
        self._kernel = kernel
        self.failures = Failures()
        self.alive: dict[tuple[str, str, str], bytes] = {}
        self.results: dict[str, bytes] = {}
        self.missing: set[str] = set()
        self.deleted_with: list[bytes] = []
        self.asked: list[tuple[Verb, PluginCall, Mapping[str, str]]] = []
        # What each plugin was last called with for a verb.
        self.environments: dict[tuple[str, Verb], Mapping[str, str]] = {}
        # Those of sandboxes that an earlier danmd has left running.
        self.strays: set[str] = set()

    def require(self, plugin: str, environment: Mapping[str, str]) -> None:
        """Refuse those that are planned to be missing."""
        if plugin in self.missing:
            raise DelegateError(f"plugin {plugin} is not in CNI_PATH", code=7)

    async def run(self, call: PluginCall, *, verb: Verb, environment: Mapping[str, str]) -> bytes:
        """Run; a failure planned as ``TYPE-half`` comes when the interface exists.

        Failures of other verbs are planned as ``TYPE-del``, ``TYPE-check`` and ``TYPE-gc``.
        """
        self.require(call.type, environment)
        self.environments[call.type, verb] = environment
        if verb in {Verb.CHECK, Verb.GC}:
            self.asked.append((verb, call, environment))
            await self.failures.meet(f"{call.type}-{verb.lower()}")
            return b""
        name, netns = environment["CNI_IFNAME"], environment["CNI_NETNS"]
        key = (call.type, environment["CNI_CONTAINERID"], name)
        if verb is Verb.DEL:
            await self.failures.meet(f"{call.type}-del")
            self.deleted_with.append(call.config)
            self.alive.pop(key, None)
            if netns and environment["CNI_CONTAINERID"] not in self.strays:
                self._kernel.namespaces[netns].interfaces.pop(name, None)
            return b""
        await self.failures.meet(call.type)
        self.alive[key] = call.config
        self._kernel.namespaces[netns].interfaces[name] = []
        await self.failures.meet(f"{call.type}-half")
        return self.results.get(call.type) or self._result(call, name, netns)

    async def end_strays(self, container_id: str) -> None:
        """End those that are planned to be left."""
        self.strays.discard(container_id)

    def _result(self, call: PluginCall, name: str, netns: str) -> bytes:
        config = msgspec.json.decode(call.config)
        ipam = config.get("ipam") or {}
        address = f"{ipam['ip']}/24" if "ip" in ipam else "203.0.113.5/24"
        result = {
            "cniVersion": config["cniVersion"],
            "interfaces": [{"name": name, "sandbox": netns, "mac": "02:00:00:00:00:02"}],
            "ips": [{"version": "4", "address": address, "interface": 0}],
        }
        return msgspec.json.encode(result)
