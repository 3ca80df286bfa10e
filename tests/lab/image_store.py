"""Images unpacked once on this machine, for all guests of all labs to look at.

Unpacking takes a guest half a minute for 80 MB. So a private containerd of this machine unpacks
images into a directory in containerd's own form; a guest starts with copies of its small databases
and refers to the bulk (content and snapshots), which it sees through its root file system.

The directory only ever grows while guests look at it: nothing in it is changed or removed, and the
garbage collector is off. It runs when no lab is up.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
# Some 8 GB.
_MANY_LAYERS: Final = 80
# A name that is removed again at once: that is how containerd is told to collect, and to wait.
_COLLECT: Final = "localhost/lab/collect:now"
# Never by itself: what no image of this store needs any more a guest may still use.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedImage:
    """An image in an archive.

    Attributes:
        name: Its name, with a tag.
        identity: A word that tells its content from that of every other image.
        archive: The file; it may contain other images too.
    """

    name: str
    identity: str
    archive: Path


class ImageStore:
    """The directory of unpacked images of one cache."""

    def __init__(self, cache: Cache, binaries: Binaries, progress: Progress) -> None:
        # Another containerd may write its databases in another form.
        self._directory = cache.directory / "image-store" / recipe_key("2", CONTAINERD.key.encode())
        self._binaries = binaries
        self._progress = progress

    @property
    def root(self) -> Path:
        """The directory in containerd's form."""
        return self._directory / "root"

    def identities(self) -> dict[str, str]:
        """Return the identities of all images that are unpacked, by name."""
        try:
            return dict(json.loads(self._unpacked.read_text()))
        except FileNotFoundError:
            return {}

    def missing(self, identities: Mapping[str, str]) -> list[str]:
        """Return the names of those of these images that are not there, or with another content.

        Args:
            identities: Name -> identity.
        """
        known = self.identities()
        return [name for name, identity in identities.items() if known.get(name) != identity]

    def add(self, images: Iterable[ArchivedImage]) -> None:
        """Unpack images, those that are not there yet.

        Raises:
            BuildError: An archive is not one.
        """
        by_name = {image.name: image for image in images}
        self._directory.mkdir(parents=True, exist_ok=True)
        with file_lock(self._lock):
            names = self.missing({image.name: image.identity for image in by_name.values()})
            if not names:
                return
            with self._progress.step(f"Unpacking {len(names)} images"), self._containerd() as ctr:
                for archive in sorted({by_name[name].archive for name in names}):
                    _run([*ctr, "images", "import", "--local", str(archive)])
            added = {name: by_name[name].identity for name in names}
            self._write_identities(self.identities() | added)

    def collect(self, *, many_layers: int = _MANY_LAYERS) -> None:
        """Remove what no image has any more; to be called while no lab is up.

        Each image that is built anew leaves its predecessor's layers, some 100 MB.

        Args:
            many_layers: Up to so many the store is left as it is.
        """
        with file_lock(self._lock):
            snapshots = self.root / "io.containerd.snapshotter.v1.overlayfs" / "snapshots"
            names = list(self.identities())
            if not names or len(list(snapshots.iterdir())) <= many_layers:
                return
            with self._progress.step("Removing old unpacked images"), self._containerd() as ctr:
                _run([*ctr, "images", "tag", "--force", names[0], _COLLECT])
                _run([*ctr, "images", "remove", "--sync", _COLLECT])

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
    def _unpacked(self) -> Path:
        return self._directory / "unpacked.json"

    def _write_identities(self, identities: Mapping[str, str]) -> None:
        partial = self._unpacked.with_suffix(".partial")
        partial.write_text(json.dumps(identities, indent=1))
        partial.replace(self._unpacked)

    @property
    def _lock(self) -> Path:
        return self._directory / "lock"

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
