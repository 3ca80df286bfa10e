"""Entries of this node that no journal knows of: who may have them, and what is given back."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_interface

import pytest

from danm_api.errors import IpamUnavailableError, LinkSetupError
from danm_api.ipam_api import (
    ContainerOwnerMessage,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    Reservation,
)
from danm_api.kube.api import EVENTS
from danm_api.kube.events import EventRecorder
from danm_api.names import NodeName
from danm_api.testing.builders import NAMESPACE
from danm_api.testing.fake_kube import FakeKube
from danm_cni.allocation_journal import AllocationRecord, AllocationState
from danm_cni.journal import InterfaceKind, InterfaceRecord, SandboxRecord, SandboxState
from danm_cni.netns import NetnsGoneError
from danm_cni.news import AddressNews
from danm_cni.pods import NodePods, PodEvents
from danm_cni.strays import Strays
from danm_cni.testing.fake_addresses import Entry, FakeAddresses
from danm_cni.testing.fake_kernel import FakeKernel
from danm_cni.testing.node import counted

_NODE = NodeName("n1")


class _Node:
    """A node with entries and namespaces."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.addresses = FakeAddresses(_NODE)
        self.kernel = FakeKernel()
        events = PodEvents(EventRecorder(self.kube, component="danmd", instance=_NODE))
        self.news = AddressNews(node=_NODE, pods=NodePods(self.kube, _NODE), events=events)
        self.strays = Strays(
            node=_NODE, addresses=self.addresses, kernel=self.kernel, news=self.news
        )

    def hold(
        self, *addresses: str, owner: OwnerMessage | None = None, network: str = "internal"
    ) -> None:
        """Have entries that no journal knows of."""
        for number, address in enumerate(addresses):
            self.addresses.entries.append(
                Entry(
                    owner=owner or PodOwnerMessage(namespace=NAMESPACE, name="p", uid="u"),
                    interface=f"eth{number}",
                    network=network,
                    address=address,
                    attempt=number + 1,
                )
            )

    def has_interface(self, namespace: str, *addresses: str) -> None:
        """Have a namespace with an interface."""
        self.kernel.namespaces[namespace].interfaces["eth0"] = list(addresses)

    async def release(
        self,
        *,
        sandboxes: Sequence[SandboxRecord] = (),
        allocations: Sequence[AllocationRecord] = (),
    ) -> bool:
        """Release what is held, where the journals have these records."""
        return await self.strays.release(
            await self._entries(), sandboxes=sandboxes, allocations=allocations
        )

    async def _entries(self) -> list[Reservation]:
        return list(await self.addresses.node_reservations())

    def held(self) -> list[str]:
        """Return what is still held."""
        return [str(ip_interface(each.address).ip) for each in self.addresses.entries]


def _sandbox(netns: str, *addresses: str) -> SandboxRecord:
    """Return a record of a sandbox, each interface with one address."""
    return SandboxRecord(
        container_id="c1",
        namespace=NAMESPACE,
        pod="p1",
        pod_uid="u1",
        netns=netns,
        state=SandboxState.ADDED,
        interfaces=tuple(
            InterfaceRecord(interface=f"eth{number}", kind=InterfaceKind.OWN, ip=each)
            for number, each in enumerate(addresses)
        ),
    )


def _allocation(netns: str, address: str) -> AllocationRecord:
    return AllocationRecord(
        container_id="c1",
        interface="net2",
        config="bridge",
        owner=PodOwnerMessage(namespace=NAMESPACE, name="p1", uid="u1"),
        network="internal",
        netns=netns,
        state=AllocationState.ADDED,
        ip=address,
    )


@pytest.mark.parametrize(
    "owner",
    [
        PodOwnerMessage(namespace=NAMESPACE, name="p", uid="u"),
        ContainerOwnerMessage(namespace=NAMESPACE, container_id="c9"),
        ExternalOwnerMessage(namespace=NAMESPACE, name="tool"),
    ],
)
async def test_what_nobody_has_is_given_back(owner: OwnerMessage) -> None:
    """Whoever the owner was, each with its own attempt; and it is told."""
    node = _Node()
    node.hold("10.0.0.7/24", "10.0.0.8/24", "2001:db8::7/64", owner=owner)
    # DESIGN, "Nodes fence"
    assert await node.release()
    assert [] == node.held()
    await node.news.tell()
    (event,) = node.kube.all_stored(EVENTS)
    assert all(each in event["note"] for each in ("10.0.0.7", "10.0.0.8", "2001:db8::7"))


