"""TokenReview and SubjectAccessReview: who calls, and whether they may. Pure."""

from typing import Any, Final

from danm_api.codec.meta import RawObject
from danm_api.model.caller import Caller, PathPermission, Permission
from danm_api.names import NodeName

# Set by the API server in tokens that are bound to a Pod, since Kubernetes 1.32.
_NODE_CLAIM: Final = "authentication.kubernetes.io/node-name"


def encode_token_review(token: str, *, audience: str | None) -> RawObject:
    """Return the question whose token this is, for the API server's own audience if for none."""
    spec: dict[str, Any] = {"token": token}
    if audience is not None:
        spec["audiences"] = [audience]
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}


def decode_token_review(raw: RawObject, *, audience: str | None) -> Caller | str:
    """Return the caller, or why the token proves nothing."""
    status: dict[str, Any] = raw.get("status") or {}
    if status.get("authenticated") is not True:
        return str(status.get("error") or "the token is not valid")
    # An API server that does not know audiences would accept a token made for anybody.
    if audience is not None and audience not in (status.get("audiences") or []):
        return f"the token is not for the audience {audience}"
    user: dict[str, Any] = status.get("user") or {}
    extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
    nodes = extra.get(_NODE_CLAIM, ())
    return Caller(
        username=str(user.get("username", "")),
        uid=str(user.get("uid", "")),
        groups=tuple(user.get("groups") or ()),
        extra=tuple(sorted(extra.items())),
        node=NodeName(nodes[0]) if len(nodes) == 1 else None,
    )


def encode_access_review(caller: Caller, permission: Permission | PathPermission) -> RawObject:
    """Return the question whether a caller may."""
    kind, attributes = _attributes(permission)
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": caller.username,
            "uid": caller.uid,
            "groups": list(caller.groups),
            "extra": {key: list(values) for key, values in caller.extra},
            kind: {key: value for key, value in attributes.items() if value},
        },
    }


def _attributes(permission: Permission | PathPermission) -> tuple[str, dict[str, str]]:
    if isinstance(permission, PathPermission):
        return "nonResourceAttributes", {"verb": permission.verb, "path": permission.path}
    return "resourceAttributes", {
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "subresource": permission.subresource,
        "namespace": permission.namespace,
        "name": permission.name,
    }


def decode_access_review(raw: RawObject) -> bool:
    """Say whether the caller may."""
    status: dict[str, Any] = raw.get("status") or {}
    return status.get("allowed") is True and status.get("denied") is not True
