"""Images unpacked once on this machine, for all guests of all labs to look at.

Unpacking takes a guest half a minute for 80 MB. So a private containerd of this machine unpacks
images into a directory in containerd's own form; a guest starts with copies of its small databases
and refers to the bulk (content and snapshots), which it sees through its root file system.

The directory only ever grows while guests look at it: nothing in it is changed or removed, and the
garbage collector is off.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.lab.binaries import CONTAINERD, Binaries
from tests.lab.cache import Cache, file_lock, recipe_key
from tests.lab.errors import BuildError
from tests.lab.process import start_leashed, wait_until
from tests.lab.progress import Progress
from tests.lab.stored_image import StoredImage, read_image

_START_TIMEOUT_S: Final = 30.0
# Of the kubelet's runtime; other namespaces are not visible to it.
_NAMESPACE: Final = "k8s.io"
_SNAPSHOTS: Final = "io.containerd.snapshotter.v1.overlayfs/metadata.db"
_METADATA: Final = "io.containerd.metadata.v1.bolt/meta.db"
# Some 8 GB. It takes seconds to unpack again what is needed.
_MANY_LAYERS: Final = 80
# No collection ever: what no image of this store needs any more a guest may still use.
_CONFIGURATION: Final = """\
version = 3
root = "{root}"
state = "{state}/state"
disabled_plugins = [
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri",
]
[grpc]
address = "{state}/containerd.sock"
[ttrpc]
address = "{state}/containerd.ttrpc"
[plugins.'io.containerd.gc.v1.scheduler']
pause_threshold = 0.0
deletion_threshold = 0
mutation_threshold = 0
schedule_delay = "0s"
startup_delay = "87600h"
"""


class ImageStore:
    """The directory of unpacked images of one cache."""

    def __init__(self, cache: Cache, binaries: Binaries, progress: Progress) -> None:
        # Another containerd may write its databases in another form.
        self._directory = cache.directory / "image-store" / recipe_key("1", CONTAINERD.key.encode())
        self._binaries = binaries
        self._progress = progress

    @property
    def root(self) -> Path:
        """The directory in containerd's form."""
        return self._directory / "root"

    def missing(self, identities: Iterable[str]) -> list[str]:
        """Return which of these images have not been unpacked yet.

        Args:
            identities: Words that tell one image's content from every other's.
        """
        return [identity for identity in identities if not self._mark(identity).exists()]

    def forget_all_when_large(self) -> None:
        """Start anew once there are many layers; to be called while no lab is up.

        Each rebuilt image adds some 100 MB, and nothing else ever removes one.
        """
        with file_lock(self._lock):
            snapshots = self.root / "io.containerd.snapshotter.v1.overlayfs" / "snapshots"
            if snapshots.exists() and len(list(snapshots.iterdir())) > _MANY_LAYERS:
                shutil.rmtree(self._marks)
                shutil.rmtree(self.root)

    def identities(self) -> set[str]:
        """Return the identities of all images that are unpacked."""
        return {mark.read_text() for mark in self._marks.iterdir()}

    def add(self, archives: Mapping[str, Path]) -> None:
        """Unpack images, those that are not there yet.

        Args:
            archives: Identity of an image's content -> an archive that contains it; one archive
                may contain several.

        Raises:
            BuildError: An archive is not one.
        """
        self._marks.mkdir(parents=True, exist_ok=True)
        with file_lock(self._lock):
            missing = self.missing(archives)
            if not missing:
                return
            with self._progress.step(f"Unpacking {len(missing)} images"), self._containerd() as ctr:
                for archive in sorted({archives[identity] for identity in missing}):
                    _run([*ctr, "images", "import", "--local", str(archive)])
            for identity in missing:
                self._mark(identity).write_text(identity)

    def describe(self, names: Sequence[str]) -> tuple[list[StoredImage], dict[str, Path]]:
        """Return images of the store, and where each of their layers' files are.

        Returns:
            The images, in the order of their names, and chain -> directory.

        Raises:
            BuildError: The store lacks one of them.
        """
        with file_lock(self._lock), self._containerd() as ctr:
            rows = (line.split() for line in _run([*ctr, "images", "list"]).splitlines()[1:])
            digests = {row[0]: row[2] for row in rows}
            if lacking := sorted(set(names) - digests.keys()):
                raise BuildError(f"The store of unpacked images lacks {', '.join(lacking)}.")
            images = [read_image(self.root, name=name, digest=digests[name]) for name in names]
            chains = {layer.chain for image in images for layer in image.layers}
            return images, {chain: _snapshot_files(ctr, chain) for chain in sorted(chains)}

    def copy_databases(self, target: Path) -> None:
        """Copy what a guest needs copies of: one consistent state of the store's databases."""
        target.mkdir(parents=True, exist_ok=True)
        with file_lock(self._lock):
            for name in (_SNAPSHOTS, _METADATA):
                shutil.copy(self.root / name, target)

    @property
    def _marks(self) -> Path:
        return self._directory / "imported"

    @property
    def _lock(self) -> Path:
        return self._directory / "lock"

    def _mark(self, identity: str) -> Path:
        return self._marks / hashlib.sha256(identity.encode()).hexdigest()

    @contextmanager
    def _containerd(self) -> Iterator[list[str]]:
        """Run containerd on the store; yields the start of a command line for it."""
        # A socket's path may have 107 bytes, so not below the cache.
        with tempfile.TemporaryDirectory(prefix="danm-lab-") as state:
            configuration = Path(state) / "containerd.toml"
            configuration.write_text(_CONFIGURATION.format(root=self.root, state=state))
            containerd = start_leashed(
                "containerd (for the image store)",
                [self._binaries.program(CONTAINERD, "containerd"), "--config", str(configuration)],
                log=self._binaries.logs / "image-store.log",
            )
            ctr = [self._binaries.program(CONTAINERD, "ctr")]
            ctr += ["--address", f"{state}/containerd.sock", "--namespace", _NAMESPACE]
            try:
                wait_until(
                    lambda: subprocess.run(
                        [*ctr, "version"], capture_output=True, check=False
                    ).returncode
                    == 0,
                    what="containerd for the image store answers",
                    timeout_s=_START_TIMEOUT_S,
                    alive=(containerd,),
                )
                yield ctr
            finally:
                containerd.stop()


def _snapshot_files(ctr: list[str], chain: str) -> Path:
    """Return the directory with the files of one layer alone."""
    key = f"look-{chain}"
    mount = json.loads(_run([*ctr, "snapshots", "view", "--mounts", key, chain]))[0]
    _run([*ctr, "snapshots", "remove", key])
    if mount["Type"] == "bind":
        return Path(mount["Source"])
    lower = next(option for option in mount["Options"] if option.startswith("lowerdir="))
    return Path(lower.removeprefix("lowerdir=").split(":")[0])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout
