"""The node role against a kernel and an API server in memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address

import pytest
from prometheus_client import REGISTRY

from danm_api.codec.danmep import encode_danmep
from danm_api.codec.danmnet import decode_danmnet, encode_spec, encode_status
from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import DANMEPS, DANMNETS, RawObject
from danm_api.kube.informer import Change, Informer, ObjectKey
from danm_api.kube.workqueue import WorkQueue, run_workers
from danm_api.labels import DANMNET_FINALIZER
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.model.danmnet import DanmNet, NetworkSpec, NodeSum, Usage, Vlan, Vxlan
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)
from danm_api.testing.clock import FakeClock
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S
from netwatcher.kernel import EventsLost
from netwatcher.link_states import LinkStates, node_networks
from netwatcher.links import ObservedAddress, ObservedVlan, OtherKind, alias_for
from netwatcher.metrics import LINK_REPAIRS
from netwatcher.plan import CreateVlan, CreateVxlan, Delete, Rename
from netwatcher.reconciler import (
    BY_LINK,
    BY_PARENT,
    CheckAll,
    CheckLink,
    LinkReconciler,
    Task,
    link_names,
    parent_names,
)
from netwatcher.testing.fake_kernel import FakeKernel
from netwatcher.testing.networks import a_net
from netwatcher.users import ClusterLinkUsers

NODE = NodeName("node-1")
EXTERNAL = a_net(segment=Vlan(vid=300))
INTERNAL = a_net("internal", segment=Vxlan(vni=600), device="ens3")
ADDRESS = ObservedAddress(address=ip_address("198.18.0.1"), is_global=True, is_stable=True)
IPV6_ADDRESS = replace(ADDRESS, address=ip_address("2001:db8::1"))
OTHER_ADDRESS = replace(ADDRESS, address=ip_address("198.18.0.2"))


def raw_net(net: DanmNet) -> RawObject:
    """Return a DanmNet as the API server has it after the validator accepted it."""
    assert isinstance(net.spec, NetworkSpec)
    return {
        "apiVersion": "danm.k8s.io/v1",
        "kind": "DanmNet",
        "metadata": {"namespace": net.namespace, "name": net.name},
        "spec": encode_spec(net.spec),
        "status": encode_status(net.status),
    }


def a_danmep(network: str, *, node: str = NODE, namespace: str = "n") -> RawObject:
    """Return the record of an interface on a network."""
    return encode_danmep(
        DanmEp(
            namespace=Namespace(namespace),
            name=f"ep-{network}-{node}",
            network=NetworkName(network),
            network_type="ipvlan",
            endpoint_id="e",
            interface=EndpointInterface(name=InterfaceName("ext")),
            node=NodeName(node),
            pod=PodName("client"),
            pod_uid=PodUid("u"),
            container_id=ContainerId("c"),
            netns="/run/netns/x",
        )
    )


@dataclass
class Lab:
    """One node."""

    api: FakeKube
    kernel: FakeKernel
    networks: Informer[DanmNet]
    queue: WorkQueue[Task]
    states: LinkStates
    reconciler: LinkReconciler

    def reason(self, network: str) -> str:
        """Return why a network is not up; empty when it is."""
        found = [
            entry
            for entry in node_networks(self.networks.items(), self.states)
            if entry.network == network
        ]
        return found[0].reason if found else "not known"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(HANGS_S):
            while not condition():
                await asyncio.sleep(0.001)

    async def delete(self, net: DanmNet) -> None:
        """Delete a DanmNet."""
        await self.api.delete(DANMNETS, net.name, namespace=net.namespace)


@asynccontextmanager
async def a_lab(
    api: FakeKube, kernel: FakeKernel, *, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Lab]:
    """Run the node role."""
    networks = Informer(
        api,
        DANMNETS,
        decode_danmnet,
        indexers={BY_LINK: link_names, BY_PARENT: parent_names},
    )
    queue: WorkQueue[Task] = WorkQueue(clock=clock, base_delay_s=0.001, max_delay_s=0.01)
    states = LinkStates(on_change=lambda: None)
    reconciler = LinkReconciler(
        networks=networks,
        kernel=kernel,
        users=ClusterLinkUsers(api=api, kernel=kernel, node=NODE),
        queue=queue,
        states=states,
        users_recheck_s=0.001,
        ipv4_wait_s=60,
        clock=clock,
        rng=lambda: 0.5,
    )
    tasks = [asyncio.create_task(networks.run())]
    await networks.wait_synced(HANGS_S)
    networks.subscribe(reconciler.on_network)
    await kernel.subscribe(reconciler.on_event)
    queue.add(CheckAll())
    tasks.append(
        asyncio.create_task(run_workers(queue, reconciler.reconcile, concurrency=1, name="links"))
    )
    try:
        yield Lab(api, kernel, networks, queue, states, reconciler)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture()
async def lab() -> AsyncIterator[Lab]:
    """Run the node role with the demo's two networks."""
    api, kernel = FakeKube(), FakeKernel()
    kernel.add_parent("ens3", ADDRESS)
    kernel.add_parent("ens4")
    for net in (EXTERNAL, INTERNAL):
        api.add(DANMNETS, raw_net(net))
    async with a_lab(api, kernel) as running:
        await running.until(
            lambda: running.reason("external") == "" and running.reason("internal") == ""
        )
        yield running


