"""The parts that have a version of their own. Pure."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is released under a version of its own.

    Attributes:
        name: As tags of git name it: ``NAME/vVERSION``.
        root: Its source root in the repository.
        package: Its import package, whose module ``version`` says its version.
        image: Its image's name in the manifests; empty for what is no image.
        deploy: The directory below deploy/ whose kustomization has its image's tag.
        uses: Directories beside its source root whose changes are changes of it.
    """

    name: str
    root: str
    package: str
    image: str = ""
    deploy: str = ""
    uses: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Return the path of the file that says its version."""
        return f"{self.root}/{self.package}/version.py"


_OF_ALL: Final = ("libs/danm-api", "3rdparty/python/python-default.lock.txt")

PARTS: Final = (
    Part(
        name="ipam-svc",
        root="services/ipam-svc",
        package="ipam_svc",
        image="danm/ipam-svc",
        deploy="ipam-svc",
        uses=_OF_ALL,
    ),
    Part(
        name="netwatcher",
        root="services/netwatcher",
        package="netwatcher",
        image="danm/netwatcher",
        deploy="netwatcher",
        uses=_OF_ALL,
    ),
    Part(
        name="svcwatcher",
        root="services/svcwatcher",
        package="svcwatcher",
        image="danm/svcwatcher",
        deploy="svcwatcher",
        uses=_OF_ALL,
    ),
    Part(
        name="danm-cni",
        root="components/cni",
        package="danm_cni",
        image="danm/danm-cni",
        deploy="danm-cni",
        # Its image carries the executable.
        uses=(*_OF_ALL, "build-support/frozen", "components/fakeipam"),
    ),
    Part(
        name="fakeipam",
        root="components/fakeipam",
        package="fakeipam",
        uses=("libs/danm-api", "build-support/frozen"),
    ),
    Part(
        name="kubectl-danm",
        root="components/kubectl-danm",
        package="kubectl_danm",
        uses=_OF_ALL,
    ),
)
