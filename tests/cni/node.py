"""A node in a network namespace of its own, whose container runtime is the test.

Real are danmd's flow and socket, its kernel and plugin edges, the executables and the reference
plugins. The API server and ipam-svc are fakes: what is looked at is CNI.
"""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.kube.api import DANMEPS, DANMNETS, PODS, RawObject
from danm_api.names import INTERFACES_ANNOTATION
from danm_api.testing.builders import NAMESPACE, NODE, a_raw_danmnet, accepted
from danm_api.testing.fake_kube import FakeKube
from danm_cni.config import Config, HostPaths
from danm_cni.daemon import Daemon, Edges
from danm_cni.kernel import KernelInterfaces
from danm_cni.networks import Networks
from danm_cni.processes import PluginProcesses
from danm_cni.testing.fake_addresses import FakeAddresses
from danm_cni.testing.fake_plugins import FakeDevices
from danm_cni.testing.node import config_for, followed
from tests.cni.executables import call_executable, install_executables
from tests.cni.sandbox import Sandbox, a_sandbox
from tests.cni.strict import Outcome
from tests.cni.table import NEWEST, Backend, Kind, backends, static_file
from tests.ipam.plugin_node import PARENT, node_network
from tests.lab.binaries import CNI_PLUGINS, CNITOOL, Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.process import wait_until
from tests.lab.progress import Progress

T = TypeVar("T")

_ROOT: Final = Path("/")
_WAIT_S: Final = 30.0
# What FakeAddresses gives addresses of.
_CIDR, _NET6 = "198.18.0.0/24", "2001:db8::/64"
_GATEWAYS: Final = {
    "routes": {"0.0.0.0/0": "198.18.0.1", "203.0.113.0/24": "198.18.0.2"},
    "routes6": {"::/0": "2001:db8::1"},
}
_POOL6: Final = {"start": "2001:db8::a", "end": "2001:db8::ff"}
# Networks that fakeipam may ask for addresses of, by their families.
_FOR_FAKEIPAM: Final[dict[str, dict[str, Any]]] = {
    "lan-v4": {"cidr": _CIDR},
    "lan-v6": {"net6": _NET6, "allocation_pool6": _POOL6},
    "lan-dual": {"cidr": _CIDR, "net6": _NET6, "allocation_pool6": _POOL6},
}


