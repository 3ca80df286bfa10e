"""A node in a network namespace of its own: real CNI plugins, fakeipam, danmd and ipam-svc.

The test is the container runtime. Everything that listens or makes interfaces does so in the
node's namespace, so that nothing of the machine's own network is touched.
"""

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families

from danm_api.errors import ConflictError
from danm_api.ipam_api import SERVICE_NAME
from danm_api.kube.api import ENDPOINT_SLICES, NODES, RawObject, Resource
from danm_api.names import SYSTEM_NAMESPACE
from danm_cni import __main__ as danmd_program
from fakeipam import main as fakeipam_program
from ipam_svc import __main__ as ipam_program
from ipam_svc.config import API_PORT
from tests.ipam.cluster import Cluster
from tests.ipam.controllers import cached_binaries
from tests.lab.binaries import CNI_PLUGINS
from tests.lab.danmd_options import danmd_options
from tests.lab.deployed import apply_objects, deployed, ipam_kubeconfig
from tests.lab.errors import StartError
from tests.lab.own_network import ip, own_network
from tests.lab.process import Background, start_leashed, wait_until
from tests.lab.system import program

# EndpointSlices admit no loopback address; this one is of a range for benchmarks (RFC 2544).
ADDRESS: Final = "198.18.255.1"
PARENT: Final = "up0"
_HEALTH_PORTS: Final = {"ipam": 9440, "danmd": 9441, "validator": 9444, "svcwatcher": 9445}
# A program that ends is noticed at once; on a machine that starves starting takes minutes.
_READY_S: Final = 240.0
_ANSWERS_S: Final = 60.0
_REQUESTS: Final = "danmd_request_duration_seconds"


@contextmanager
def node_network() -> Iterator[None]:
    """Move this thread, and what it starts, into a node's network namespace for the block.

    It has a loopback interface with ``ADDRESS``, and ``PARENT`` for macvlan interfaces.
    """
    with own_network("danm-node"):
        ip("addr", "add", f"{ADDRESS}/32", "dev", "lo")
        ip("link", "add", PARENT, "type", "veth", "peer", "name", "up1")
        for link in (PARENT, "up1"):
            ip("link", "set", link, "up")
        yield


class PluginError(Exception):
    """What a plugin printed when it failed."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        """Keep code and sentence."""
        super().__init__(f"{answer.get('code')}: {answer.get('msg')}")
        self.code = answer.get("code")


@dataclass(slots=True, kw_only=True)
class Container:
    """One container, and what its runtime remembers of it.

    Attributes:
        pod: Its object; None for a container that is no Pod.
        result: What ADD has printed.
    """

    id: str
    netns: str
    pod: RawObject | None
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Path of its network namespace."""
        return f"/var/run/netns/{self.netns}"

    @property
    def arguments(self) -> str:
        """Return CNI_ARGS as Kubernetes' runtimes give it."""
        if self.pod is None:
            return ""
        meta = self.pod["metadata"]
        return (
            f"IgnoreUnknown=1;K8S_POD_NAMESPACE={meta['namespace']};K8S_POD_NAME={meta['name']};"
            f"K8S_POD_INFRA_CONTAINER_ID={self.id};K8S_POD_UID={meta['uid']}"
        )

    def addresses(self, interface: str) -> set[str]:
        """Return what an interface has, without link-local addresses."""
        shown = subprocess.run(
            [program("ip"), "-n", self.netns, "-j", "addr", "show", "dev", interface],
            check=False,
            capture_output=True,
        ).stdout
        return {
            f"{each['local']}/{each['prefixlen']}"
            for link in json.loads(shown or b"[]")
            for each in link.get("addr_info", ())
            if each.get("scope") == "global"
        }


