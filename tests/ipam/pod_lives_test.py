"""Whose address it is while Pods, sandboxes and nodes come and go: danmd and ipam-svc together.

Both are real, and speak HTTPS; the API server, the kernel and other plugins are fakes.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from danm_api.codec.cni import decode_result
from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.codec.ip_block import decode_ip_block
from danm_api.errors import AddressTakenError
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS, PODS
from danm_api.model.ip_block import Held, PodOwner
from danm_api.names import INTERFACES_ANNOTATION, NodeName, PodUid
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from danm_cni.attempts import AttemptCounter
from danm_cni.daemon import Daemon, Edges
from danm_cni.ipam_client import NodeAddresses
from danm_cni.networks import Networks
from danm_cni.testing.node import FakeNode, config_for
from ipam_svc.testing.service import Service, running

_DYNAMIC = '[{"network": "net", "ip": "dynamic"}]'
_STATIC = '[{"network": "net", "ip": "198.18.0.7/24"}]'
_STATIC_ADDRESS = "198.18.0.7"


class World:
    """A cluster with one replica of ipam-svc, one network, and nodes with danmd."""

    def __init__(self, directory: Path, service: Service, stack: AsyncExitStack) -> None:
        """Have a network and no node yet; what is started is ended by the stack."""
        self.kube = service.kube
        self._service = service
        self._directory = directory
        self._stack = stack
        raw = a_raw_danmnet(
            "net", host_device="ens3", cidr="198.18.0.0/24", container_prefix="eth0"
        )
        status = encode_status(accepted(decode_danmnet(raw)).status)
        self.kube.add(DANMNETS, {**raw, "status": status})

    async def node(self, name: str) -> FakeNode:
        """Start danmd on a node of this name."""
        directory = self._directory / name
        directory.mkdir()
        config = dataclasses.replace(config_for(directory), node=NodeName(name))
        node = FakeNode(directory, config=config)
        node.kube = self.kube
        client = await self._stack.enter_async_context(self._service.client(f"danmd-{name}"))
        attempts = AttemptCounter(directory / "attempts", clock_ms=lambda: int(time.time() * 1000))
        addresses = NodeAddresses(client, node=config.node, attempts=attempts)
        edges = Edges(
            kernel=node.kernel, plugins=node.plugins, addresses=addresses, devices=node.devices
        )
        node.daemon = Daemon(config, self.kube, edges, networks=Networks(self.kube))
        node.daemon.load()
        await node.start()
        self._stack.push_async_callback(node.stop)
        # Only what is told to it wakes it up.
        upkeep = asyncio.create_task(node.daemon.upkeep.run(period_s=3600))
        self._stack.push_async_callback(asyncio.wait, {upkeep})
        self._stack.callback(upkeep.cancel)
        return node

    def pod(
        self, name: str, uid: str, node: str, *, annotation: str = _DYNAMIC, mirror_of: str = ""
    ) -> None:
        """Have a Pod on a node; with ``mirror_of``, what stands for a static Pod."""
        annotations = {INTERFACES_ANNOTATION: annotation}
        if mirror_of:
            annotations["kubernetes.io/config.mirror"] = mirror_of
        self.kube.add(
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "namespace": NAMESPACE,
                    "name": name,
                    "uid": uid,
                    "annotations": annotations,
                },
                "spec": {"nodeName": node},
                "status": {"phase": "Running"},
            },
        )

    async def remove_pod(self, name: str) -> None:
        """Remove a Pod's object at once, as kubelet does when all of it has ended."""
        await self.kube.delete(PODS, name, namespace=NAMESPACE)

    def held(self) -> dict[str, str]:
        """Return the uid of each address's owner."""
        blocks = map(decode_ip_block, self.kube.all_stored(DANMIPBLOCKS))
        found: dict[str, str] = {}
        for block in blocks:
            for entry in block.entries:
                if isinstance(entry, Held):
                    assert isinstance(entry.owner, PodOwner)
                    found[str(entry.address)] = entry.owner.uid
        return found


@pytest.fixture()
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Have ipam-svc running."""
    async with running(FakeKube()) as service, AsyncExitStack() as stack:
        yield World(tmp_path, service, stack)


async def _add(
    node: FakeNode, container_id: str, pod: str, uid: str, *, timeout_s: float = 10.0
) -> str:
    """Send an ADD as kubelet does for a Pod of this uid; return the address."""
    request = node.request("ADD", container_id, pod=pod)
    assert request.pod is not None
    request = dataclasses.replace(request, pod=dataclasses.replace(request.pod, uid=PodUid(uid)))
    answer = await node.daemon.sandboxes.add(request, deadline_s=time.monotonic() + timeout_s)
    (ip,) = decode_result(answer).ips
    return str(ip.address.ip)


async def test_a_static_pod_keeps_its_address_whatever_becomes_of_its_mirror(world: World) -> None:
    """Its owner is the uid that kubelet knows, so a mirror that is made anew changes nothing."""
    # DESIGN, "An ADD", 2
    node = await world.node("node-1")
    world.pod("static", "mirror-1", "node-1", mirror_of="hash")
    address = await _add(node, "c1", "static", "hash")
    assert world.held() == {address: "hash"}
    await world.remove_pod("static")
    world.pod("static", "mirror-2", "node-1", mirror_of="hash")
    await node.delete("c1", pod="static")
    assert world.held() == {address: "hash"}
    assert await _add(node, "c2", "static", "hash") == address
    # Its file is removed, or changed: then it has another hash.
    await world.remove_pod("static")
    world.pod("static", "mirror-3", "node-1", mirror_of="other-hash")
    await node.delete("c2", pod="static")
    assert world.held() == {}


async def test_a_pod_of_the_same_name_is_another_owner(world: World) -> None:
    """The successor gets an address of its own, and the late DEL of the old one frees the old's."""
    # SPEC G7
    node = await world.node("node-1")
    world.pod("p", "uid-1", "node-1")
    old = await _add(node, "c1", "p", "uid-1")
    await world.remove_pod("p")
    world.pod("p", "uid-2", "node-1")
    new = await _add(node, "c2", "p", "uid-2")
    assert world.held() == {old: "uid-1", new: "uid-2"}
    await node.delete("c1", pod="p")
    assert world.held() == {new: "uid-2"}
    await node.delete("c1", pod="p")
    assert world.held() == {new: "uid-2"}


