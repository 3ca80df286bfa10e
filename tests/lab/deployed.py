"""Objects of deploy/ on an API server, and kubeconfig files with the rights that they give."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import yaml

from danm_api.errors import ApiError, ConflictError, NotFoundError
from danm_api.kube.api import LEASES, KubeApi, RawObject
from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc.config import LEASE
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
from tests.lab.pki import Authority, write_kubeconfig

IPAM_ACCOUNT: Final = "danm-ipam"
_GRANTED_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.05
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
    """Return the objects of files below deploy/."""
    return [raw for file in files for raw in yaml.safe_load_all((DEPLOY / file).read_text())]


async def apply_deployed(api: KubeApi, *files: str) -> None:
    """Create the objects of files below deploy/; those that are there stay as they are."""
    await apply_objects(api, deployed(*files))


async def apply_objects(api: KubeApi, raws: Iterable[RawObject]) -> None:
    """Create objects; those that are there stay as they are."""
    for raw in raws:
        kind = _KINDS[raw["kind"]]
        namespace = raw["metadata"]["namespace"] if kind.namespaced else None
        with suppress(ConflictError):
            await api.create(kind, raw, namespace=namespace)


async def ipam_kubeconfig(server: ApiServer) -> Path:
    """Return a kubeconfig with the rights that deploy/ gives to ipam-svc, which are in force."""
    path = server.kubeconfig.with_name(f"{IPAM_ACCOUNT}.kubeconfig")
    if path.exists():
        return path
    async with await KubeClient.connect(server.kubeconfig) as api:
        await grant_ipam(api)
    account_kubeconfig(path, url=server.url, authority=server.trust.authority, account=IPAM_ACCOUNT)
    async with await KubeClient.connect(path) as api, asyncio.timeout(_GRANTED_WITHIN_S):
        while not await _may_lead(api):
            await asyncio.sleep(_POLL_S)
    return path


async def _may_lead(api: KubeApi) -> bool:
    """Say whether the last of the roles is in force; the server tells nobody when."""
    try:
        await api.get(LEASES, LEASE, namespace=SYSTEM_NAMESPACE)
    except NotFoundError:
        return True
    except ApiError:
        return False
    return True


async def grant_ipam(api: KubeApi) -> None:
    """Give ipam-svc the rights of deploy/."""
    await apply_deployed(api, "namespace/namespace.yaml", "ipam-svc/rbac.yaml")


def account_kubeconfig(path: Path, *, url: str, authority: Authority, account: str) -> Path:
    """Write a kubeconfig with the rights of one of DANM's service accounts, and no other.

    By a certificate, which does not end in a test: RBAC looks at the user's name alone.

    Args:
        path: The file to write.
        url: The API server's, or a proxy's.
        authority: The one of the API server.
        account: In DANM's namespace.
    """
    user = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{account}"
    return write_kubeconfig(
        path,
        server=url,
        authority=authority.certificate,
        credential=authority.client(path.stem, user),
    )