async def test_the_links_of_all_networks_come_up(lab: Lab) -> None:
    """A new node gets what is there already."""  # SPEC N2
    assert lab.kernel.names() == {"ens3", "ens4", "external.300", "vx_internal"}
    link = lab.kernel.named("external.300")
    assert link.up
    assert link.alias == alias_for(InterfaceName("external.300"))


async def test_a_link_goes_with_the_last_network_that_needs_it(lab: Lab) -> None:
    """Two DanmNets share a link: deleting one does not cut the other."""  # SPEC N2, N3
    other = replace(EXTERNAL, namespace=Namespace("m"))
    lab.api.add(DANMNETS, raw_net(other))
    await lab.until(lambda: len(lab.networks.items()) == 3)
    await lab.delete(EXTERNAL)
    await lab.until(lambda: len(lab.networks.items()) == 2)
    await lab.until(lambda: len(lab.queue) == 0)
    assert "external.300" in lab.kernel.names()
    await lab.delete(other)
    await lab.until(lambda: "external.300" not in lab.kernel.names())


async def test_a_link_stays_while_a_pod_of_the_node_uses_it(lab: Lab) -> None:
    """The DanmEp of an interface keeps its link, also when the DanmNet was removed by force."""
    lab.api.add(DANMEPS, a_danmep("external"))  # SPEC N2
    await lab.delete(EXTERNAL)
    await lab.until(lambda: lab.api.calls[("list", DANMEPS.plural)] >= 2)
    assert "external.300" in lab.kernel.names()
    await lab.api.delete(DANMEPS, "ep-external-node-1", namespace="n")
    await lab.until(lambda: "external.300" not in lab.kernel.names())


async def test_the_nodes_of_a_large_cluster_do_not_ask_for_users_at_once() -> None:
    """Nothing waits for a link that nobody wants; the API server would, for its answers to all."""
    # DESIGN P6
    api, kernel, clock = FakeKube(), FakeKernel(), FakeClock()
    kernel.add_parent("ens4")
    nodes = NodeSum(ready=2000, total=2000)
    net = replace(EXTERNAL, status=replace(EXTERNAL.status, nodes=nodes))
    api.add(DANMNETS, raw_net(net))
    async with a_lab(api, kernel, clock=clock) as lab:
        await lab.until(lambda: lab.reason("external") == "")
        await lab.delete(net)
        await lab.until(lambda: not lab.networks.items())
        # Whatever is done at once is done.
        for _ in range(1000):
            await asyncio.sleep(0)
        assert "external.300" in kernel.names()
        assert lab.api.calls["list", DANMEPS.plural] == 0
        clock.advance(2)
        lab.queue.add(CheckLink(InterfaceName("another")))
        await lab.until(lambda: "external.300" not in kernel.names())


async def test_a_deleted_network_keeps_its_link_until_it_goes(lab: Lab) -> None:
    """While something uses it, on any node, its link stays and is repaired."""  # SPEC A5
    used, unused = ({"metadata": {"finalizers": each}} for each in ([DANMNET_FINALIZER], []))
    await lab.api.patch(DANMNETS, "external", used, namespace="n")
    await lab.delete(EXTERNAL)
    await lab.until(lambda: any(net.deleting for net in lab.networks.items()))
    lab.kernel.remove("external.300")
    await lab.until(lambda: "external.300" in lab.kernel.names())
    await lab.until(lambda: lab.reason("external") == "")
    assert not any(isinstance(action, Delete) for action in lab.kernel.executed)
    await lab.api.patch(DANMNETS, "external", unused, namespace="n")
    await lab.until(lambda: "external.300" not in lab.kernel.names())