async def test_an_address_in_a_namespace_that_nothing_explains_stays() -> None:
    """The journal may have been lost, and the Pod may live: its address is not handed out."""
    node = _Node()
    node.hold("10.0.0.7/24", "10.0.0.8/24", "2001:db8::7/64")
    node.has_interface("/run/netns/lost", "10.0.0.7/24", "2001:db8:0:0::7/64")
    # DESIGN, P3
    assert not await node.release()
    assert ["10.0.0.7", "2001:db8::7"] == node.held()
    assert counted("danmd_unknown_addresses") == 2
    node.has_interface("/run/netns/lost")
    assert await node.release()
    assert counted("danmd_unknown_addresses") == 0


async def test_what_a_journal_explains_is_no_reason_to_keep_an_entry() -> None:
    """Networks may have the same addresses: the record says that it is another one's."""
    node = _Node()
    node.hold("10.0.0.7/24", "10.0.0.8/24", "2001:db8::7/64")
    node.has_interface("/run/netns/known", "10.0.0.7/24", "10.0.0.8/24", "2001:db8::7/64")
    # Runtimes name one directory both ways.
    record = _sandbox("/var/run/netns/known", "10.0.0.7/24", "2001:db8::7/64")
    allocation = _allocation("/var/run/netns/known", "10.0.0.8/24")
    assert await node.release(sandboxes=[record], allocations=[allocation])
    assert [] == node.held()


@pytest.mark.parametrize("netns", ["/var/run/netns/known", "/proc/4711/ns/net"])
async def test_one_record_of_a_namespace_explains_no_other_address(netns: str) -> None:
    """A record that a broken disk has spoilt may have told of it, beside one that can be read."""
    node = _Node()
    node.hold("10.0.0.7/24")
    node.has_interface(netns, "10.0.0.7/24", "10.0.0.8/24")
    # DESIGN, P3
    assert not await node.release(allocations=[_allocation(netns, "10.0.0.8/24")])
    assert ["10.0.0.7"] == node.held()
    node.kernel.gone.add(netns)
    assert await node.release(allocations=[_allocation(netns, "10.0.0.8/24")])
    assert [] == node.held()


async def test_a_namespace_without_name_is_read_too() -> None:
    """Not all runtimes keep namespaces by name; a record says where that of its sandbox is."""
    node = _Node()
    node.hold("10.0.0.7/24")
    node.has_interface("/proc/4711/ns/net", "10.0.0.7/24")
    node.has_interface("", "10.0.0.7/24")
    node.kernel.unnamed |= {"/proc/4711/ns/net", ""}
    assert not await node.release(sandboxes=[_sandbox("/proc/4711/ns/net", "10.0.0.8/24")])
    assert await node.release(sandboxes=[_sandbox("", "10.0.0.8/24")])


async def test_a_namespace_that_goes_meanwhile_has_nothing() -> None:
    """Between the listing and the look a sandbox may end."""
    node = _Node()
    node.hold("10.0.0.7/24")
    node.has_interface("/run/netns/going", "10.0.0.7/24")
    node.kernel.failures.fail("addresses", NetnsGoneError("gone"))
    assert await node.release()
    assert [] == node.held()


async def test_nothing_is_given_back_when_a_namespace_cannot_be_read() -> None:
    """It may have any of the addresses."""
    node = _Node()
    node.hold("10.0.0.7/24")
    node.has_interface("/run/netns/x")
    node.kernel.failures.fail("addresses", LinkSetupError("too many open files"))
    with pytest.raises(LinkSetupError):
        await node.release()
    assert ["10.0.0.7"] == node.held()


async def test_an_entry_that_stays_does_not_keep_the_others() -> None:
    """What ipam-svc did not take is tried again by the next comparison, and told then."""
    node = _Node()
    node.hold("10.0.0.7/24", "10.0.0.8/24")
    node.addresses.failures.fail("release", IpamUnavailableError("away"))
    assert not await node.release()
    assert ["10.0.0.7"] == node.held()
    assert await node.release()
    await node.news.tell()
    (event,) = node.kube.all_stored(EVENTS)
    assert event["note"].count("10.0.0.7") == 1


async def test_without_entries_nothing_is_looked_at() -> None:
    """The usual comparison reads no namespace."""
    node = _Node()
    node.has_interface("/run/netns/x")
    node.kernel.failures.fail("addresses", LinkSetupError("not to be read"))
    assert await node.release()


async def test_ipam_svc_that_answers_nothing_is_waited_for_once() -> None:
    """All entries are asked for at once, and not one after the other."""
    node = _Node()
    node.hold("198.18.0.5/24", "198.18.0.6/24")
    node.addresses.failures.hang("release")
    releasing = asyncio.create_task(node.release())
    async with asyncio.timeout(30):
        while node.addresses.failures.hanging["release"] < 2:
            await asyncio.sleep(0.005)
    releasing.cancel()
    await asyncio.wait([releasing])
    node.addresses.failures.heal()
    assert await node.release()
    assert node.addresses.entries == []