async def test_a_finished_jobs_address_comes_back(world: World) -> None:
    """Kubelet tears the sandbox down before it reports the end: the report frees the address."""
    # DESIGN, "When an address is released"
    node = await world.node("node-1")
    world.pod("job", "uid-job", "node-1")
    address = await _add(node, "c1", "job", "uid-job")
    await node.delete("c1", pod="job")
    assert world.held() == {address: "uid-job"}
    await world.kube.patch(
        PODS, "job", {"status": {"phase": "Succeeded"}}, namespace=NAMESPACE, subresource="status"
    )
    await node.until(lambda: world.held() == {})


async def test_the_del_of_a_finished_job_frees_its_address(world: World) -> None:
    """Where the end was reported first, the DEL itself gives the address back."""
    # DESIGN, "When an address is released"
    node = await world.node("node-1")
    world.pod("job", "uid-job", "node-1")
    await _add(node, "c1", "job", "uid-job")
    await world.kube.patch(
        PODS, "job", {"status": {"phase": "Failed"}}, namespace=NAMESPACE, subresource="status"
    )
    await node.delete("c1", pod="job")
    assert world.held() == {}


async def test_a_statefulsets_next_pod_finds_its_static_address_free(world: World) -> None:
    """After the DEL on one node the ADD on another one has the address at once."""
    # DESIGN, "When an address is released"
    first, second = await world.node("node-1"), await world.node("node-2")
    world.pod("web-0", "uid-1", "node-1", annotation=_STATIC)
    assert await _add(first, "c1", "web-0", "uid-1") == _STATIC_ADDRESS
    world.kube.mark_deleted(PODS, "web-0", namespace=NAMESPACE)
    await first.delete("c1", pod="web-0")
    assert world.held() == {}
    await world.remove_pod("web-0")
    world.pod("web-0", "uid-2", "node-2", annotation=_STATIC)
    assert await _add(second, "c2", "web-0", "uid-2") == _STATIC_ADDRESS
    assert world.held() == {_STATIC_ADDRESS: "uid-2"}


async def test_an_add_waits_for_the_end_of_its_predecessor(world: World) -> None:
    """While a Pod on another node still has the address, its successor's ADD waits for it."""
    # DESIGN, "When an address is released"; P3
    first, second = await world.node("node-1"), await world.node("node-2")
    world.pod("web-0", "uid-1", "node-1", annotation=_STATIC)
    await _add(first, "c1", "web-0", "uid-1")
    # Forced deletion: the object goes before the Pod does.
    await world.remove_pod("web-0")
    world.pod("web-0", "uid-2", "node-2", annotation=_STATIC)
    adding = asyncio.create_task(_add(second, "c2", "web-0", "uid-2"))
    await second.until(lambda: second.daemon.journal.of_pod(PodUid("uid-2")) != ())
    assert world.held() == {_STATIC_ADDRESS: "uid-1"}
    await first.delete("c1", pod="web-0")
    assert await adding == _STATIC_ADDRESS
    assert world.held() == {_STATIC_ADDRESS: "uid-2"}
    assert first.interfaces("c1") == {}


async def test_an_add_does_not_take_what_a_pod_keeps(world: World) -> None:
    """When the predecessor does not go in time, the ADD says who has the address."""
    # DESIGN, P3, P7
    first, second = await world.node("node-1"), await world.node("node-2")
    world.pod("web-0", "uid-1", "node-1", annotation=_STATIC)
    await _add(first, "c1", "web-0", "uid-1")
    await world.remove_pod("web-0")
    world.pod("web-0", "uid-2", "node-2", annotation=_STATIC)
    with pytest.raises(AddressTakenError, match="web-0"):
        await _add(second, "c2", "web-0", "uid-2", timeout_s=2.0)
    assert world.held() == {_STATIC_ADDRESS: "uid-1"}


async def test_a_second_sandbox_takes_over_and_the_late_del_frees_nothing(world: World) -> None:
    """A runtime that makes a new sandbox before it has removed the old one keeps the address."""
    # DESIGN, "Attempts fence"
    node = await world.node("node-1")
    world.pod("p", "uid-1", "node-1")
    address = await _add(node, "c1", "p", "uid-1")
    assert await _add(node, "c1", "p", "uid-1") == address
    assert await _add(node, "c2", "p", "uid-1") == address
    await node.delete("c1", pod="p")
    assert world.held() == {address: "uid-1"}
    assert list(node.interfaces("c2")) == ["eth0"]
