"""A node: a whole danmd on fakes, with the requests that a runtime would send."""

import asyncio
import logging
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import REGISTRY

from danm_api.codec.cni import decode_result
from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.kube.api import DANMEPS, DANMNETS, EVENTS, PODS, RawObject
from danm_api.kube.informer import Informer, ObjectKey
from danm_api.model.cni import CniResult
from danm_api.model.danmnet import DanmNet
from danm_api.names import INTERFACES_ANNOTATION, NodeName
from danm_api.testing.builders import NAMESPACE, NODE, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from danm_cni.config import Config, HostPaths
from danm_cni.daemon import Daemon, Edges
from danm_cni.delegate_config import DpdkSettings
from danm_cni.ipam_request import decode_ipam_request
from danm_cni.networks import Networks
from danm_cni.request import CniRequest, Verb, decode_request
from danm_cni.testing.fake_addresses import FakeAddresses
from danm_cni.testing.fake_kernel import FakeKernel
from danm_cni.testing.fake_plugins import FakeDevices, FakePlugins

_WAIT_S = 30.0


def config_for(root: Path) -> Config:
    """Return settings below a directory."""
    for name in ("etc/cni/net.d", "opt/cni/bin", "image"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("danm", "fakeipam"):
        (root / "image" / name).write_bytes(name.encode())
    return Config(
        pod_uid="",
        node=NodeName(NODE),
        namespace="danm-system",
        paths=HostPaths(
            root=root,
            cni_config="/etc/cni/net.d",
            cni_bin="/opt/cni/bin",
            executables=root / "image",
            state=root / "state",
            run=root / "run",
        ),
        kubeconfig=None,
        ipam_token_file=root / "token",
        fallback=None,
        allowed_static_types=None,
        max_sandboxes=64,
        max_waiting=100,
        max_plugins=32,
        delegates_in_host_mounts=False,
        health_host="127.0.0.1",
        health_port=0,
        dpdk=DpdkSettings(),
        flannel_bridge="cbr0",
        install=True,
        cni_version=None,
    )


class FakeNode:
    """One node with danmd on it.

    Attributes:
        daemon: The present danmd; ``restart`` makes another on the same disk.
    """

    def __init__(self, root: Path, *, config: Config | None = None) -> None:
        """Have an empty cluster and these parents: ens3, ens4, vx_internal, external.300."""
        self.root = root
        self.config = config or config_for(root)
        self.kube = FakeKube()
        self.kernel = FakeKernel("ens3", "ens4", "vx_internal", "external.300")
        self.plugins = FakePlugins(self.kernel)
        self.plugins.fakeipam = self._fakeipam
        self.addresses = FakeAddresses(NODE)
        self.devices = FakeDevices()
        self.daemon = self._loaded_daemon()
        self._tasks: list[asyncio.Task[None]] = []

    def _loaded_daemon(self) -> Daemon:
        daemon = self._new_daemon()
        daemon.load()
        return daemon

    def _new_daemon(self) -> Daemon:
        edges = Edges(
            kernel=self.kernel,
            plugins=self.plugins,
            addresses=self.addresses,
            devices=self.devices,
        )
        return Daemon(self.config, self.kube, edges, networks=Networks(self.kube))

    async def _fakeipam(self, environment: Mapping[str, str], stdin: bytes) -> bytes:
        """Answer a plugin's fakeipam, as danmd does."""
        request, deadline_s = decode_ipam_request(environment, stdin), time.monotonic() + 5.0
        if request.call.verb is Verb.ADD:
            return await self.daemon.delegate_addresses.add(request, deadline_s=deadline_s)
        await self.daemon.delegate_addresses.delete(request, deadline_s=deadline_s)
        return b""

    async def run(self, stop: asyncio.Event) -> None:
        """Run danmd as its process does: the DanmNets are followed beside it."""
        _, networks, _ = self.daemon.informers
        async with followed(networks):
            await self.daemon.run(stop)

    async def start(self) -> None:
        """Let the watches run until they have shown what there is."""
        for informer in self.daemon.informers:
            self._tasks.append(asyncio.create_task(informer.run()))
            await informer.wait_synced(_WAIT_S)
        self._tasks.append(asyncio.create_task(self.daemon.follow_labels()))
        self._tasks.append(asyncio.create_task(self.daemon.statuses.follow()))

    async def stop(self) -> None:
        """End the watches and wait for what runs in the background."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self.daemon.sandboxes.background.cancel()
        self.daemon.allocations.allocations.background.cancel()
        self.daemon.upkeep.cancel()

    async def deafen(self) -> None:
        """Let the watch of DanmNets hear nothing any more, and nobody notice."""
        _, networks, *_ = self._tasks
        networks.cancel()
        await asyncio.gather(networks, return_exceptions=True)

    async def restart(self) -> None:
        """Kill danmd and start another on the same disk."""
        await self.stop()
        self.daemon = self._loaded_daemon()
        await self.start()

    def add_network(
        self, name: str, *, network_type: str | None = None, **options: Any  # noqa: ANN401
    ) -> None:
        """Have a DanmNet that the validator has taken."""
        raw = a_raw_danmnet(name, network_type=network_type, **options)
        net = accepted(decode_danmnet(raw))
        self.kube.add(DANMNETS, {**raw, "status": encode_status(net.status)})

    async def have_network(self, name: str, **options: Any) -> None:  # noqa: ANN401
        """Have one DanmNet more, and wait until danmd knows of it."""
        self.add_network(name, **options)
        key = ObjectKey(namespace=NAMESPACE, name=name)
        await self.until(lambda: self._networks.get(key) is not None)

    async def knows_networks(self, count: int) -> None:
        """Wait until danmd knows of so many DanmNets."""
        await self.until(lambda: len(self._networks.items()) == count)

    @property
    def _networks(self) -> Informer[DanmNet]:
        _, networks, *_ = self.daemon.informers
        return networks

    def add_pod(
        self,
        name: str = "pod-1",
        *,
        interfaces: object = None,
        labels: Mapping[str, str] | None = None,
        uid: str = "",
        on: str = NODE,
    ) -> None:
        """Have a Pod, on this node unless told otherwise, that asks for interfaces."""
        annotations: dict[str, str] = {}
        if interfaces is not None:
            text = interfaces if isinstance(interfaces, str) else _json(interfaces)
            annotations[INTERFACES_ANNOTATION] = text
        raw: RawObject = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "namespace": NAMESPACE,
                "name": name,
                "uid": uid or f"uid-{name}",
                "annotations": annotations,
                "labels": dict(labels or {}),
            },
            "spec": {"nodeName": on},
            "status": {"phase": "Pending"},
        }
        self.kube.add(PODS, raw)

    async def end_pod(self, name: str = "pod-1") -> None:
        """Mark a Pod as terminating, and wait until danmd has seen it."""
        self.kube.mark_deleted(PODS, name, namespace=NAMESPACE)
        pods, _, _ = self.daemon.informers
        key = ObjectKey(namespace=NAMESPACE, name=name)
        await self.until(lambda: bool((pod := pods.get(key)) and pod.deleting))

    async def add(
        self, container_id: str = "c1", *, pod: str = "pod-1", uid: str = "", timeout_s: float = 5.0
    ) -> CniResult:
        """Send an ADD."""
        request = self.request("ADD", container_id, pod=pod, uid=uid)
        answer = await self.daemon.sandboxes.add(request, deadline_s=time.monotonic() + timeout_s)
        return decode_result(answer)

    async def delete(
        self, container_id: str = "c1", *, pod: str = "pod-1", timeout_s: float = 5.0
    ) -> None:
        """Send a DEL."""
        request = self.request("DEL", container_id, pod=pod)
        await self.daemon.sandboxes.ending.delete(
            request, deadline_s=time.monotonic() + timeout_s, informed=True
        )

    async def check(self, container_id: str = "c1", *, timeout_s: float = 5.0) -> None:
        """Send a CHECK."""
        request = self.request("CHECK", container_id)
        await self.daemon.sandboxes.check(request, deadline_s=time.monotonic() + timeout_s)

    async def collect(self, listed: Sequence[Mapping[str, str]], *, name: str = "danm") -> None:
        """Send a GC with the attachments that the runtime still has of a network."""
        valid: dict[str, Any] = {"cni.dev/valid-attachments": listed, "name": name}
        await self.daemon.sandboxes.collect(self.request("GC", "", **valid))

    async def lose_journal(self) -> None:
        """Kill danmd, lose its disk, and start another one."""
        await self.stop()
        shutil.rmtree(self.config.paths.state)
        self.daemon = self._loaded_daemon()
        await self.start()

    def request(
        self,
        verb: str,
        container_id: str,
        *,
        pod: str = "pod-1",
        uid: str = "",
        **config: Any,  # noqa: ANN401
    ) -> CniRequest:
        """Return a request as the runtime sends it."""
        arguments = {
            "IgnoreUnknown": "1",
            "K8S_POD_NAMESPACE": NAMESPACE,
            "K8S_POD_NAME": pod,
            "K8S_POD_INFRA_CONTAINER_ID": container_id,
            "K8S_POD_UID": uid or f"uid-{pod}",
        }
        environment = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": container_id,
            "CNI_NETNS": netns_of(container_id),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in arguments.items()),
        }
        stdin = _json({"cniVersion": "1.1.0", "name": "danm", "type": "danm", **config})
        return decode_request(environment, stdin.encode())

    def interfaces(self, container_id: str = "c1") -> dict[str, list[str]]:
        """Return what the sandbox has: interface -> addresses."""
        return self.kernel.namespaces[netns_of(container_id)].interfaces

    def events(self, reason: str) -> dict[str, str]:
        """Return what is told for a reason: kind and name of the object -> the sentence.

        One for each object, or this fails.
        """
        told: dict[str, str] = {}
        for each in self.kube.all_stored(EVENTS):
            if each["reason"] == reason:
                about = f"{each['regarding']['kind']}/{each['regarding']['name']}"
                assert about not in told
                told[about] = each["note"]
        return told

    def endpoints(self) -> list[RawObject]:
        """Return all DanmEps."""
        return self.kube.all_stored(DANMEPS)

    def write_cni_config(self, name: str, content: object) -> bytes:
        """Have another plugin's configuration; return its bytes."""
        data = _json(content).encode()
        (self.root / "etc/cni/net.d" / name).write_bytes(data)
        return data

    def leftovers(self) -> dict[str, Any]:
        """Return everything that any sandbox has or left; empty when there is nothing."""
        spaces = self.kernel.namespaces.items()
        found = {
            "interfaces": {name: space.interfaces for name, space in spaces if space.interfaces},
            "rules": {name: space.rules for name, space in spaces if space.rules},
            "addresses": self.addresses.entries,
            "DanmEps": [each["metadata"]["name"] for each in self.endpoints()],
            "plugins": self.plugins.alive,
            "journal": [(each.container_id, each.state) for each in self.daemon.journal.records()],
        }
        return {key: value for key, value in found.items() if value}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that watches or the background bring about.

        Raises:
            TimeoutError: It did not come.
        """
        async with asyncio.timeout(_WAIT_S):
            while not condition():
                await asyncio.sleep(0.005)


@asynccontextmanager
async def followed(informer: Informer[Any]) -> AsyncIterator[None]:
    """Have a watch run beside a block."""
    following = asyncio.create_task(informer.run())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def messages_of(records: Iterable[logging.LogRecord]) -> list[str]:
    """Return what log lines say, without their keys."""
    return [
        str(each.msg["event"]) if isinstance(each.msg, dict) else str(each.msg) for each in records
    ]


def counted(name: str) -> float:
    """Return what a metric without labels has counted."""
    return REGISTRY.get_sample_value(name) or 0.0


def netns_of(container_id: str) -> str:
    """Return the path of a sandbox's namespace."""
    return f"/var/run/netns/cni-{container_id}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


@asynccontextmanager
async def a_node(root: Path, *, config: Config | None = None) -> AsyncIterator[FakeNode]:
    """Have a node whose watches run."""
    node = FakeNode(root, config=config)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()