async def test_a_pod_of_another_node_keeps_no_link(lab: Lab) -> None:
    """Each node looks at its own Pods only."""
    lab.api.add(DANMEPS, a_danmep("external", node="node-2"))
    await lab.delete(EXTERNAL)
    await lab.until(lambda: "external.300" not in lab.kernel.names())


async def test_a_link_stays_while_nobody_can_tell_who_uses_it(lab: Lab) -> None:
    """An API server that is away never costs a Pod its network."""  # DESIGN P5
    error = ApiUnavailableError("away", status=0)
    lab.api.fail_next("list", DANMEPS, error, times=3)
    await lab.delete(EXTERNAL)
    await lab.until(lambda: lab.api.calls[("list", DANMEPS.plural)] == 3)
    assert "external.300" in lab.kernel.names()
    await lab.until(lambda: "external.300" not in lab.kernel.names())


async def down_by_hand(lab: Lab) -> None:
    """Set a link down."""
    lab.kernel.change("external.300", up=False)


async def removed_by_hand(lab: Lab) -> None:
    """Remove a link."""
    lab.kernel.remove("external.300")


async def renamed_by_hand(lab: Lab) -> None:
    """Rename a link."""
    lab.kernel.change("external.300", renamed_to="oops")


async def moved_to_another_mtu(lab: Lab) -> None:
    """Change a link's MTU."""
    lab.kernel.change("external.300", mtu=1280)


async def missed_its_removal(lab: Lab) -> None:
    """Remove a link while the event socket runs over."""
    lab.kernel.silent = True
    lab.kernel.remove("external.300")
    lab.kernel.silent = False
    lab.reconciler.on_event(EventsLost())


def lost(link: str) -> float:
    """Return how often a link that was up was not."""
    count = REGISTRY.get_sample_value("danm_netwatcher_link_losses_total", {"link": link})
    assert count is not None
    return count


def told_up(link: str) -> float | None:
    """Return what the metric of a link says; None where there is none."""
    return REGISTRY.get_sample_value("danm_netwatcher_link_up", {"link": link})


async def lost_its_parent(lab: Lab) -> None:
    """Unplug the device for a while, and let it come back as another one."""
    lab.kernel.remove("ens4")
    await lab.until(lambda: "ens4 does not exist" in lab.reason("external"))
    lab.kernel.add_parent("ens4", up=False)
    await lab.until(lambda: "ens4 is down" in lab.reason("external"))
    lab.kernel.change("ens4", up=True)


def repairs() -> dict[str, float]:
    """Return how many repairs were counted, by what had happened."""
    return {
        sample.labels["damage"]: sample.value
        for family in LINK_REPAIRS.collect()
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("damage", "counted"),
    [
        pytest.param(down_by_hand, "down", id="down"),
        pytest.param(removed_by_hand, "deleted", id="removed"),
        pytest.param(renamed_by_hand, "renamed", id="renamed"),
        pytest.param(moved_to_another_mtu, "mtu", id="mtu"),
        pytest.param(missed_its_removal, "deleted", id="missed"),
        # Until it was back nobody could have had the link.
        pytest.param(lost_its_parent, None, id="parent"),
    ],
)
async def test_damage_is_repaired(
    lab: Lab, damage: Callable[[Lab], Awaitable[None]], counted: str | None
) -> None:
    """The link is as it was, whatever was done to it, and its neighbour was left alone."""
    counts = repairs()
    before = lab.kernel.named("external.300")  # SPEC N4
    neighbour = lab.kernel.named("vx_internal")
    losses, neighbours_losses = lost("external.300"), lost("vx_internal")
    await damage(lab)

    def repaired() -> bool:
        if "external.300" not in lab.kernel.names():
            return False
        link = lab.kernel.named("external.300")
        return replace(link, index=0, kind=before.kind) == replace(before, index=0)

    await lab.until(repaired)
    await lab.until(lambda: lab.reason("external") == "")
    assert lab.kernel.named("vx_internal") == neighbour
    if counted is None:
        assert repairs() == counts
    else:
        assert repairs()[counted] == counts.get(counted, 0) + 1
    # Whoever has one link mended again and again sees which.
    await lab.until(lambda: lost("external.300") == losses + 1)
    assert lost("vx_internal") == neighbours_losses


