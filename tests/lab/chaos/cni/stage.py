"""Nodes on this machine's own kernel, on one wire with an API server and ipam-svc.

Each is a network namespace with a danmd.

The wire of a node can be cut as a cable is: what is sent is lost, and nobody is told.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec

# Run as `python -m`: the import says that it is needed.
import ipam_svc.__main__ as _ipam
from danm_api.ipam_api import SERVICE_NAME
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, ENDPOINT_SLICES, NODES
from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from tests.cni.executables import install_executables
from tests.ipam.cluster import Cluster
from tests.lab.apiserver import LOOPBACK, ApiServer, Place, free_ports
from tests.lab.binaries import CNI_PLUGINS, Binaries
from tests.lab.chaos.cni import look, trap
from tests.lab.chaos.cni.facts import Endpoint, Entry, NodeView
from tests.lab.chaos.cni.moody import write_moody
from tests.lab.chaos.cni.objects import endpoint_of, entries_of
from tests.lab.chaos.program import Program
from tests.lab.danmd_options import danmd_options
from tests.lab.deployed import apply_deployed, ipam_kubeconfig
from tests.lab.kinds import install_kinds_on
from tests.lab.kube_objects import NAMESPACES
from tests.lab.own_network import ip, leashed_netns, own_network
from tests.lab.process import Background, start_leashed, wait_until
from tests.lab.system import program

NAMESPACE: Final = "chaos"
# EndpointSlices admit no loopback address; these are of a range for benchmarks (RFC 2544).
_CENTRE: Final = "198.18.255.1"
_HUB: Final = "hub0"
PARENT: Final = "up0"
# A Pod's interface has the same name: it gets it only in the Pod's namespace.
_UPLINK: Final = "mac0"
FALLBACK_BRIDGE: Final = "base0"
BRIDGE: Final = "cbr0"
_READY_S: Final = 120.0
_CONNECT_S: Final = 2.0
_OWN_VAR_LIB: Final = 'mount --bind "$0" /var/lib && exec "$@"'


@contextmanager
def centre() -> Iterator[None]:
    """Move this thread, and what it starts, into a namespace with the wire's middle."""
    with own_network("danm-chaos"):
        ip("link", "add", _HUB, "type", "bridge")
        ip("addr", "add", f"{_CENTRE}/24", "dev", _HUB)
        ip("link", "set", _HUB, "up")
        yield


