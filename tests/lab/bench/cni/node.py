"""danmd as in its Pod, on a node that is the present network and process namespace.

Everything is where the DaemonSet has it: socket, journal and tokens at their usual paths, the API
server by the service account. `confined` has made room for that.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

# Run as `python -m`: the import says that it is needed.
import danm_cni.__main__ as _program
from danm_api.codec.ip_block import decode_ip_block
from danm_api.ipam_api import SERVICE_NAME
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, ENDPOINT_SLICES, PODS, KubeApi
from danm_api.model.ip_block import Held
from danm_api.names import SYSTEM_NAMESPACE
from tests.lab.apiserver import ApiServer
from tests.lab.bench.cni.networks import (
    FALLBACK_FILE,
    SLOW_TYPE,
    Attachment,
    danm_networks,
    node_files,
    slow_plugin,
)
from tests.lab.bench.launch import USUAL, Launch
from tests.lab.bench.stage import NODE, Stage, Tokens, apply
from tests.lab.bench.usage import cpu_seconds, process_tree
from tests.lab.kinds import until_served
from tests.lab.kubectl import Kubectl
from tests.lab.process import Background, start_leashed, wait_until

# EndpointSlices admit no loopback address; this one is of a range for benchmarks (RFC 2544).
ADDRESS: Final = "198.18.255.1"
_ACCOUNT: Final = Path("/run/secrets/kubernetes.io/serviceaccount")
_IPAM_TOKEN: Final = Path("/run/secrets/danm/ipam-token")
_CONFIGURATION: Final = "00-danm.conflist"
_READY_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePaths:
    """Where a node has its things.

    Attributes:
        plugins: CNI_PATH.
        config: The runtime's configuration directory.
        image: The executables of danmd's image.
    """

    plugins: Path
    config: Path
    image: Path

    @classmethod
    def below(cls, directory: Path) -> "NodePaths":
        """Return those below a directory."""
        return cls(plugins=directory / "bin", config=directory / "net.d", image=directory / "image")

    def fill(self, *, plugins: Path, executables: Path) -> None:
        """Put everything there that is there before DANM comes."""
        for directory in (self.plugins, self.config):
            directory.mkdir(parents=True)
        self.image.symlink_to(executables)
        for plugin in plugins.iterdir():
            (self.plugins / plugin.name).symlink_to(plugin)
        slow = self.plugins / SLOW_TYPE
        slow.write_text(slow_plugin())
        slow.chmod(0o755)
        for name, config in node_files().items():
            (self.config / name).write_bytes(msgspec.json.encode(config))

    def danm(self, *, interfaces: int) -> list[Attachment]:
        """Return the one call that a runtime makes, as danmd's own configuration says it.

        Args:
            interfaces: How many the Pod is to have.
        """
        found = msgspec.json.decode((self.config / _CONFIGURATION).read_bytes())
        (plugin,) = found["plugins"]
        config = {**plugin, "cniVersion": found["cniVersion"], "name": found["name"]}
        config.pop("capabilities", None)
        return [Attachment(interface="eth0", config=config, sandbox_interfaces=interfaces)]


async def prepare(stage: Stage, api: KubeApi, kubectl: Kubectl, repository: Path) -> Tokens:
    """Have everything of DANM's on the API server, and danmd's tokens in place.

    Raises:
        StartError: kubectl failed.
    """
    tokens = await stage.set_up(kubectl, repository)
    apply(kubectl, "-k", repository / "deploy" / "policies")
    await until_served(api, DANMEPS)
    pod = await api.get(PODS, "danm", namespace=SYSTEM_NAMESPACE)
    _write(_ACCOUNT / "token", await stage.token("danm-cni", SYSTEM_NAMESPACE, pod=pod))
    _write(_IPAM_TOKEN, tokens.danmd)
    for network in danm_networks():
        await stage.add_network(network.name, network.options, network_type=network.type)
    return tokens


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


async def publish_ipam(stage: Stage, endpoint: str) -> None:
    """Tell where ipam-svc is now, as Kubernetes does for its Service."""
    address, _, port = endpoint.rpartition(":")
    body = {
        "metadata": {
            "name": f"{SERVICE_NAME}-bench",
            "labels": {"kubernetes.io/service-name": SERVICE_NAME},
        },
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": int(port), "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
    await stage.put(ENDPOINT_SLICES, body, SYSTEM_NAMESPACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Danmd:
    """A running danmd."""

    background: Background

    def memory_mb(self) -> float:
        """Return its resident memory now."""
        return self._status_mb("VmRSS")

    def peak_memory_mb(self) -> float:
        """Return its greatest resident memory since it started."""
        return self._status_mb("VmHWM")

    def cpu_s(self) -> float:
        """Return its processor time so far; what plugins used is not in it once they have ended."""
        return cpu_seconds(self.background.process.pid)

    def log(self) -> Sequence[bytes]:
        """Return the lines of its log so far."""
        return self.background.log.read_bytes().splitlines()

    def _status_mb(self, key: str) -> float:
        """Return a value of the greatest process of its tree: plugins and the leash are small."""
        found = [0]
        for pid in process_tree(self.background.process.pid):
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            found += [int(line.split()[1]) for line in lines if line.startswith(f"{key}:")]
        return max(found) / 1024


@contextmanager
def running_danmd(
    server: ApiServer,
    paths: NodePaths,
    directory: Path,
    *,
    launch: Launch = USUAL,
) -> Iterator[Danmd]:
    """Run danmd, ready and installed.

    Args:
        server: Its API server.
        paths: Of its node.
        directory: For its log.
        launch: How it is started.

    Raises:
        StartError: It did not become ready.
    """
    _write(_ACCOUNT / "ca.crt", server.authority.read_text())
    address = urlsplit(server.url)
    # Of a danmd before this one: it says when this one is ready.
    (paths.config / _CONFIGURATION).unlink(missing_ok=True)
    background = start_leashed(
        "danmd",
        [
            sys.executable,
            *launch.wrapper,
            "-m",
            str(_program.__package__),
            f"--node-name={NODE}",
            f"--cni-conf-dir={paths.config}",
            f"--cni-bin-dir={paths.plugins}",
            f"--executables-dir={paths.image}",
            f"--fallback-config={paths.config / FALLBACK_FILE}",
        ],
        log=directory / "danmd.log",
        env=_environment(
            KUBERNETES_SERVICE_HOST=str(address.hostname),
            KUBERNETES_SERVICE_PORT=str(address.port),
            **launch.environment,
        ),
    )
    try:
        wait_until(
            (paths.config / _CONFIGURATION).exists,
            what="danmd is ready and has installed its configuration",
            timeout_s=_READY_S,
            alive=(background,),
        )
        yield Danmd(background=background)
    finally:
        background.stop()


def _environment(**more: str) -> dict[str, str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": paths, **more}


async def held_addresses(api: KubeApi, namespace: str) -> int:
    """Return how many addresses of a namespace somebody holds."""
    listed = await api.list(DANMIPBLOCKS, namespace=namespace)
    entries = [entry for raw in listed.items for entry in decode_ip_block(raw).entries]
    return sum(isinstance(entry, Held) for entry in entries)