async def test_each_link_is_told_up_or_down(lab: Lab) -> None:
    """Who knows which was up before sees which is lost; a device that never was there is none."""
    lab.api.add(DANMNETS, raw_net(a_net("absent", device="ens9")))
    await lab.until(lambda: told_up("ens9") == 0)
    assert told_up("external.300") == told_up("vx_internal") == 1
    lab.kernel.remove("ens4")
    await lab.until(lambda: told_up("external.300") == 0)
    lab.kernel.add_parent("ens4")
    await lab.until(lambda: told_up("external.300") == 1)
    assert told_up("vx_internal") == 1
    await lab.api.delete(DANMNETS, "absent", namespace="n")
    await lab.until(lambda: told_up("ens9") is None)


async def test_nobody_misses_a_link_that_has_to_go(lab: Lab) -> None:
    """Also while a Pod keeps it: no network wants it any more."""
    lab.api.add(DANMEPS, a_danmep("external"))
    await lab.until(lambda: told_up("external.300") == 1)
    await lab.delete(EXTERNAL)
    await lab.until(lambda: told_up("external.300") is None)
    assert "external.300" in lab.kernel.names()
    assert not lab.states.is_up(InterfaceName("external.300"))


async def test_a_renamed_link_keeps_what_hangs_on_it(lab: Lab) -> None:
    """It is given its name back, and is not made anew."""  # SPEC N4
    index = lab.kernel.named("external.300").index
    lab.kernel.change("external.300", renamed_to="oops")
    await lab.until(lambda: "external.300" in lab.kernel.names())
    assert lab.kernel.named("external.300").index == index
    assert any(isinstance(action, Rename) for action in lab.kernel.executed)


async def test_links_that_changed_names_get_their_own_back(lab: Lab) -> None:
    """Both are ours: neither is in the other's way for ever."""  # SPEC N4
    names = ("external.300", "vx_internal")
    indices = {name: lab.kernel.named(name).index for name in names}
    lab.kernel.silent = True
    for old, new in ((names[0], "oops"), (names[1], names[0]), ("oops", names[1])):
        lab.kernel.change(old, renamed_to=new)
    lab.kernel.silent = False
    lab.reconciler.on_event(EventsLost())
    await lab.until(
        lambda: set(names) <= lab.kernel.names()
        and {name: lab.kernel.named(name).index for name in names} == indices
    )
    await lab.until(lambda: lab.reason("external") == lab.reason("internal") == "")


async def test_a_renamed_link_goes_also_when_another_took_its_name(lab: Lab) -> None:
    """With the last DanmNet that needs it, and the foreign link stays."""  # SPEC N2; DESIGN P2
    index = lab.kernel.named("external.300").index
    lab.kernel.silent = True
    lab.kernel.change("external.300", renamed_to="oops")
    lab.kernel.add_foreign("external.300", OtherKind(name="dummy"))
    lab.kernel.silent = False
    lab.reconciler.on_event(EventsLost())
    await lab.until(lambda: "DANM did not make" in lab.reason("external"))
    await lab.delete(EXTERNAL)
    await lab.until(lambda: "oops" not in lab.kernel.names())
    assert lab.kernel.named("external.300").index != index


async def test_the_mtu_follows_the_parent(lab: Lab) -> None:
    """Links grow and shrink with the device that they are on."""
    lab.kernel.change("ens3", mtu=9000)
    await lab.until(lambda: lab.kernel.named("vx_internal").mtu == 8950)


async def test_a_tunnel_follows_its_parents_address(lab: Lab) -> None:
    """A node that gets another address stays on the network, link and all."""  # SPEC N2
    link = lab.kernel.named("vx_internal")
    parent = lab.kernel.named("ens3").index
    lab.kernel.set_addresses(parent, OTHER_ADDRESS)

    def moved() -> bool:
        kind = lab.kernel.named("vx_internal").kind
        return getattr(kind, "source", None) == OTHER_ADDRESS.address

    await lab.until(moved)
    assert lab.kernel.named("vx_internal").index == link.index


async def test_a_tunnel_comes_back_with_the_address_that_it_had(lab: Lab) -> None:
    """A device that is replaced gets the old one's address, after the tunnel has looked for it."""
    # SPEC N4
    lab.kernel.remove("ens3")
    index = lab.kernel.add_foreign("ens3", OtherKind(name=""))
    await lab.until(lambda: "address" in lab.reason("internal"))
    lab.kernel.set_addresses(index, ADDRESS)
    await lab.until(lambda: lab.reason("internal") == "")