@dataclass(slots=True, kw_only=True)
class ChaosNode:
    """A node.

    Attributes:
        number: From 1.
        danmd: Its program, which traps may end.
        pods: The names of their namespaces; each goes when its stack is closed.
        own_links: Of its own namespace, before any Pod.
    """

    number: int
    name: str
    directory: Path
    danmd: Program
    pods: dict[str, ExitStack] = field(default_factory=dict)
    own_links: frozenset[str] = frozenset()
    _own: ExitStack = field(default_factory=ExitStack)

    @property
    def netns(self) -> str:
        """The name of its network namespace."""
        return f"danm-{self.name}"

    @property
    def plugins(self) -> Path:
        """The directory of CNI_PATH."""
        return self.directory / "bin"

    @property
    def moods(self) -> Path:
        """Where a delegate finds what it is to do, by verb and container id."""
        return self.directory / "moods"

    @property
    def trap(self) -> Path:
        """The directory of its traps."""
        return self.directory / "trap"

    @property
    def journal(self) -> Path:
        """Where danmd has its records."""
        return self.directory / "state/journal"

    @property
    def socket(self) -> Path:
        """Where danmd listens."""
        return self.directory / "run/danmd.sock"

    def cut(self) -> None:
        """Lose everything that is sent over its wire."""
        ip("link", "set", self._wire, "down")

    def mend(self) -> None:
        """Have the wire whole."""
        ip("link", "set", self._wire, "up")

    @property
    def _wire(self) -> str:
        return f"node{self.number}"

    def connect(self) -> None:
        """Have its namespace, wire and parent link, as long as this process lives."""
        self._own.enter_context(leashed_netns(self.netns))
        ip("link", "add", self._wire, "type", "veth", "peer", "name", _UPLINK, "netns", self.netns)
        ip("link", "set", self._wire, "master", _HUB, "up")
        within = ("-n", self.netns)
        ip(*within, "link", "set", "lo", "up")
        ip(*within, "addr", "add", f"198.18.255.{100 + self.number}/24", "dev", _UPLINK)
        ip(*within, "link", "set", _UPLINK, "up")
        ip(*within, "link", "add", PARENT, "type", "veth", "peer", "name", "up1")
        for link in (PARENT, "up1"):
            ip(*within, "link", "set", link, "up")
        self.own_links = frozenset(link.name for link in self.look().host.links)

    def disconnect(self) -> None:
        """Remove its namespace, and those of its Pods."""
        for name in tuple(self.pods):
            self.remove_sandbox(name)
        self._own.close()

    def make_sandbox(self) -> str:
        """Make a Pod's namespace and return its name; it goes with this process at the latest."""
        name = f"{self.netns}-{uuid4().hex[:8]}"
        made = ExitStack()
        made.enter_context(leashed_netns(name))
        self.pods[name] = made
        return name

    def remove_sandbox(self, name: str) -> None:
        """Remove a Pod's namespace."""
        self.pods.pop(name).close()

    def look(self) -> NodeView:
        """Return what the node has."""
        done = subprocess.run(
            [
                *(program("nsenter"), f"--net=/var/run/netns/{self.netns}", sys.executable, "-IS"),
                *(str(look.__file__), self.name, f"{self.directory}/state"),
                *(f"{self.directory}/var-lib/cni/networks", *(sorted(self.pods) or ["-"])),
            ],
            check=True,
            capture_output=True,
        )
        return msgspec.json.decode(done.stdout, type=NodeView)

    def is_alive(self) -> bool:
        """Say whether its danmd runs."""
        return self.danmd.background is not None and self.danmd.failure() is None

    def start(self) -> None:
        """Start danmd; it is not ready yet."""
        (self.directory / "run/ready").unlink(missing_ok=True)
        self.danmd.start()

    def wait_ready(self) -> None:
        """Wait until danmd serves.

        Raises:
            StartError: It does not.
        """
        assert self.danmd.background is not None
        wait_until(
            (self.directory / "run/ready").exists,
            what=f"danmd of {self.name} is ready",
            timeout_s=_READY_S,
            alive=(self.danmd.background,),
        )


@dataclass(slots=True, kw_only=True)
class Stage:
    """Everything that runs."""

    cluster: Cluster
    nodes: list[ChaosNode] = field(default_factory=list)

    async def endpoints(self) -> list[Endpoint]:
        """Return all DanmEps."""
        listed = await self.cluster.api.list(DANMEPS, namespace=NAMESPACE)
        return [endpoint_of(raw) for raw in listed.items]

    async def entries(self) -> list[Entry]:
        """Return all addresses that somebody holds."""
        listed = await self.cluster.api.list(DANMIPBLOCKS, namespace=NAMESPACE)
        return [each for raw in listed.items for each in entries_of(raw)]

    async def look(self) -> list[NodeView]:
        """Return what all nodes have."""
        looks = [asyncio.to_thread(node.look) for node in self.nodes]
        return list(await asyncio.gather(*looks))


