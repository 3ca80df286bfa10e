"""What an error of the API server means for the person who asked, and the way out. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from danm_api.errors import ApiError, ApiUnavailableError, DanmError, KindNotServedError

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
# The words of Kubernetes' own authorizer (RBAC and all others share them).
_CANNOT: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" '
    r'in API group "(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]+)")?'
)
# Kinds that the role "view" shows in a namespace: deploy/tenants adds DANM's to Kubernetes' own.
_IN_VIEW: Final = frozenset(
    {
        "danmnets.danm.k8s.io",
        "danmeps.danm.k8s.io",
        "danmipblocks.danm.k8s.io",
        "pods",
        "pods/log",
        "services",
        "endpoints",
        "endpointslices.discovery.k8s.io",
        "events.events.k8s.io",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRight:
    """What somebody may not do.

    Attributes:
        resource: With its group, such as ``danmnets.danm.k8s.io``.
        namespace: None for all namespaces, or for what has none.
    """

    user: str
    verb: str
    resource: str
    namespace: str | None

    def __str__(self) -> str:
        """Name the right."""
        where = "in all namespaces" if self.namespace is None else f"in namespace {self.namespace}"
        return f"the right to {self.verb} {self.resource} {where}"


def is_refusal(error: BaseException) -> bool:
    """Say whether the API server knows who asks and does not let them."""
    return isinstance(error, ApiError) and error.status == _FORBIDDEN


def missing_right(error: DanmError) -> MissingRight | None:
    """Return the right that a refusal names; None if it names none."""
    said = _CANNOT.search(error.reason)
    if said is None:
        return None
    group = said["group"]
    return MissingRight(
        user=said["user"],
        verb=said["verb"],
        resource=f"{said['resource']}.{group}" if group else said["resource"],
        namespace=said["namespace"],
    )


def explain(error: DanmError) -> str:
    """Return what went wrong and what to do, as one or two sentences."""
    if is_refusal(error):
        right = missing_right(error)
        if right is None:
            return (
                f"The API server does not allow it: {error.reason}. Ask an administrator for the"
                " right, or use another --context"
            )
        return f"{right.user} lacks {right}. {_way_out(right)}"
    if isinstance(error, ApiError) and error.status == _UNAUTHORIZED:
        return (
            f"The API server does not know you: {error.reason}. Renew the credentials of your"
            " kubeconfig (kubectl auth whoami says what they are worth), or use another --context"
        )
    if isinstance(error, KindNotServedError):
        return (
            f"DANM is not installed in this cluster, or not all of it: {error.reason}. Install it"
            " (kubectl apply --server-side -k deploy, or its Helm chart), or use another --context"
        )
    if isinstance(error, ApiUnavailableError):
        return f"{error.reason}. Try again; if it stays so, kubectl cluster-info tells more"
    return error.reason


def _way_out(right: MissingRight) -> str:
    subject = right.user
    option = f"--user={subject}"
    if subject.startswith("system:serviceaccount:"):
        option = f"--serviceaccount={subject.removeprefix('system:serviceaccount:')}"
    reads = right.verb in {"get", "list", "watch"}
    if right.namespace is not None and reads and right.resource in _IN_VIEW:
        return (
            f"The role view has it: kubectl -n {right.namespace} create rolebinding danm-look"
            f" --clusterrole=view {option}"
        )
    kind = "role" if right.namespace is not None else "clusterrole"
    place = f" -n {right.namespace}" if right.namespace is not None else ""
    hint = " (or name one namespace by -n)" if right.resource in _IN_VIEW else ""
    return (
        f"An administrator gives it by kubectl{place} create {kind} danm-look --verb={right.verb}"
        f" --resource={right.resource}, and kubectl{place} create {kind}binding danm-look"
        f" --{kind}=danm-look {option}{hint}"
    )