async def test_a_tunnel_of_a_node_that_boots_waits_for_ipv4() -> None:
    """Its IPv6 address is there first, and the records of its Pods are there since before."""
    api, kernel = FakeKube(), FakeKernel()  # SPEC N2, N6
    parent = kernel.add_parent("ens3", IPV6_ADDRESS)
    api.add(DANMNETS, raw_net(INTERNAL))
    api.add(DANMEPS, a_danmep("internal"))
    async with a_lab(api, kernel, clock=FakeClock()) as lab:
        await lab.until(lambda: "no IPv4 address yet" in lab.reason("internal"))
        kernel.set_addresses(parent, IPV6_ADDRESS, ADDRESS)
        await lab.until(lambda: lab.reason("internal") == "")
    (created,) = kernel.executed
    assert isinstance(created, CreateVxlan)
    assert (created.source, created.group) == (ADDRESS.address, ip_address("239.0.2.88"))


async def test_a_tunnel_of_a_node_without_ipv4_comes_by_itself() -> None:
    """When it has waited long enough."""  # SPEC N2, N4
    api, kernel = FakeKube(), FakeKernel()
    kernel.add_parent("ens3", IPV6_ADDRESS)
    api.add(DANMNETS, raw_net(INTERNAL))
    clock = FakeClock()
    async with a_lab(api, kernel, clock=clock) as lab:
        await lab.until(lambda: "no IPv4 address yet" in lab.reason("internal"))
        clock.advance(60)
        # The queue looks at its clock when something comes, or when real time has passed.
        lab.queue.add(CheckLink(InterfaceName("another")))
        await lab.until(lambda: lab.reason("internal") == "")
    (created,) = kernel.executed
    assert isinstance(created, CreateVxlan)
    assert created.source == IPV6_ADDRESS.address


async def test_a_tunnel_outlives_the_loss_of_ipv4_for_a_moment() -> None:
    """Though no Pod is on it yet: the next one may come in that moment."""  # SPEC N2
    api, kernel = FakeKube(), FakeKernel()
    parent = kernel.add_parent("ens3", IPV6_ADDRESS, ADDRESS)
    api.add(DANMNETS, raw_net(INTERNAL))
    clock = FakeClock()
    clock.advance(3600)
    async with a_lab(api, kernel, clock=clock) as lab:
        await lab.until(lambda: lab.reason("internal") == "")
        link = kernel.named("vx_internal")
        kernel.set_addresses(parent, IPV6_ADDRESS)
        await lab.until(lambda: "no IPv4 address yet" in lab.reason("internal"))
        kernel.set_addresses(parent, IPV6_ADDRESS, ADDRESS)
        await lab.until(lambda: lab.reason("internal") == "")
    assert kernel.named("vx_internal") == link


async def test_a_device_may_be_called_by_an_alternative_name() -> None:
    """Whatever happens to it is heard of under its own name, and is repaired at once."""  # SPEC N4
    api, kernel = FakeKube(), FakeKernel()
    for net in (EXTERNAL, INTERNAL):
        raw = raw_net(net)
        for options in (raw["spec"]["Options"], raw["status"]["applied"]["Options"]):
            options["host_device"] = "uplink"
        api.add(DANMNETS, raw)
    async with a_lab(api, kernel) as lab:
        await lab.until(lambda: "uplink does not exist" in lab.reason("internal"))
        index = kernel.add_parent("ens3", ADDRESS, altnames=["uplink"])
        await lab.until(lambda: lab.reason("internal") == lab.reason("external") == "")
        assert kernel.named("external.300").kind == ObservedVlan(parent_index=index, vid=300)
        kernel.set_addresses(index, OTHER_ADDRESS)
        await lab.until(
            lambda: getattr(kernel.named("vx_internal").kind, "source", None)
            == OTHER_ADDRESS.address
        )
        kernel.remove("ens3")
        await lab.until(lambda: "uplink does not exist" in lab.reason("internal"))
        index = kernel.add_foreign("ens9", OtherKind(name=""), altnames=["uplink"])
        await lab.until(lambda: "no global IPv4" in lab.reason("internal"))
        kernel.set_addresses(index, OTHER_ADDRESS)
        await lab.until(lambda: lab.reason("internal") == lab.reason("external") == "")
        lab.queue.add(CheckAll())
        await lab.until(lambda: len(lab.queue) == 0)
    made = [each for each in kernel.executed if isinstance(each, CreateVlan | CreateVxlan)]
    assert sorted(each.name for each in made) == [*["external.300"] * 2, *["vx_internal"] * 2]


