"""A lab: a control plane and two nodes with kernels of their own, in one network namespace.

    lab = Lab.named("danm")
    lab.up()
    lab.kubectl("get", "nodes")
    lab.node_exec(NODES[0], ["ip", "link"])
    lab.down()

Processes of a lab outlive the one that started them. What belongs to a lab is what runs in its
network namespace, and its state directory: both are found by its name alone, so whatever happens
to a command, the next one cleans up.
"""

import json
import os
import re
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.lab.adoption import adopt
from tests.lab.agent_client import AgentClient, Completed
from tests.lab.apiserver import Trust, is_ready
from tests.lab.binaries import CONTAINERD, Binaries, lab_components
from tests.lab.cache import Cache, default_cache_directory, file_lock
from tests.lab.cluster import run_kubectl
from tests.lab.control_plane import dns_manifest, place_in, start_control_plane
from tests.lab.errors import LabError, NotUpError
from tests.lab.image_store import ArchivedImage, ImageStore
from tests.lab.images import (
    COREDNS_IMAGE,
    PAUSE,
    PYTHON_BASE,
    Images,
    full_name,
    ptrace_preload,
)
from tests.lab.namespace import Namespace, namespaces
from tests.lab.node_boot import boot_node
from tests.lab.process import Background, wait_until
from tests.lab.progress import Progress
from tests.lab.release import note_release, release_of
from tests.lab.stored_image import StoredImage, write_documents_archive
from tests.lab.system import install_missing_packages, search_path
from tests.lab.topology import AGENT_PORT, NODES, Node

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_NAMESPACE_PREFIX: Final = "danm-lab-"
# Ten times what they take on a machine that does nothing else.
_NODES_READY_S: Final = 300.0
_DNS_READY_S: Final = 300.0
_POLL_S: Final = 0.5


def default_state_directory() -> Path:
    """Return `$DANM_LAB_STATE`, by default `/var/tmp/danm-lab`."""
    return Path(os.environ.get("DANM_LAB_STATE") or "/var/tmp/danm-lab")  # noqa: S108 - of root


