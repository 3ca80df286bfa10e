"""A container's network namespace and its Pod, and what the kernel shows of them."""

import json
import subprocess
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path
from uuid import uuid4

from danm_api.testing.builders import NAMESPACE
from tests.lab.own_network import ip
from tests.lab.system import program


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An interface as the kernel shows it; without link-local addresses."""

    mac: str
    mtu: int
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A container with a network namespace, and its Pod.

    Attributes:
        namespace: The name of the network namespace.
    """

    container_id: str
    namespace: str
    pod: str

    @property
    def netns(self) -> str:
        """Return CNI_NETNS."""
        return f"/var/run/netns/{self.namespace}"

    @property
    def arguments(self) -> str:
        """Return CNI_ARGS as Kubernetes' runtimes give them."""
        return (
            f"IgnoreUnknown=1;K8S_POD_NAMESPACE={NAMESPACE};K8S_POD_NAME={self.pod};"
            f"K8S_POD_INFRA_CONTAINER_ID={self.container_id};K8S_POD_UID=uid-{self.pod}"
        )

    @property
    def exists(self) -> bool:
        """Say whether the namespace is there."""
        return Path(self.netns).exists()

    def create(self) -> None:
        """Make the namespace."""
        ip("netns", "add", self.namespace)

    def remove(self) -> None:
        """Remove the namespace with all that is in it."""
        ip("netns", "del", self.namespace)

    def shown(self) -> dict[str, Shown]:
        """Return the interfaces, without the loopback."""
        links = json.loads(self._ip("addr", "show"))
        return {
            each["ifname"]: Shown(
                mac=each["address"],
                mtu=each["mtu"],
                addresses=frozenset(
                    f"{one['local']}/{one['prefixlen']}"
                    for one in each["addr_info"]
                    if not ip_interface(one["local"]).is_link_local
                ),
            )
            for each in links
            if each["ifname"] != "lo"
        }

    def destinations(self) -> set[str]:
        """Return what eth0 routes to through a gateway."""
        found = set()
        for family, anywhere in (("-4", "0.0.0.0/0"), ("-6", "::/0")):
            routes = json.loads(self._ip(family, "route", "show", "dev", "eth0"))
            found |= {
                anywhere if each["dst"] == "default" else each["dst"]
                for each in routes
                if "gateway" in each
            }
        return found

    def _ip(self, *arguments: str) -> bytes:
        command = [program("ip"), "-n", self.namespace, "-j", *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout


def a_sandbox() -> Sandbox:
    """Return a sandbox that nobody has made yet."""
    tag = uuid4().hex
    return Sandbox(container_id=tag * 2, namespace=f"danm-cni-{tag[:8]}", pod=f"p-{tag[:8]}")
