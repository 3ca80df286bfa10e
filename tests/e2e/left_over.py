"""What is left of Pods' networks, and of DANM itself, where nothing should be."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from danm_api import labels
from danm_api.codec.endpoint_slice import MANAGED_BY_LABEL
from danm_api.membership.endpoints import MANAGED_BY, SLICES_MANAGED_BY
from tests.lab.chaos.cni.facts import NodeView
from tests.lab.chaos.cni.lab_node import LabNode, LabReach
from tests.lab.chaos.cni.lab_world import BRIDGE, lab_world, own_links_of
from tests.lab.chaos.cni.model import differences
from tests.lab.cluster import objects
from tests.lab.lab import Lab
from tests.lab.topology import NODES

# What an installation brings, besides namespaced objects, which go with DANM's namespace.
_CLUSTER_KINDS: Final = (
    "namespaces",
    "customresourcedefinitions",
    "clusterroles",
    "clusterrolebindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "apiservices",
    "priorityclasses",
)
_FILES: Final = (
    "cd /; ls -d opt/cni/bin/* etc/cni/net.d/* var/lib/danm var/lib/danm/* run/danm run/danm/* "
    "2> /dev/null || true"
)
# Nothing may be left so long after the last Pod, the last DanmNet or the removal. P2 says 30 s; a
# look at both emulated nodes is beside that, and so is what else the machine has to do.
_REMOVED_S: Final = 120.0
_POLL_S: Final = 1.0
# Directories of host paths are Kubernetes' own. The file, in memory, tells a danmd that has not
# ended yet that it must install nothing again; it is gone with the next boot.
_KEPT: Final = frozenset({"var/lib/danm", "run/danm", "run/danm/uninstalled-by"})


def remaining(look_for: Callable[[], list[str]]) -> list[str]:
    """Return what is still found when there was time to remove it."""
    deadline = time.monotonic() + _REMOVED_S
    while (found := look_for()) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return found


def look(lab: Lab) -> list[NodeView]:
    """Return what both nodes have.

    Raises:
        LabError: One does not answer.
    """
    return [LabNode(name=node.name, reach=LabReach(lab=lab, node=node)).look() for node in NODES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """A lab without DANM.

    Attributes:
        links: Of each node's own network namespace, but for Pods'.
        files: CNI plugins, CNI configuration and DANM's own, of each node.
        objects: Of the kinds that are no namespace's.
    """

    links: Mapping[str, frozenset[str]]
    files: Mapping[str, frozenset[str]]
    objects: frozenset[str]

    @classmethod
    def of(cls, lab: Lab) -> "Bare":
        """Look at a lab; what is DANM's there is no part of it."""
        return cls(
            links={node.node: frozenset(_not_danms(own_links_of(node))) for node in look(lab)},
            files={node: frozenset(_not_danms(files)) for node, files in _files(lab).items()},
            objects=frozenset(_not_danms(_cluster_objects(lab))),
        )

    def left_of_danm(self, lab: Lab) -> list[str]:
        """Return what is on a lab beyond this, in words: files, links, objects."""
        found = [f"object {each}" for each in _cluster_objects(lab) if each not in self.objects]
        found += [f"object {each}" for each in _written_by_svcwatcher(lab)]
        for node, files in _files(lab).items():
            found += [f"{node}: file {each}" for each in files if each not in self.files[node]]
        for view in look(lab):
            # The base network's plugin makes its bridge with a node's first Pod, and keeps it.
            more = own_links_of(view) - self.links[view.node] - {BRIDGE}
            found += [f"{view.node}: link {each}" for each in sorted(more)]
        return found

    def left_when_emptied(self, lab: Lab, namespace: str) -> list[str]:
        """Delete a namespace's Pods and DanmNets, and return what does not go with them."""
        for kind in ("pods", "danmnets"):
            lab.kubectl("delete", kind, "--all", "-n", namespace, "--timeout=90s")
        return remaining(partial(self.left_of_pods, lab, namespace))

    def left_of_pods(self, lab: Lab, namespace: str) -> list[str]:
        """Return what is left in a namespace without Pods and DanmNets, and of it on nodes.

        DanmEps, addresses, host links, interfaces, journals, DELs to finish, plugins' files.
        """
        world = lab_world(
            pods=objects(lab, "pods", "-A"),
            endpoints=objects(lab, "danmeps", "-n", namespace),
            blocks=objects(lab, "danmipblocks", "-n", namespace),
            nodes=look(lab),
            own_links=self.links,
        )
        return [str(each) for each in differences(world)]


def _files(lab: Lab) -> dict[str, list[str]]:
    found = {}
    for node in NODES:
        text = lab.node_exec(node, ["sh", "-c", _FILES]).stdout.decode()
        found[node.name] = [line for line in text.splitlines() if line not in _KEPT]
    return found


def _cluster_objects(lab: Lab) -> list[str]:
    return lab.kubectl("get", ",".join(_CLUSTER_KINDS), "-o", "name").split()


def _written_by_svcwatcher(lab: Lab) -> list[str]:
    """Return the objects of svcwatcher, which stand in tenants' namespaces."""
    selectors = {
        "endpointslices": f"{MANAGED_BY_LABEL}={SLICES_MANAGED_BY}",
        "endpoints": f"{labels.MANAGED_BY}={MANAGED_BY}",
    }
    return [
        name
        for kind, selector in selectors.items()
        for name in lab.kubectl("get", kind, "-A", "-l", selector, "-o", "name").split()
    ]


def _not_danms(names: Sequence[str] | frozenset[str]) -> list[str]:
    return [name for name in names if "danm" not in name and not name.startswith("vx_")]