def repository() -> Path:
    """Return the directory of this repository.

    Raises:
        LabError: Neither `$DANM_REPOSITORY` nor the current directory or one above it is one.
    """
    if named := os.environ.get("DANM_REPOSITORY"):
        return Path(named)
    for directory in (Path.cwd(), *Path.cwd().parents):
        if (directory / "pants.toml").exists() and (directory / "tests" / "lab").is_dir():
            return directory
    raise LabError("Run this in the repository, or name its directory in DANM_REPOSITORY.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """One lab by name, up or not."""

    name: str
    state: Path
    cache: Cache
    binaries: Binaries
    progress: Progress

    @classmethod
    def named(
        cls, name: str, *, progress: Progress | None = None, kubernetes: str | None = None
    ) -> Self:
        """Return the lab of this name.

        Args:
            name: Which one.
            progress: Tells what goes on.
            kubernetes: A release by its minor version, such as 1.34. By default what the lab was
                started with, and the newest where it was not.

        Raises:
            LabError: The name has other characters than a-z, 0-9 and -, or a lab of this name
                was started with another release.
        """
        if _NAME.fullmatch(name) is None:
            raise LabError(f"{name!r} is no name for a lab: use a-z, 0-9 and -, at most 31.")
        progress = progress or Progress()
        cache = Cache(directory=default_cache_directory())
        state = default_state_directory() / name
        return cls(
            name=name,
            state=state,
            cache=cache,
            binaries=Binaries(cache, progress, release_of(name, state, kubernetes)),
            progress=progress,
        )

    @property
    def namespace(self) -> Namespace:
        """Its network namespace."""
        return Namespace(f"{_NAMESPACE_PREFIX}{self.name}")

    @property
    def kubeconfig(self) -> Path:
        """An administrator's kubeconfig file; good within the lab's network namespace."""
        return self.state / "control" / "admin.kubeconfig"

    @property
    def images(self) -> Images:
        """The builder of images."""
        engine = repository() / "build-support" / "container" / "docker"
        return Images(self.cache, self.binaries, self.progress, engine)

    def prepare(self) -> None:
        """Build or find all that a lab needs (minutes, once)."""
        self._check_machine()
        install_missing_packages(
            repository(), self.progress, log=self.binaries.logs / "debian-packages.log"
        )
        images = self.images
        # The base image waits for the network most of the time, the programs for the processor.
        with ThreadPoolExecutor(max_workers=2) as pool:
            base = pool.submit(images.python_base)
            programs = pool.submit(
                lambda: [
                    self.binaries.directory(component)
                    for component in lab_components(self.binaries.release)
                ]
            )
            programs.result()
            base.result()
        if not namespaces(_NAMESPACE_PREFIX):
            self._store().collect()
            images.prune()
        archives = {
            PAUSE: images.pause(),
            COREDNS_IMAGE: images.coredns(),
            PYTHON_BASE: images.python_base(),
        }
        # An archive's path names its recipe.
        self._store().add(
            ArchivedImage(name=name, identity=str(archive), archive=archive)
            for name, archive in archives.items()
        )

    def up(self) -> None:
        """Start the lab; when this returns its nodes are Ready and it has DNS.

        A lab that is up stays as it is; one that is only half there is started anew.

        Raises:
            LabError: It could not be started. Its logs stay until the next `up` or `down`.
        """
        with self._lock():
            if self.is_up():
                self.progress.say(f"The lab {self.name} is up.")
                return
            self.prepare()
            self._clean()
            self._start()

    def down(self) -> None:
        """End the lab and remove everything of it. One that is not there is no error."""
        with self._lock():
            self._clean()

    def load_images(self, names: Sequence[str]) -> None:
        """Give images that this machine's engine has (`docker images`) to the nodes.

        A lab that is down has them from its next start on, one that is up at once.

        Args:
            names: With tags, as they were built.

        Raises:
            BuildError: One of them is not built.
        """
        images = self.images
        store = self._store()
        names = [full_name(name) for name in names]
        identities = images.identities(names)
        with self._lock():
            # One that has died is started anew, with these images.
            up = self.is_up()
            new_here = store.missing(identities)
            present = self._present_images() if up else identities
            new_there = [name for name in names if present.get(name) != identities[name]]
            # Guests see the cache.
            with tempfile.TemporaryDirectory(dir=self.cache.directory) as temporary:
                if new_here:
                    archive = Path(temporary) / "images.tar"
                    with self.progress.step(f"Exporting {', '.join(new_here)}"):
                        images.export(new_here, archive)
                    store.add(
                        ArchivedImage(name=name, identity=identities[name], archive=archive)
                        for name in new_here
                    )
                if new_there:
                    with self.progress.step(f"Giving {', '.join(new_there)} to the nodes"):
                        described, files = store.describe(new_there)
                        documents = Path(temporary) / "documents.tar"
                        write_documents_archive(documents, store.root, described)
                        self._adopt(described, files, documents)
                    given = {name: identities[name] for name in new_there}
                    self._write_present_images(present | given)

    def is_up(self) -> bool:
        """Tell whether the lab was started completely and answers."""
        if not (self._facts_path.exists() and self.namespace.exists()):
            return False
        facts = self._facts()
        context = ssl.create_default_context(cafile=facts["authority"])
        place = place_in(self.namespace)
        return is_ready(place.url, facts["token"], context, place.connect) and all(
            self.agent(node).answers() for node in NODES
        )

    def agent(self, node: Node) -> AgentClient:
        """Return the means to run commands in a node.

        Raises:
            NotUpError: The lab is not up.
        """
        return AgentClient(
            connect=lambda: self.namespace.connect(node.address, AGENT_PORT),
            token=self._facts()["agent_token"],
            name=node.name,
        )

    def node_exec(
        self, node: Node, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0
    ) -> Completed:
        """Run a command in a node as root and return what it printed.

        Raises:
            LabError: The node does not answer, or not in time.
        """
        return self.agent(node).run(argv, stdin=stdin, timeout_s=timeout_s)

    def kubectl_command(self, *arguments: str) -> list[str]:
        """Return a command line that runs kubectl against the lab.

        Raises:
            NotUpError: The lab is not up.
        """
        if not self.kubeconfig.exists():
            raise self._not_up()
        kubectl = self.binaries.program(self.binaries.release.api_server, "kubectl")
        return self.namespace.command([kubectl, f"--kubeconfig={self.kubeconfig}", *arguments])

    def kubectl(self, *arguments: str, stdin: str = "", timeout_s: float = 120.0) -> str:
        """Run kubectl and return what it printed.

        Raises:
            LabError: kubectl failed; what it said is in the message.
        """
        return run_kubectl(self, arguments, stdin=stdin, timeout_s=timeout_s)

    def environment(self) -> dict[str, str]:
        """Return the environment of programs that work on the lab from within its namespace."""
        return dict(os.environ, KUBECONFIG=str(self.kubeconfig), PATH=search_path())

    def _check_machine(self) -> None:
        if os.geteuid() != 0:
            raise LabError("A lab needs root: network namespaces, taps, mounts. Run it as root.")
        if not Path("/dev/net/tun").exists():
            raise LabError("This machine has no /dev/net/tun, which a lab's wires need.")

    def _lock(self) -> AbstractContextManager[None]:
        return file_lock(self.cache.directory / "locks" / f"lab-{self.name}")

    def _store(self) -> ImageStore:
        return ImageStore(self.cache, self.binaries, self.progress)

    @property
    def _facts_path(self) -> Path:
        return self.state / "up.json"

    def _facts(self) -> dict[str, str]:
        """Return what the start wrote down last."""
        try:
            return dict(json.loads(self._facts_path.read_text()))
        except FileNotFoundError as error:
            raise self._not_up() from error

    def _not_up(self) -> NotUpError:
        option = "" if self.name == "danm" else f" --name {self.name}"
        return NotUpError(f"The lab {self.name} is not up. Start it: ./lab up{option}")

    def _clean(self) -> None:
        if self.namespace.exists():
            with self.progress.step(f"Ending the lab {self.name}"):
                self.namespace.kill_processes()
                self.namespace.delete()
        if self.state.exists():
            shutil.rmtree(self.state)

    def _start(self) -> None:
        self.state.mkdir(parents=True, mode=0o700)
        note_release(self.state, self.binaries.release)
        control = self.state / "control"
        agent_token = secrets.token_hex(16)
        self.progress.say(f"Starting the lab {self.name}; its logs are below {self.state}")
        with self.progress.step("Network namespace and wires"):
            self.namespace.create()
            trust = Trust.create(control / "pki", place_in(self.namespace).address)
        self._write_present_images(self._store().identities())
        with self.progress.step("Control plane, and the nodes' kernels"):
            kernels = [
                boot_node(
                    self.namespace,
                    self.state / node.name,
                    node,
                    binaries=self.binaries,
                    store=self._store(),
                    preload=ptrace_preload(self.cache),
                    trust=trust,
                    agent_token=agent_token,
                )
                for node in NODES
            ]
            start_control_plane(self.namespace, control, binaries=self.binaries, trust=trust)
            # Its Pod waits for a node to become ready.
            self.kubectl("apply", "-f", "-", stdin=dns_manifest())
        with self.progress.step("Nodes Ready"):
            self._wait(self._nodes_ready, "Both nodes are Ready", _NODES_READY_S, kernels)
        with self.progress.step("Cluster DNS"):
            self._wait(self._dns_ready, "CoreDNS is available", _DNS_READY_S, kernels)
        facts = {
            "token": trust.token,
            "authority": str(trust.authority.certificate),
            "agent_token": agent_token,
        }
        partial = self._facts_path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(facts))
        partial.rename(self._facts_path)

    @property
    def _present_path(self) -> Path:
        return self.state / "images.json"

    def _present_images(self) -> dict[str, str]:
        """Return the identities of the images that the nodes have, by name."""
        return dict(json.loads(self._present_path.read_text()))

    def _write_present_images(self, identities: Mapping[str, str]) -> None:
        self._present_path.write_text(json.dumps(identities))

    def _adopt(
        self, images: Sequence[StoredImage], files: Mapping[str, Path], documents: Path
    ) -> None:
        ctr = [self.binaries.program(CONTAINERD, "ctr"), "--namespace", "k8s.io"]
        with ThreadPoolExecutor() as pool:
            done = pool.map(
                lambda node: adopt(
                    lambda argv: self.node_exec(node, argv), ctr, images, files, documents
                ),
                NODES,
            )
            list(done)

    def _wait(
        self, condition: Callable[[], bool], what: str, timeout_s: float, alive: list[Background]
    ) -> None:
        wait_until(condition, what=what, timeout_s=timeout_s, alive=alive, poll_s=_POLL_S)

    def _nodes_ready(self) -> bool:
        ready = "{.items[*].status.conditions[?(@.type=='Ready')].status}"
        answer = self.kubectl("get", "nodes", "-o", f"jsonpath={ready}")
        return answer.split() == ["True"] * len(NODES)

    def _dns_ready(self) -> bool:
        available = "{.status.availableReplicas}"
        query = ("get", "deployment", "coredns", "-n", "kube-system", "-o")
        return self.kubectl(*query, f"jsonpath={available}") == "1"
