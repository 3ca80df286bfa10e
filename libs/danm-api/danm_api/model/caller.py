"""Who calls a service of DANM, as Kubernetes authenticated it. Pure."""

from dataclasses import dataclass

from danm_api.names import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated caller.

    Attributes:
        username: Such as ``system:serviceaccount:danm-system:danm-cni``.
        extra: What else the authenticator says, sorted by key.
        node: The node that the token is bound to; None for a token without that claim.
    """

    username: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    node: NodeName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPermission:
    """What a caller wants to do to a path that is no resource, such as ``/metrics``."""

    verb: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What a caller wants to do to a resource.

    Attributes:
        namespace: Empty stands for all namespaces.
    """

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
