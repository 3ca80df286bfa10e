"""What may happen in a run, as single steps. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from danm_api.kube.api import RawObject, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One request to the API server.

    Attributes:
        verb: "create", "patch", or "delete" with everything that depends on it.
        body: An object, or a merge patch.
    """

    verb: Literal["create", "patch", "delete"]
    resource: Resource
    namespace: str
    name: str
    body: RawObject = field(default_factory=dict)
    subresource: str = ""

    def __str__(self) -> str:
        """Return it in a few words."""
        kind = (
            f"{self.resource.kind}/{self.subresource}" if self.subresource else self.resource.kind
        )
        return f"{self.verb} {kind} {self.namespace}/{self.name} {self.body or ''}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface that a Pod gets.

    Attributes:
        name: Of the DanmEp.
        node: Which says that it made it.
    """

    name: str
    network: str
    node: str
    address: str = ""
    address6: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPod:
    """A Pod appears on a node, with its interfaces, as danmd makes them.

    Attributes:
        body: The Pod.
        status: What the kubelet says then.
    """

    namespace: str
    name: str
    body: RawObject
    status: Mapping[str, Any]
    interfaces: tuple[Interface, ...]

    def __str__(self) -> str:
        """Return it in a few words."""
        told = ", ".join(f"{i.name} {i.network} {i.address} {i.address6}" for i in self.interfaces)
        return f"run Pod {self.namespace}/{self.name} {self.body} {dict(self.status)}: {told}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Somebody changes what a controller made.

    Attributes:
        resource: Of which kind.
        labels: By which the controller's own are known.
        chance: Which of those that there are: from 0 to 1, without 1.
        patch: A merge patch; None to delete it.
        copy: A changed copy appears beside it instead.
    """

    resource: Resource
    labels: Mapping[str, str]
    chance: float
    patch: Mapping[str, Any] | None = None
    copy: bool = False

    def __str__(self) -> str:
        """Return it in a few words."""
        what = "copy" if self.copy else "delete" if self.patch is None else f"patch {self.patch}"
        return f"damage a {self.resource.kind}: {what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of this machine, such as one of iproute2."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as one line."""
        return " ".join(self.argv)


Action = Write | RunPod | Damage | Command
