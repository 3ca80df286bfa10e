"""The images of an earlier release, for tests of updates.

They have this release's packages: none of them has to be got again.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.bench.cni.executables import NAMES, executables
from tests.lab.cache import Cache
from tests.lab.images import Images
from tests.lab.progress import Progress

_PACKAGES: Final = "/app/lib/python3.11/site-packages"
# In the build's context, which is the earlier tree.
_EXECUTABLES: Final = "out"
_COMMIT_DIGITS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What an image has of the tree, and whom it runs as."""

    package: str
    user: str = "65532:65532"
    executables: bool = False


_PARTS: Final[Mapping[str, _Part]] = {
    "danm/ipam-svc": _Part(package="services/ipam-svc/ipam_svc"),
    "danm/danm-cni": _Part(package="components/cni/danm_cni", user="0:0", executables=True),
    "danm/netwatcher": _Part(package="services/netwatcher/netwatcher"),
    "danm/svcwatcher": _Part(package="services/svcwatcher/svcwatcher"),
}


def previous_images(
    images: Images,
    tree: Path,
    *,
    present: Mapping[str, str],
    cache: Cache,
    progress: Progress,
) -> dict[str, str]:
    """Build the images of all parts of an earlier source tree.

    Args:
        images: Knows the engine that builds.
        tree: Of the earlier release, in a directory named by its commit, as
            build-support/previous-release makes it.
        present: This release's images by the name in the manifests; others in it are left out.
        cache: For the executables.
        progress: Tells what goes on.

    Returns:
        Their names, by the name in the manifests.

    Raises:
        BuildError: The executables or an image did not build.
    """
    shutil.copytree(executables(tree, cache, progress), tree / _EXECUTABLES, dirs_exist_ok=True)
    tag = f"previous-{tree.name[:_COMMIT_DIGITS]}"
    names = {part: f"{present[part].rpartition(':')[0]}:{tag}" for part in _PARTS}
    with progress.step("Images of the previous release"):
        for part, content in _PARTS.items():
            dockerfile = _dockerfile(content, present[part])
            images.build(names[part], dockerfile=dockerfile, context=tree)
    return names


def _dockerfile(part: _Part, present: str) -> str:
    sources = ("libs/danm-api/danm_api", part.package)
    installed = {source: f"{_PACKAGES}/{source.rpartition('/')[2]}" for source in sources}
    programs = " ".join(f"{_EXECUTABLES}/{name}" for name in NAMES)
    return "\n".join(
        (
            f"FROM {present}",
            "USER 0:0",
            f"RUN rm -r {' '.join(installed.values())}",
            *(f"COPY {source} {target}" for source, target in installed.items()),
            *([f"COPY {programs} /opt/danm/bin/"] if part.executables else []),
            f"RUN python3.11 -m compileall -q {' '.join(installed.values())}",
            f"USER {part.user}",
        )
    )
