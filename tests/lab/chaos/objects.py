"""The objects in the API server that a run is about."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from danm_api.crd.definitions import ALL
from danm_api.errors import (
    ApiUnavailableError,
    ConflictError,
    DanmError,
    NotFoundError,
)
from danm_api.ipam_api import AUDIENCE, AttachmentRequest, PodOwnerMessage
from danm_api.kube.api import (
    DANMNETS,
    NODES,
    PODS,
    KubeApi,
    RawObject,
    Resource,
)
from danm_api.names import INTERFACES_ANNOTATION, SYSTEM_NAMESPACE
from tests.lab.deployed import grant_ipam
from tests.lab.kinds import until_served
from tests.lab.kube_objects import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    DEFINITIONS,
    NAMESPACES,
    SERVICE_ACCOUNTS,
    accept_network,
)

T = TypeVar("T")

NAMESPACE: Final = "chaos"
DANMD_ACCOUNT: Final = "danm-cni"
TOOL_ACCOUNT: Final = "tool"

# Longer than any run.
_TOKEN_S: Final = 24 * 3600
_RETRY_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Makes and removes objects, whatever happens to the API server meanwhile."""

    api: KubeApi

    async def install(self) -> None:
        """Make DANM's kinds, the namespaces, the rights of ipam-svc, and who may reserve."""
        await self.install_kinds()
        await self.add_namespace(NAMESPACE)
        await grant_ipam(self.api)
        rule = {
            "apiGroups": ["danm.k8s.io"],
            "resources": ["danmnets/reservations"],
            "verbs": ["create", "delete", "get", "list"],
        }
        role = {"metadata": {"name": "reservations"}, "rules": [rule]}
        await self._create(CLUSTER_ROLES, role)
        for account, namespace in ((DANMD_ACCOUNT, SYSTEM_NAMESPACE), (TOOL_ACCOUNT, NAMESPACE)):
            await self._create(SERVICE_ACCOUNTS, {"metadata": {"name": account}}, namespace)
            binding = {
                "metadata": {"name": account},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "reservations",
                },
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
            }
            await self._create(CLUSTER_ROLE_BINDINGS, binding)

    async def install_kinds(self) -> None:
        """Make DANM's kinds; they are served afterwards."""
        for definition in ALL:
            await self._create(DEFINITIONS, definition.manifest())
        await until_served(self.api)

    async def add_namespace(self, name: str) -> None:
        """Make a namespace."""
        await self._create(NAMESPACES, {"metadata": {"name": name}})

    async def add_network(self, name: str, **options: object) -> None:
        """Make a DanmNet and do the validator's part."""
        spec = {"NetworkID": name, "Options": options}
        await self._create(DANMNETS, {"metadata": {"name": name}, "spec": spec}, NAMESPACE)
        await accept_network(self.api, name, spec, namespace=NAMESPACE)

    async def add_node(self, name: str) -> str:
        """Make a node with its danmd's Pod, and return the danmd's token."""
        await self._create(NODES, {"metadata": {"name": name}})
        pod = await self._create(PODS, _pod(f"danm-{name}", name, ""), SYSTEM_NAMESPACE)
        return await self._token(DANMD_ACCOUNT, SYSTEM_NAMESPACE, pod=pod)

    async def tool_token(self) -> str:
        """Return the token of a tool that reserves as an external owner."""
        return await self._token(TOOL_ACCOUNT, NAMESPACE)

    async def lose_node(self, name: str, *, gone: bool) -> None:
        """Remove a node, or declare it out of service."""
        if gone:
            await self._remove(NODES, name)
            return
        taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
        await in_the_end(lambda: self.api.patch(NODES, name, {"spec": {"taints": [taint]}}))

    async def run_pod(
        self, name: str, node: str, attachments: Sequence[AttachmentRequest]
    ) -> PodOwnerMessage:
        """Make a Pod that is bound to a node and asks for attachments."""
        asked = [
            {"network": each.network}
            | ({"ip": each.ip} if each.ip != "none" else {})
            | ({"ip6": each.ip6} if each.ip6 != "none" else {})
            for each in attachments
        ]
        annotation = msgspec.json.encode(asked).decode()
        raw = await self._create(PODS, _pod(name, node, annotation), NAMESPACE)
        return PodOwnerMessage(namespace=NAMESPACE, name=name, uid=raw["metadata"]["uid"])

    async def remove_pod(self, name: str) -> None:
        """Remove a Pod; at once, since no kubelet would."""
        await self._remove(PODS, name, NAMESPACE)

    async def _remove(self, kind: Resource, name: str, namespace: str | None = None) -> None:
        with suppress(NotFoundError):
            await in_the_end(lambda: self.api.delete(kind, name, namespace=namespace))

    async def _create(
        self, kind: Resource, body: RawObject, namespace: str | None = None
    ) -> RawObject:
        """Make an object; one that is there already is what an unanswered try has made."""
        whole = {"apiVersion": kind.api_version, "kind": kind.kind} | body
        with suppress(ConflictError):
            return await in_the_end(lambda: self.api.create(kind, whole, namespace=namespace))
        name = body["metadata"]["name"]
        return await in_the_end(lambda: self.api.get(kind, name, namespace=namespace))

    async def _token(self, account: str, namespace: str, *, pod: RawObject | None = None) -> str:
        spec: dict[str, Any] = {"audiences": [AUDIENCE], "expirationSeconds": _TOKEN_S}
        if pod is not None:
            spec["boundObjectRef"] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            }
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = Resource(
            group="", version="v1", plural=f"serviceaccounts/{account}/token", kind="TokenRequest"
        )
        answer = await in_the_end(lambda: self.api.create(path, body, namespace=namespace))
        return str(answer["status"]["token"])


def _pod(name: str, node: str, annotation: str) -> RawObject:
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "image": "none"}],
        "nodeName": node,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
    }
    if not annotation:
        spec["serviceAccountName"] = DANMD_ACCOUNT
    annotations = {INTERFACES_ANNOTATION: annotation} if annotation else {}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": spec}


async def in_the_end(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the API server answers: it may be away for a while."""
    while True:
        try:
            return await call()
        except ApiUnavailableError:
            await asyncio.sleep(_RETRY_S)
        except DanmError as error:
            # Kubernetes says so too while it starts.
            if not error.transient or isinstance(error, ConflictError):
                raise
            await asyncio.sleep(_RETRY_S)
