"""Objects of deploy/ on an API server, and kubeconfig files with the rights that they give."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

from danm_api.errors import ConflictError
from danm_api.kube.api import KubeApi, RawObject
from danm_api.names import SYSTEM_NAMESPACE
from tests.lab.apiserver import ApiServer
from tests.lab.kube_objects import (
    ADMISSION_POLICIES,
    ADMISSION_POLICY_BINDINGS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
)
from tests.lab.pki import write_kubeconfig

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
_KINDS: Final = {
    each.kind: each
    for each in (
        ADMISSION_POLICIES,
        ADMISSION_POLICY_BINDINGS,
        CLUSTER_ROLE_BINDINGS,
        CLUSTER_ROLES,
        NAMESPACES,
        ROLE_BINDINGS,
        ROLES,
        SERVICE_ACCOUNTS,
    )
}


def deployed(*files: str) -> list[RawObject]:
    """Return the objects of files below deploy/; of one name the last, as with kustomize."""
    found: dict[tuple[str, str], RawObject] = {}
    for file in files:
        for raw in yaml.safe_load_all((DEPLOY / file).read_text()):
            found[raw["kind"], raw["metadata"]["name"]] = raw
    return list(found.values())


async def apply_deployed(api: KubeApi, *files: str) -> None:
    """Create the objects of files below deploy/; those that are there stay as they are."""
    for raw in deployed(*files):
        kind = _KINDS[raw["kind"]]
        namespace = raw["metadata"]["namespace"] if kind.namespaced else None
        with suppress(ConflictError):
            await api.create(kind, raw, namespace=namespace)


def account_kubeconfig(server: ApiServer, account: str) -> Path:
    """Write a kubeconfig with the rights of one of DANM's service accounts, and no other.

    By a certificate, which never ends in a test: RBAC looks at the user's name alone.
    """
    user = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{account}"
    return write_kubeconfig(
        server.kubeconfig.with_name(f"{account}.kubeconfig"),
        server=server.url,
        authority=server.authority,
        credential=server.trust.authority.client(account, user),
    )
