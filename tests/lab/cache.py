"""A cache of built directories that several labs may fill at once."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


def default_cache_directory() -> Path:
    """Return `$DANM_LAB_CACHE`, by default `~/.cache/danm-lab`."""
    return Path(os.environ.get("DANM_LAB_CACHE") or Path("~/.cache/danm-lab").expanduser())


def recipe_key(version: str, *ingredients: bytes) -> str:
    """Return the version and a hash of everything else that a build depends on."""
    digest = hashlib.sha256()
    for ingredient in ingredients:
        digest.update(len(ingredient).to_bytes(8, "big"))
        digest.update(ingredient)
    return f"{version}-{digest.hexdigest()[:12]}"


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel drops it whatever happens to this process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Directories by component and recipe. A directory that has its name is complete."""

    directory: Path

    def path(self, component: str, key: str) -> Path:
        """Return where a component is or would be."""
        return self.directory / component / key

    def obtain(self, component: str, key: str, build: Callable[[Path], None]) -> Path:
        """Return the component's directory; build it first where it is missing.

        Args:
            component: Its name.
            key: What tells one recipe of it from another (`recipe_key`).
            build: Fills the directory that it is given. When it fails nothing remains.
        """
        target = self.path(component, key)
        if target.is_dir():
            return target
        with file_lock(self.directory / component / ".lock"):
            if target.is_dir():
                return target
            # Whoever holds the lock is the only builder: these are of builders that died.
            for stale in target.parent.glob(".partial-*"):
                shutil.rmtree(stale)
            partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
            try:
                partial.chmod(0o755)
                build(partial)
                partial.rename(target)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        return target