@asynccontextmanager
async def a_stage(directory: Path, *, binaries: Binaries, nodes: int) -> AsyncIterator[Stage]:
    """Have nodes whose danmd serves.

    Raises:
        StartError: Something did not become ready.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(centre())
        server = _start_server(directory, binaries)
        stack.callback(server.stop)
        await install_kinds_on(server)
        api = await stack.enter_async_context(await KubeClient.connect(server.kubeconfig))
        cluster = Cluster(server=server, api=api, namespace=NAMESPACE)
        for name in (NAMESPACE, SYSTEM_NAMESPACE):
            await cluster.create(NAMESPACES, {"metadata": {"name": name}})
        await apply_deployed(api, "danm-cni/rbac.yaml")
        stage = Stage(cluster=cluster)
        await _start_ipam(stage, directory, stack)
        for number in range(1, nodes + 1):
            stage.nodes.append(await _join(stage, directory, binaries, number, stack))
        await asyncio.gather(*(asyncio.to_thread(node.wait_ready) for node in stage.nodes))
        yield stage


def _start_server(directory: Path, binaries: Binaries) -> ApiServer:
    return ApiServer.start_at(Place.here(_CENTRE), directory, binaries=binaries)


async def _start_ipam(stage: Stage, directory: Path, stack: AsyncExitStack) -> None:
    port, health_port = free_ports(2)
    kubeconfig = await ipam_kubeconfig(stage.cluster.server)
    background = start_leashed(
        "ipam-svc",
        [
            *(sys.executable, "-m", str(_ipam.__package__), f"--kubeconfig={kubeconfig}"),
            *("--pod-name=ipam-svc", f"--pod-ip={_CENTRE}", f"--port={port}"),
            *(f"--health-host={LOOPBACK}", f"--health-port={health_port}"),
        ],
        log=directory / "ipam-svc.log",
        env=_environment(),
    )
    stack.callback(background.stop)
    await asyncio.to_thread(_wait_listening, background, port)
    await stage.cluster.create(
        ENDPOINT_SLICES,
        {
            "metadata": {
                "name": f"{SERVICE_NAME}-chaos",
                "labels": {"kubernetes.io/service-name": SERVICE_NAME},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [_CENTRE], "conditions": {"ready": True}}],
        },
        namespace=SYSTEM_NAMESPACE,
    )


def _wait_listening(background: Background, port: int) -> None:
    def listens() -> bool:
        try:
            socket.create_connection((_CENTRE, port), _CONNECT_S).close()
        except OSError:
            return False
        return True

    wait_until(listens, what="ipam-svc listens", timeout_s=_READY_S, alive=(background,))


async def _join(
    stage: Stage, directory: Path, binaries: Binaries, number: int, stack: AsyncExitStack
) -> ChaosNode:
    name, cluster = f"n{number}-{uuid4().hex[:4]}", stage.cluster
    home = directory / name
    await cluster.create(NODES, {"metadata": {"name": name}})
    pod = await cluster.run_pod(
        f"danmd-{name}", node=name, namespace=SYSTEM_NAMESPACE, account="danm-cni"
    )
    for part in ("bin", "net.d", "image", "moods", "trap", "var-lib", "log"):
        (home / part).mkdir(parents=True)
    token = await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE, pod=pod)
    (home / "ipam-token").write_text(token)
    own = await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE, pod=pod, audience="")
    (home / "kubeconfig").write_text(json.dumps(_kubeconfig(cluster.server, own)))
    _fill(home, binaries)
    node = ChaosNode(number=number, name=name, directory=home, danmd=_danmd(name, home))
    stack.callback(node.disconnect)
    node.connect()
    stack.callback(node.danmd.kill)
    node.start()
    return node


def _kubeconfig(server: ApiServer, token: str) -> dict[str, Any]:
    cluster = {"server": server.url, "certificate-authority": str(server.authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def _fill(home: Path, binaries: Binaries) -> None:
    """Have the plugins of a node and their configurations."""
    for plugin in binaries.directory(CNI_PLUGINS).iterdir():
        (home / "bin" / plugin.name).symlink_to(plugin)
    install_executables(home / "bin")
    write_moody(home / "bin/moody", moods=home / "moods", real=home / "bin/bridge")
    subnets = {BRIDGE: "192.0.2.0/24", FALLBACK_BRIDGE: "10.91.0.0/16"}
    for bridge, subnet in subnets.items():
        config = {
            "cniVersion": "1.0.0",
            "name": bridge,
            "type": "moody" if bridge == BRIDGE else "bridge",
            "bridge": bridge,
            "ipam": {"type": "host-local", "subnet": subnet},
        }
        name = "flannel.conf" if bridge == BRIDGE else "base.conf"
        (home / "net.d" / name).write_text(json.dumps(config))


def _danmd(name: str, home: Path) -> Program:
    return Program(
        name="danmd",
        command=[
            *(program("nsenter"), f"--net=/var/run/netns/danm-{name}"),
            *(program("unshare"), "--mount", "--propagation=slave"),
            # Plugins keep their addresses below /var/lib/cni; the machine's own is left alone.
            *("sh", "-c", _OWN_VAR_LIB, f"{home}/var-lib"),
            *(sys.executable, str(trap.__file__)),
            *danmd_options(name, home),
            *(f"--fallback-config={home}/net.d/base.conf", "--no-install"),
            *("--delegates-in-own-mounts", f"--health-host={LOOPBACK}"),
        ],
        logs=home / "log",
        env=_environment(**{trap.VARIABLE: str(home / "trap")}),
    )


def _environment(**more: str) -> dict[str, str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": paths, **more}
