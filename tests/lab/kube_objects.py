"""Kinds of Kubernetes that tests make objects of, and the validator's part of a DanmNet."""

from collections.abc import Mapping
from typing import Final

from danm_api.kube.api import DANMNETS, KubeApi, Resource

DEFINITIONS: Final = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
)
NAMESPACES: Final = Resource(
    group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False
)
SERVICE_ACCOUNTS: Final = Resource(
    group="", version="v1", plural="serviceaccounts", kind="ServiceAccount"
)
CLUSTER_ROLES: Final = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    plural="clusterroles",
    kind="ClusterRole",
    namespaced=False,
)
CLUSTER_ROLE_BINDINGS: Final = Resource(
    group="rbac.authorization.k8s.io",
    version="v1",
    plural="clusterrolebindings",
    kind="ClusterRoleBinding",
    namespaced=False,
)


async def accept_network(
    api: KubeApi, name: str, spec: Mapping[str, object], *, namespace: str
) -> None:
    """Do the validator's part where none runs: put a new DanmNet's spec in force."""
    condition = {
        "type": "Valid",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await api.patch(
        DANMNETS,
        name,
        {"status": {"applied": dict(spec), "conditions": [condition]}},
        namespace=namespace,
        subresource="status",
    )
