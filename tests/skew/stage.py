"""All of DANM on one node, each part a process of its own, any of which may be of another release.

Real are the parts' programs, the API server, CNI plugins and the kernel's interfaces. The tests are
the container runtime, and Kubernetes' controllers as far as something needs them.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import uuid4

import yaml

from danm_api.codec.authority import decode_trust
from danm_api.ipam_api import TRUST_CONFIG_MAP
from danm_api.kube.api import CONFIG_MAPS
from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from danm_cni import __main__ as danmd_program
from danm_cni import shim
from ipam_svc.config import API_PORT
from netwatcher import __main__ as netwatcher_program
from svcwatcher import __main__ as svcwatcher_program
from tests.ipam.cluster import Cluster
from tests.ipam.plugin_node import ADDRESS, PluginNode, node_network
from tests.ipam.replica_process import source_paths
from tests.lab.apiserver import ApiServer
from tests.lab.danmd_options import danmd_options
from tests.lab.deployed import account_kubeconfig, apply_deployed
from tests.lab.kinds import install_kinds
from tests.lab.kube_objects import DEFINITIONS, NAMESPACES
from tests.lab.process import Background


class Part(StrEnum):
    """What is updated by itself."""

    DANM_CNI = "danm-cni"
    FAKEIPAM = "fakeipam"
    IPAM_SVC = "ipam-svc"
    VALIDATOR = "validator"
    SVCWATCHER = "svcwatcher"


# The programs that a part brings, and where its sources are.
_PROGRAMS: Final = {
    Part.DANM_CNI: (("danmd", "danm"), "components/cni"),
    Part.FAKEIPAM: (("fakeipam",), "components/fakeipam"),
    Part.IPAM_SVC: (("ipam",), "services/ipam-svc"),
    Part.VALIDATOR: (("validator",), "services/netwatcher"),
    Part.SVCWATCHER: (("svcwatcher",), "services/svcwatcher"),
}


_PACKAGES: Final = {
    "components/cni": "danm_cni",
    "components/fakeipam": "fakeipam",
    "services/ipam-svc": "ipam_svc",
    "services/netwatcher": "netwatcher",
    "services/svcwatcher": "svcwatcher",
}
_HERE: Final = Path(__file__).resolve().parents[2]


@dataclass(slots=True, kw_only=True)
class WholeNode(PluginNode):
    """The node, with the controllers beside it."""

    controllers: dict[str, Background] = field(default_factory=dict)

    def write_executables(self) -> None:
        """Put both executables where danmd installs them from."""
        # In two words: a class with slots is another one than the one that `super` has seen.
        PluginNode.write_executables(self)
        self.write_executable("danm", shim.__name__)

    async def apply_roles(self) -> None:
        """Apply the service accounts and roles of all parts as deploy/ has them."""
        await apply_deployed(
            self.cluster.api, "danm-cni/rbac.yaml", "netwatcher/rbac.yaml", "svcwatcher/rbac.yaml"
        )

    def start_danmd(self) -> None:
        """Start danmd, which installs the executables, and wait until it is ready."""
        self.danmd = self.start_program(
            "danmd",
            danmd_program.__name__,
            *danmd_options(self.name, self.directory),
            "--fallback-config=none",
            "--delegates-in-own-mounts",
        )

    def start_controller(self, part: Part) -> None:
        """Start the validator or svcwatcher, and wait until it is ready."""
        server = self.cluster.server
        kubeconfig = account_kubeconfig(
            self.directory / f"{part}.kubeconfig",
            url=server.url,
            authority=server.trust.authority,
            account=f"danm-{part}",
        )
        module, *words = {
            Part.VALIDATOR: (netwatcher_program.__name__, "validator"),
            Part.SVCWATCHER: (svcwatcher_program.__name__,),
        }[part]
        self.controllers[part] = self.start_program(
            part,
            module,
            *words,
            f"--kubeconfig={kubeconfig}",
            f"--pod-name={part}-{uuid4().hex[:5]}",
        )

    async def trust_ipam(self) -> None:
        """Let the test's own clients know where ipam-svc is, and its authority."""
        raw = await self.cluster.api.get(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        self.cluster.trust = decode_trust(raw)
        self.cluster.endpoints = [f"{ADDRESS}:{API_PORT}"]

    def start_all(self) -> None:
        """Have all parts running."""
        self.start_what_ended()
        for part in (Part.VALIDATOR, Part.SVCWATCHER):
            if (running := self.controllers.get(part)) is None or running.failure():
                self.start_controller(part)

    def set_release(self, part: Part, tree: Path | None) -> None:
        """Replace a part by the one of another source tree, or by this tree's (None)."""
        programs, root = _PROGRAMS[part]
        for program in programs:
            if tree is None:
                self.paths.pop(program, None)
            else:
                self.paths[program] = source_paths(tree, root)
        for program in programs:
            self._prove_release(program, root, tree)
        self.write_executables()
        match part:
            case Part.DANM_CNI | Part.FAKEIPAM:
                # danmd brings the executables.
                if self.danmd is not None:
                    self.danmd.stop()
            case Part.IPAM_SVC:
                if self.ipam is not None:
                    self.ipam.stop()
            case Part.VALIDATOR | Part.SVCWATCHER:
                if part in self.controllers:
                    self.controllers[part].stop()
        self.start_all()

    def _prove_release(self, program: str, root: str, tree: Path | None) -> None:
        """Make sure that a program which starts now takes its modules from that tree."""
        package = _PACKAGES[root]
        code = f"import danm_api, {package}; print(danm_api.__file__, {package}.__file__)"
        shown = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": self.python_path(program)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        assert [Path(path).is_relative_to(tree or _HERE) for path in shown] == [True, True]
        assert tree is not None or not any("previous" in Path(path).parts for path in shown)

    def is_behind(self, part: Part) -> bool:
        """Say whether a part is of another release than this tree's."""
        programs, _ = _PROGRAMS[part]
        return any(program in self.paths for program in programs)

    def leave(self) -> None:
        """End everything."""
        for each in self.controllers.values():
            each.stop()
        PluginNode.leave(self)


@contextmanager
def whole_node(directory: Path, *, definitions: Path | None = None) -> Iterator[WholeNode]:
    """Have an API server and the node in a network of their own; no part runs yet.

    Args:
        directory: Of everything that they write.
        definitions: A tree whose CRDs there are; None for this one's.
    """
    with node_network(), ApiServer.start(directory) as server:
        node = asyncio.run(_join(server, directory, definitions))
        try:
            yield node
        finally:
            node.leave()


async def _join(server: ApiServer, directory: Path, definitions: Path | None) -> WholeNode:
    async with await KubeClient.connect(server.kubeconfig) as api:
        if definitions is not None:
            for path in sorted((definitions / "deploy" / "crds").glob("danm*.yaml")):
                await api.create(DEFINITIONS, yaml.safe_load(path.read_text()))
        # Those that are there stay as they are.
        await install_kinds(api)
        cluster = Cluster(server=server, api=api, namespace=SYSTEM_NAMESPACE)
        await cluster.create(NAMESPACES, {"metadata": {"name": SYSTEM_NAMESPACE}})
        return await WholeNode.join(cluster, directory / "node")
