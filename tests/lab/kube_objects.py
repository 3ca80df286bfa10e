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


def _rbac(plural: str, kind: str, *, namespaced: bool) -> Resource:
    return Resource(
        group="rbac.authorization.k8s.io",
        version="v1",
        plural=plural,
        kind=kind,
        namespaced=namespaced,
    )


def _admission(plural: str, kind: str) -> Resource:
    return Resource(
        group="admissionregistration.k8s.io",
        version="v1",
        plural=plural,
        kind=kind,
        namespaced=False,
    )


CLUSTER_ROLES: Final = _rbac("clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS: Final = _rbac("clusterrolebindings", "ClusterRoleBinding", namespaced=False)
ROLES: Final = _rbac("roles", "Role", namespaced=True)
ROLE_BINDINGS: Final = _rbac("rolebindings", "RoleBinding", namespaced=True)
ADMISSION_POLICIES: Final = _admission("validatingadmissionpolicies", "ValidatingAdmissionPolicy")
ADMISSION_POLICY_BINDINGS: Final = _admission(
    "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"
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