async def test_a_foreign_link_is_never_touched() -> None:
    """A link of the name that DANM did not make stays, and DanmNode says so."""  # SPEC N4, N6
    api, kernel = FakeKube(), FakeKernel()
    kernel.add_parent("ens4")
    kernel.add_foreign("external.300", OtherKind(name="dummy"))
    foreign = kernel.named("external.300")
    api.add(DANMNETS, raw_net(EXTERNAL))
    async with a_lab(api, kernel) as lab:
        await lab.until(lambda: "DANM did not make" in lab.reason("external"))
        await lab.delete(EXTERNAL)
        await lab.until(lambda: lab.reason("external") == "not known")
        await lab.until(lambda: len(lab.queue) == 0)
    assert kernel.named("external.300") == foreign
    assert kernel.executed == []


async def test_a_half_made_link_is_finished() -> None:
    """A netwatcher that dies between two requests leaves nothing foreign behind."""  # SPEC N4
    api, kernel = FakeKube(), FakeKernel()
    kernel.add_parent("ens4")
    kernel.die_after_next_create()
    api.add(DANMNETS, raw_net(EXTERNAL))
    async with a_lab(api, kernel) as lab:
        await lab.until(lambda: lab.reason("external") == "")
    link = kernel.named("external.300")
    assert link.up
    assert link.alias == alias_for(InterfaceName("external.300"))
    assert sum(isinstance(action, CreateVlan) for action in kernel.executed) == 1


async def test_a_left_over_link_is_removed_at_start() -> None:
    """What was deleted while netwatcher was away goes when it is back."""  # SPEC N4
    api, kernel = FakeKube(), FakeKernel()
    kernel.add_parent("ens4")
    api.add(DANMNETS, raw_net(EXTERNAL))
    async with a_lab(api, kernel) as lab:
        await lab.until(lambda: lab.reason("external") == "")
    await api.delete(DANMNETS, EXTERNAL.name, namespace=EXTERNAL.namespace)
    async with a_lab(api, kernel) as lab:
        await lab.until(lambda: "external.300" not in kernel.names())


async def test_a_changed_vlan_waits_for_the_nodes_pods(lab: Lab) -> None:
    """The old link stays under the Pods, and the new one comes beside it."""  # SPEC N2, N5
    lab.api.add(DANMEPS, a_danmep("external"))
    moved = a_net(segment=Vlan(vid=301))
    await lab.api.patch(
        DANMNETS,
        "external",
        {"status": raw_net(moved)["status"]},
        namespace="n",
        subresource="status",
    )
    await lab.until(lambda: "external.301" in lab.kernel.names())
    assert "external.300" in lab.kernel.names()
    await lab.api.delete(DANMEPS, "ep-external-node-1", namespace="n")
    await lab.until(lambda: "external.300" not in lab.kernel.names())
    assert sum(isinstance(action, Delete) for action in lab.kernel.executed) == 1


async def test_events_of_pods_cost_nothing(lab: Lab) -> None:
    """The interfaces of thousands of Pods come and go without any work."""  # DESIGN P6
    await lab.until(lambda: len(lab.queue) == 0)
    for number in range(100):
        lab.kernel.add_foreign(f"veth{number}", OtherKind(name="veth"))
        lab.kernel.remove(f"veth{number}")
    assert len(lab.queue) == 0


async def test_news_of_usage_cost_nothing(lab: Lab) -> None:
    """How full a network is, every node hears of, and none has work with it."""  # DESIGN P6
    await lab.until(lambda: len(lab.queue) == 0)
    (old,) = lab.networks.by_index(BY_LINK, "external.300")
    usage = Usage(total=21, used=1, free=20, ranges="10.100.20.10")
    new = replace(old, status=replace(old.status, ipv4=usage), resource_version="99")
    key = ObjectKey(namespace=old.namespace, name=old.name)
    lab.reconciler.on_network(Change(key=key, old=old, new=new))
    assert len(lab.queue) == 0
    lab.reconciler.on_network(Change(key=key, old=old, new=None))
    assert len(lab.queue) == 1
