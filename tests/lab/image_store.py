"""Images unpacked once on this machine, for all guests of all labs to look at.

Unpacking takes a guest half a minute for 80 MB. So a private containerd of this machine unpacks
images into a directory in containerd's own form; a guest starts with copies of its small databases
and refers to the bulk (content and snapshots), which it sees through its root file system.

The directory only ever grows while guests look at it: nothing in it is changed or removed, and the
garbage collector is off.
"""

import hashlib
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

_START_TIMEOUT_S: Final = 30.0
# Of the kubelet's runtime; other namespaces are not visible to it.
_NAMESPACE: Final = "k8s.io"
_SNAPSHOTS: Final = "io.containerd.snapshotter.v1.overlayfs/metadata.db"
_METADATA: Final = "io.containerd.metadata.v1.bolt/meta.db"
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

    def export(self, names: Sequence[str], archive: Path) -> None:
        """Write images of the store into an archive whose layers are named by their content.

        Whoever imports it skips, without reading it twice, what he has.

        Raises:
            BuildError: The store lacks one of them.
        """
        with file_lock(self._lock), self._containerd() as ctr:
            _run([*ctr, "images", "export", str(archive), *names])

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


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