@dataclass(slots=True, kw_only=True)
class CniNode:
    """The node.

    Attributes:
        directory: Of everything that it writes.
        plugins: CNI_PATH.
    """

    directory: Path
    kube: FakeKube
    addresses: FakeAddresses
    daemon: Daemon
    loop: asyncio.AbstractEventLoop
    sandboxes: list[Sandbox] = field(default_factory=list)

    @property
    def plugins(self) -> Path:
        """The directory of CNI_PATH."""
        return self.directory / "opt/cni/bin"

    @property
    def configurations(self) -> Path:
        """Where static types have their files."""
        return self.directory / "etc/cni/net.d"

    def on_daemon(self, work: Callable[[], T]) -> T:
        """Do something in danmd's thread, where the fakes live."""

        async def body() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(body(), self.loop).result(_WAIT_S)

    def add_network(
        self, name: str, *, network_type: str | None = None, **options: Any  # noqa: ANN401
    ) -> None:
        """Have a DanmNet that the validator has taken."""
        raw = a_raw_danmnet(name, network_type=network_type, **options)
        net = accepted(decode_danmnet(raw))
        body = {**raw, "status": encode_status(net.status)}
        self.on_daemon(lambda: self.kube.add(DANMNETS, body))

    def add_network_once(self, name: str, *, network_type: str) -> None:
        """Have a DanmNet, unless an earlier test of the module has it already."""
        if self.kube.stored(DANMNETS, name, namespace=NAMESPACE) is None:
            self.add_network(name, network_type=network_type)

    def remove_network(self, name: str) -> None:
        """Delete a DanmNet's object."""
        future = asyncio.run_coroutine_threadsafe(
            self.kube.delete(DANMNETS, name, namespace=NAMESPACE), self.loop
        )
        future.result(_WAIT_S)

    def write_configuration(self, name: str, content: object) -> None:
        """Have a file in the CNI configuration directory."""
        (self.configurations / name).write_text(json.dumps(content))

    def sandbox(self, backend: Backend) -> Sandbox:
        """Have a Pod that asks for a backend's interface, and its sandbox."""
        if backend.kind is Kind.FALLBACK:
            # The one file of the node; danmd reads it at every ADD.
            self.write_configuration(*static_file(backend, self.directory / "plugins"))
        return self.pod(backend.attachments)

    def pod(self, attachments: object) -> Sandbox:
        """Have a Pod with an annotation (a text is taken as it is) or none, and its sandbox."""
        made = a_sandbox()
        annotations = {}
        if attachments is not None:
            text = attachments if isinstance(attachments, str) else json.dumps(attachments)
            annotations[INTERFACES_ANNOTATION] = text
        raw: RawObject = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "namespace": NAMESPACE,
                "name": made.pod,
                "uid": f"uid-{made.pod}",
                "annotations": annotations,
                "labels": {},
            },
            "spec": {"nodeName": NODE},
            "status": {"phase": "Pending"},
        }
        self.on_daemon(lambda: self.kube.add(PODS, raw))
        made.create()
        self.sandboxes.append(made)
        return made

    def end_pod(self, sandbox: Sandbox) -> None:
        """Delete the Pod's object."""
        future = asyncio.run_coroutine_threadsafe(
            self.kube.delete(PODS, sandbox.pod, namespace=NAMESPACE), self.loop
        )
        future.result(_WAIT_S)

    def clear(self) -> None:
        """Remove all sandboxes, as a runtime does with those that it has forgotten."""
        while self.sandboxes:
            sandbox = self.sandboxes.pop()
            for known in self._known_as(sandbox):
                self.call("DEL", known)
            if sandbox.exists:
                sandbox.remove()

    def _known_as(self, sandbox: Sandbox) -> list[Sandbox]:
        """Return the containers that danmd has for a sandbox: cnitool names them its own way."""
        records = self.on_daemon(lambda: list(self.daemon.journal.records()))
        return [
            replace(sandbox, container_id=each.container_id)
            for each in records
            if each.netns == sandbox.netns
        ]

    def environment(self, verb: str, sandbox: Sandbox | None = None) -> dict[str, str]:
        """Return the environment in which a runtime starts a plugin."""
        variables = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": verb,
            "CNI_PATH": str(self.plugins),
            "DANM_SOCKET": f"{self.directory}/run/danmd.sock",
            "DANM_READY_MARKER": f"{self.directory}/run/ready",
            "DANM_TOMBSTONES": f"{self.directory}/state/tombstones",
            "DANM_FAKEIPAM_TOMBSTONES": f"{self.directory}/state/fakeipam-tombstones",
        }
        if sandbox is not None:
            variables |= {
                "CNI_CONTAINERID": sandbox.container_id,
                "CNI_NETNS": sandbox.netns,
                "CNI_IFNAME": "eth0",
                "CNI_ARGS": sandbox.arguments,
            }
        return variables

    def call(
        self,
        verb: str,
        sandbox: Sandbox | None = None,
        version: str = NEWEST,
        *,
        executable: str = "danm",
        config: bytes | None = None,
        change: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Start an executable as a runtime does, and wait for its end.

        Args:
            verb: CNI's.
            sandbox: None for GC, STATUS and VERSION.
            version: Of the configuration.
            executable: `danm` or `fakeipam`.
            config: The whole standard input, instead of a good configuration.
            change: Variables to set or, with an empty text, to leave out.
            more: Keys of the configuration, beside the usual ones.
        """
        variables = {**self.environment(verb, sandbox), **(change or {})}
        good = {"cniVersion": version, "name": "danm", "type": executable, **(more or {})}
        stdin = json.dumps(good).encode() if config is None else config
        return call_executable(self.plugins / executable, variables, stdin)

    def leftovers(self, sandbox: Sandbox) -> dict[str, object]:
        """Return all that anybody has of a sandbox; empty when nothing is left."""
        container_id = sandbox.container_id
        state = self.directory / "plugins"
        found: dict[str, object] = {
            "interfaces": sandbox.shown() if sandbox.exists else {},
            "journal": self.on_daemon(
                lambda: [
                    each
                    for each in self.daemon.journal.records()
                    if each.container_id == container_id
                ]
            ),
            "addresses": [each for each in self.addresses.entries if sandbox.pod in str(each)],
            "DanmEps": [
                each["metadata"]["name"]
                for each in self.on_daemon(lambda: self.kube.all_stored(DANMEPS))
                if each["spec"]["CID"] == container_id
            ],
            "host-local": [
                str(path)
                for path in state.rglob("*")
                if path.is_file() and container_id in path.read_text(errors="replace")
            ],
        }
        return {key: value for key, value in found.items() if value}


def cnitool_program() -> str:
    """Return the path of the real cnitool."""
    return _binaries().program(CNITOOL, "cnitool")


def _binaries() -> Binaries:
    return Binaries(Cache(directory=default_cache_directory()), Progress())


def _config(directory: Path) -> Config:
    config = config_for(directory)
    return replace(
        config,
        install=False,
        fallback=f"{directory}/etc/cni/net.d/fallback.conflist",
        paths=HostPaths(
            # Delegates get the namespaces' paths as danmd has them.
            root=_ROOT,
            cni_config=f"{directory}/etc/cni/net.d",
            cni_bin=f"{directory}/opt/cni/bin",
            executables=directory / "image",
            state=directory / "state",
            run=directory / "run",
        ),
    )


@contextmanager
def a_cni_node(directory: Path) -> Iterator[CniNode]:
    """Have a node with the table's networks, in a network namespace that this thread is in."""
    config = _config(directory)
    made: list[CniNode] = []
    failed: list[BaseException] = []
    stops: list[Callable[[], object]] = []

    async def serve() -> None:
        kube, addresses = FakeKube(), FakeAddresses(NODE)
        networks = Networks(kube)
        edges = Edges(
            kernel=KernelInterfaces(host_root=_ROOT),
            plugins=PluginProcesses(host_root=_ROOT, in_host_mounts=False, max_chains=32),
            addresses=addresses,
            devices=FakeDevices(),
        )
        daemon, stop = Daemon(config, kube, edges, networks=networks), asyncio.Event()
        daemon.load()
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stop.set))
        made.append(
            CniNode(directory=directory, kube=kube, addresses=addresses, daemon=daemon, loop=loop)
        )
        async with followed(networks.informer):
            await daemon.run(stop)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001  (raised in the test's thread)
            failed.append(error)

    with node_network():
        # A thread is in the namespace of the one that starts it.
        thread = threading.Thread(target=run, name="danmd")
        thread.start()
        try:
            wait_until(
                lambda: bool(failed) or (bool(made) and config.paths.ready_marker.exists()),
                what="danmd is ready",
                timeout_s=_WAIT_S,
            )
            if failed:
                raise failed[0]
            (node,) = made
            _furnish(node)
            yield node
            node.clear()
        finally:
            for stop in stops:
                stop()
            thread.join()


def _furnish(node: CniNode) -> None:
    for plugin in _binaries().directory(CNI_PLUGINS).iterdir():
        (node.plugins / plugin.name).symlink_to(plugin)
    install_executables(node.plugins)
    for kind in (Kind.MACVLAN, Kind.IPVLAN):
        node.add_network(
            str(kind),
            network_type=str(kind),
            host_device=PARENT,
            cidr=_CIDR,
            net6=_NET6,
            allocation_pool6=_POOL6,
            **_GATEWAYS,
        )
    # For Pods that have an eth0 of another plugin.
    node.add_network(
        "second",
        network_type=str(Kind.MACVLAN),
        host_device=PARENT,
        cidr=_CIDR,
        container_prefix="net0",
    )
    for name, options in _FOR_FAKEIPAM.items():
        node.add_network(name, fakeipam=True, **options)
    for backend in backends(Kind.CONF, Kind.CONFLIST):
        node.write_configuration(*static_file(backend, node.directory / "plugins"))
        node.add_network(str(backend), network_type=str(backend))
