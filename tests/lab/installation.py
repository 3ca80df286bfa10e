"""DANM on a cluster: its images, its installation from deploy/, and its removal."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

import danm_cni.version
import ipam_svc.version
import netwatcher.version
import svcwatcher.version
from tests.lab.cluster import Cluster
from tests.lab.errors import BuildError, LabError
from tests.lab.progress import Progress

SYSTEM_NAMESPACE: Final = "danm-system"
WORKLOADS: Final = (
    "deployment/danm-ipam",
    "deployment/danm-validator",
    "daemonset/danm-netwatcher",
    "deployment/danm-svcwatcher",
    "daemonset/danm-cni",
)
# Of deploy/ipam-only.
IPAM_WORKLOADS: Final = (
    "deployment/danm-ipam",
    "deployment/danm-validator",
    "daemonset/danm-cni",
)
ROLLOUT_S: Final = 240.0
_REMOVAL_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartImage:
    """One image of this repository.

    Attributes:
        name: As manifests name it.
        tag: Its version.
        target: What Pants calls it.
    """

    name: str
    tag: str
    target: str


_DEMO_VERSION: Final = "0.1.0"
PART_IMAGES: Final = (
    PartImage(name="danm/ipam-svc", tag=ipam_svc.version.VERSION, target="services/ipam-svc:image"),
    PartImage(name="danm/danm-cni", tag=danm_cni.version.VERSION, target="components/cni:image"),
    PartImage(
        name="danm/netwatcher", tag=netwatcher.version.VERSION, target="services/netwatcher:image"
    ),
    PartImage(
        name="danm/svcwatcher", tag=svcwatcher.version.VERSION, target="services/svcwatcher:image"
    ),
)
DEMO_IMAGE: Final = PartImage(name="danm/demo", tag=_DEMO_VERSION, target="examples/programs:image")


def build_images(repository: Path, progress: Progress, *, base_image: str) -> None:
    """Build all images with Pants; quick when nothing has changed.

    Raises:
        BuildError: Pants failed; what it said has been printed.
    """
    targets = [image.target for image in (*PART_IMAGES, DEMO_IMAGE)]
    with progress.step("Images, built by Pants"):
        done = subprocess.run(
            [str(repository / "pants"), "package", *targets],
            cwd=repository,
            env=dict(os.environ, DANM_BASE_IMAGE=base_image),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise BuildError(f"`./pants package` failed:\n{done.stdout}{done.stderr}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A kustomization that uses one of this repository's, with other images and fields.

    Attributes:
        directory: Where it is written.
        base: The kustomization that it uses.
        images: New full names by the name in the manifests.
        patches: Patches in kustomize's form.
    """

    directory: Path
    base: Path
    images: Mapping[str, str]
    patches: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def write(self) -> Path:
        """Write it and return its directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        document = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            # kustomize takes no absolute paths.
            "resources": [os.path.relpath(self.base.resolve(), self.directory.resolve())],
            "images": [
                {"name": name, "newName": new.rpartition(":")[0], "newTag": new.rpartition(":")[2]}
                for name, new in self.images.items()
            ],
            "patches": list(self.patches),
        }
        (self.directory / "kustomization.yaml").write_text(yaml.safe_dump(document))
        return self.directory


def image_names(prefix: str) -> dict[str, str]:
    """Return the full name of each image by the name in the manifests.

    Args:
        prefix: A registry and path, such as ``registry.example/telco``; without a closing slash.
    """
    return {
        image.name: f"{prefix}/{image.name}:{image.tag}" for image in (*PART_IMAGES, DEMO_IMAGE)
    }


def _content_patch(kind: str, contents: str) -> dict[str, Any]:
    annotations = {"danm.k8s.io/lab-images": contents}
    patch = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "all"},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
    }
    return {"target": {"kind": kind}, "patch": yaml.safe_dump(patch)}


class Installation:
    """DANM as deploy/, or a part of it, installs it."""

    def __init__(
        self,
        cluster: Cluster,
        repository: Path,
        progress: Progress,
        *,
        work: Path,
        prefix: str,
        contents: str = "",
        part: str = "",
        workloads: Sequence[str] = WORKLOADS,
        images: Mapping[str, str] | None = None,
        rollout_s: float = ROLLOUT_S,
    ) -> None:
        """Take what is needed.

        Args:
            cluster: Where to.
            repository: Whose deploy/ is applied.
            progress: Tells what goes on.
            work: A directory for kustomizations.
            prefix: Of the images' names.
            contents: Says what is in the images where their tags do not: when it differs from the
                last installation's, all Pods are replaced.
            part: A directory below deploy/; empty for all.
            workloads: What is there afterwards.
            images: Full names by the name in the manifests, where they are not this release's.
            rollout_s: How long each workload may take to become ready.
        """
        self._cluster = cluster
        self._repository = repository
        self._progress = progress
        self._workloads = workloads
        self._rollout_s = rollout_s
        self._overlay = Overlay(
            directory=work / "deploy" / part,
            base=repository / "deploy" / part,
            images=images or image_names(prefix),
            patches=(
                [_content_patch(kind, contents) for kind in ("Deployment", "DaemonSet")]
                if contents
                else ()
            ),
        )

    def define(self) -> None:
        """Apply the definitions of DANM's kinds alone, as an update begins.

        Raises:
            LabError: The API server does not serve one of them.
        """
        definitions = str(self._repository / "deploy" / "crds")
        with self._progress.step("DANM: kubectl apply -k deploy/crds"):
            self._cluster.kubectl("apply", "--server-side", "-k", definitions)
            self._cluster.kubectl(
                "wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"
            )

    def install(self) -> None:
        """Apply it and wait until every part is ready.

        Raises:
            LabError: A part did not become ready; the message shows what its Pods say.
        """
        directory = str(self._overlay.write())
        base = self._overlay.base.relative_to(self._repository)
        with self._progress.step(f"DANM: kubectl apply -k {base}"):
            # Server-side: descriptions make CRDs too long for the annotation of the other way.
            self._cluster.kubectl("apply", "--server-side", "-k", directory)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until every part is ready, and none of an earlier state is left.

        Raises:
            LabError: A part did not become ready; the message shows what its Pods say.
        """
        for workload in self._workloads:
            with self._progress.step(f"Ready: {workload}"):
                try:
                    self._cluster.kubectl(
                        "rollout", "status", workload, "-n", SYSTEM_NAMESPACE,
                        f"--timeout={self._rollout_s:.0f}s", timeout_s=self._rollout_s + 30,
                    )  # fmt: skip
                except LabError as error:
                    raise LabError(f"{error}\n{self._explain(workload)}") from error

    def uninstall(self, *, force: bool = False) -> str:
        """Remove everything with the documented command and return what it printed.

        Raises:
            LabError: It refused, or failed.
        """
        command = [str(self._repository / "deploy" / "uninstall"), *(["--force"] if force else [])]
        kubectl, *options = self._cluster.kubectl_command()
        with self._progress.step("deploy/uninstall"):
            done = subprocess.run(
                command,
                env=self._cluster.environment() | {"KUBECTL": " ".join([kubectl, *options])},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_REMOVAL_S,
            )
        if done.returncode != 0:
            raise LabError(f"deploy/uninstall failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def _explain(self, workload: str) -> str:
        name = workload.partition("/")[2]
        selector = f"app.kubernetes.io/name={name}"
        parts = []
        for words in (
            ("get", "pods", "-o", "wide", "-l", selector),
            ("describe", "pods", "-l", selector),
            ("logs", "--tail=20", "--all-containers", "-l", selector),
        ):
            try:
                parts.append(self._cluster.kubectl(*words, "-n", SYSTEM_NAMESPACE))
            except LabError as error:
                parts.append(str(error))
        return "\n".join(parts)