@dataclass(slots=True, kw_only=True)
class PluginNode:
    """The node, and its runtime.

    Attributes:
        cluster: Where its Pods and DanmNets are.
        ipam_kubeconfig: With the rights of ipam-svc.
        paths: Where Python finds another release of a program, by the program's name.
    """

    cluster: Cluster
    name: str
    directory: Path
    ipam_kubeconfig: Path
    danmd: Background | None = None
    ipam: Background | None = None
    containers: list[Container] = field(default_factory=list)
    paths: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    async def join(cls, cluster: Cluster, directory: Path) -> Self:
        """Have a node with danmd's token and role of deploy/ipam-only, and nothing running."""
        node = cls(
            cluster=cluster,
            name=f"node-{uuid4().hex[:5]}",
            directory=directory,
            ipam_kubeconfig=await ipam_kubeconfig(cluster.server),
        )
        for name in ("bin", "net.d", "image"):
            (directory / name).mkdir(parents=True)
        for plugin in cached_binaries().directory(CNI_PLUGINS).iterdir():
            (directory / "bin" / plugin.name).symlink_to(plugin)
        node.write_executables()
        await cluster.create(NODES, {"metadata": {"name": node.name}})
        await node.apply_roles()
        pod = await cluster.run_pod(
            f"danmd-{node.name}", node=node.name, namespace=SYSTEM_NAMESPACE, account="danm-cni"
        )
        token = await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE, pod=pod)
        (directory / "ipam-token").write_text(token)
        node.write_kubeconfig(await node.api_token(pod))
        await node.publish_ipam()
        return node

    def write_executables(self) -> None:
        """Put fakeipam where danmd installs it from."""
        self.write_executable("fakeipam", fakeipam_program.__package__)

    def write_executable(self, name: str, package: str | None) -> None:
        """Put an executable where danmd installs it from: here run by this interpreter."""
        path = self.directory / "image" / name
        paths = shlex.quote(self.python_path(name))
        interpreter = shlex.quote(sys.executable)
        path.write_text(f"#!/bin/sh\nPYTHONPATH={paths} exec {interpreter} -m {package}\n")
        path.chmod(0o755)

    def python_path(self, name: str) -> str:
        """Return where Python finds a program: another release of it first."""
        return os.pathsep.join([*self.paths.get(name, ()), *filter(None, sys.path)])

    async def apply_roles(self) -> None:
        """Apply danmd's service account and roles as deploy/ipam-only has them."""
        raws = deployed("danm-cni/rbac.yaml")
        in_namespace = [raw for raw in raws if "namespace" in raw["metadata"]]
        # In all namespaces it has rights of its own.
        await apply_objects(self.cluster.api, [*in_namespace, *deployed("ipam-only/rbac.yaml")])

    async def api_token(self, pod: RawObject) -> str:
        """Return a token for the API server, bound to danmd's Pod."""
        path = Resource(
            group="", version="v1", plural="serviceaccounts/danm-cni/token", kind="TokenRequest"
        )
        reference = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        }
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"boundObjectRef": reference},
        }
        answer = await self.cluster.api.create(path, body, namespace=SYSTEM_NAMESPACE)
        return str(answer["status"]["token"])

    def write_kubeconfig(self, token: str) -> None:
        """Let danmd reach the API server as itself."""
        server = self.cluster.server
        cluster = {"server": server.url, "certificate-authority": str(server.authority)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (self.directory / "kubeconfig").write_text(json.dumps(config))

    async def publish_ipam(self, port: int = API_PORT) -> None:
        """Tell where ipam-svc is, as Kubernetes does for its Service."""
        name = f"{SERVICE_NAME}-test"
        body = {
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": SERVICE_NAME}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        }
        with suppress(ConflictError):
            await self.cluster.create(ENDPOINT_SLICES, body, namespace=SYSTEM_NAMESPACE)
            return
        await self.cluster.api.patch(
            ENDPOINT_SLICES, name, {"ports": body["ports"]}, namespace=SYSTEM_NAMESPACE
        )

    def start_what_ended(self) -> None:
        """Have both programs running, whatever a test has done to them."""
        if self.ipam is None or self.ipam.failure():
            self.start_ipam()
        if self.danmd is None or self.danmd.failure():
            self.start_danmd()

    def start_ipam(self) -> None:
        """Start ipam-svc and wait until it serves."""
        self.ipam = self.start_program(
            "ipam",
            ipam_program.__name__,
            f"--kubeconfig={self.ipam_kubeconfig}",
            f"--pod-name=ipam-{uuid4().hex[:5]}",
            f"--pod-ip={ADDRESS}",
            f"--port={API_PORT}",
            # As in the tests with replicas: what kubelet would wait for is shorter here.
            "--linger=1",
        )

    def start_danmd(self) -> None:
        """Start danmd --ipam-only and wait until it is ready."""
        self.danmd = self.start_program(
            "danmd",
            danmd_program.__name__,
            *danmd_options(self.name, self.directory),
            "--ipam-only",
        )

    def start_program(self, name: str, module: str, *arguments: str) -> Background:
        """Start a program and wait until it is ready."""
        port = _HEALTH_PORTS[name]
        background = start_leashed(
            name,
            [
                sys.executable,
                "-m",
                module,
                *arguments,
                "--health-host=127.0.0.1",
                f"--health-port={port}",
            ],
            log=self.directory / f"{name}-{uuid4().hex[:5]}.log",
            env={**os.environ, "PYTHONPATH": self.python_path(name)},
        )
        probe = [sys.executable, "-c", _PROBE, f"http://127.0.0.1:{port}/readyz"]
        try:
            wait_until(
                lambda: subprocess.run(probe, check=False, capture_output=True).returncode == 0,
                what=f"{name} is ready",
                timeout_s=_READY_S,
                alive=(background,),
            )
        except StartError:
            background.stop()
            raise
        return background

    def request_s(self, verb: str) -> float:
        """Return for how long danmd has worked on requests of a verb, since it started.

        Args:
            verb: As its metrics have it, such as ``DEL`` and ``fakeipam DEL``.
        """
        url = f"http://127.0.0.1:{_HEALTH_PORTS['danmd']}/metrics"
        with urllib.request.urlopen(url, timeout=_ANSWERS_S) as answer:  # noqa: S310
            text = answer.read().decode()
        return sum(
            float(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == f"{_REQUESTS}_sum" and sample.labels["verb"] == verb
        )

    def kill_danmd(self) -> None:
        """End danmd at once, in whatever it does."""
        _kill(self.danmd)

    def kill_ipam(self) -> None:
        """End ipam-svc at once, in whatever it does."""
        _kill(self.ipam)

    def leave(self) -> None:
        """End everything."""
        for background in filter(None, (self.danmd, self.ipam)):
            background.stop()
        for container in tuple(self.containers):
            self.end_container(container)

    async def run_pod(self) -> Container:
        """Have a Pod of this node, with a sandbox."""
        name = f"pod-{uuid4().hex[:6]}"
        return self.add_sandbox(await self.cluster.run_pod(name, node=self.name))

    def add_sandbox(self, pod: RawObject | None = None) -> Container:
        """Have another sandbox of a Pod, or a container of no Pod, with a namespace of its own."""
        made = Container(id=uuid4().hex * 2, netns=f"danm-pod-{uuid4().hex[:8]}", pod=pod)
        ip("netns", "add", made.netns)
        self.containers.append(made)
        return made

    def end_container(self, container: Container) -> None:
        """Remove a container's network namespace."""
        ip("netns", "del", container.netns)
        self.containers.remove(container)

    async def call(
        self,
        verb: str,
        config: Mapping[str, Any],
        container: Container | None = None,
        *,
        interface: str = "net1",
        executable: str = "",
    ) -> Any:  # noqa: ANN401  (JSON)
        """Call a plugin as a runtime does, in a process of its own.

        Args:
            verb: CNI's.
            config: The network configuration; prevResult is added where CNI asks for it.
            container: None for GC and STATUS.
            interface: CNI_IFNAME.
            executable: Another plugin than the configuration's type.

        Raises:
            PluginError: It failed.
        """
        environment = {
            **os.environ,
            "CNI_COMMAND": verb,
            "CNI_PATH": str(self.directory / "bin"),
            "DANM_SOCKET": f"{self.directory}/run/danmd.sock",
            "DANM_TOMBSTONES": f"{self.directory}/state/tombstones",
            "DANM_FAKEIPAM_TOMBSTONES": f"{self.directory}/state/fakeipam-tombstones",
            "DANM_READY_MARKER": f"{self.directory}/run/ready",
        }
        body = dict(config)
        if container is not None:
            environment |= {
                "CNI_CONTAINERID": container.id,
                "CNI_NETNS": container.path,
                "CNI_IFNAME": interface,
                "CNI_ARGS": container.arguments,
            }
            if verb != "ADD" and container.result:
                body["prevResult"] = container.result
        process = await asyncio.create_subprocess_exec(
            self.directory / "bin" / (executable or config["type"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        output, _ = await process.communicate(json.dumps(body).encode())
        answer: Any = json.loads(output) if output.strip() else None
        if process.returncode:
            raise PluginError(answer or {})
        if verb == "ADD" and container is not None:
            container.result = answer
        return answer

    async def held(self) -> list[str]:
        """Return the addresses that somebody holds, as the API server has them."""
        return sorted(str(each.address) for each in await self.cluster.held())


def _kill(background: Background | None) -> None:
    assert background is not None
    os.killpg(background.process.pid, signal.SIGKILL)
    background.stop()


_PROBE: Final = """
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=2)
"""
