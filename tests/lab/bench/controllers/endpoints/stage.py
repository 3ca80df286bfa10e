"""Makes the cluster in which controllers are measured: Nodes, Pods, DanmEps and Services."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from danm_api.kube.api import (
    DANMEPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NODES,
    PODS,
    SERVICES,
    KubeApi,
    RawObject,
)
from danm_api.names import SYSTEM_NAMESPACE
from tests.lab.bench.controllers.endpoints.cases import Size
from tests.lab.bench.controllers.endpoints.objects import (
    NAMESPACE,
    interfaces,
    node_name,
    pod_name,
    pod_object,
    running,
)
from tests.lab.bench.stage import Stage, apply, at_once
from tests.lab.kinds import until_served
from tests.lab.kube_objects import NAMESPACES
from tests.lab.kubectl import Kubectl

_ACCOUNT: Final = "danm-svcwatcher"


class Crowd:
    """Many Pods and their Services on an API server."""

    def __init__(self, api: KubeApi) -> None:
        """Use an administrator's client."""
        self._api = api
        self._stage = Stage(api)
        self._pods = 0

    async def set_up(self, kubectl: Kubectl, repository: Path) -> str:
        """Install DANM's kinds and svcwatcher's rights, and return its token.

        Raises:
            StartError: kubectl failed.
        """
        deploy = repository / "deploy"
        apply(kubectl, "-f", deploy / "namespace" / "namespace.yaml")
        apply(kubectl, "-k", deploy / "crds")
        apply(kubectl, "-f", deploy / "svcwatcher" / "rbac.yaml")
        await self._stage.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        await until_served(self._api, DANMEPS)
        return await self._stage.token(_ACCOUNT, SYSTEM_NAMESPACE)

    async def grow(self, size: Size) -> None:
        """Add Pods, all ready, up to a size."""
        missing = range(self._pods, size.pods)
        for node in sorted({node_name(pod) for pod in missing}):
            await self._stage.create(NODES, {"metadata": {"name": node}})
        await at_once(self._add_pod(pod) for pod in missing)
        self._pods = size.pods

    async def _add_pod(self, pod: int) -> None:
        made = await self._api.create(PODS, pod_object(pod), namespace=NAMESPACE)
        await self._api.patch(
            PODS, pod_name(pod), running(pod), namespace=NAMESPACE, subresource="status"
        )
        for raw in interfaces(pod, made["metadata"]["uid"]):
            await self._api.create(DANMEPS, raw, namespace=NAMESPACE)

    async def serve(self, size: Size, service: Callable[[str], RawObject]) -> None:
        """Make all Services."""
        await at_once(
            self._api.create(SERVICES, service(name), namespace=NAMESPACE) for name in size.names()
        )

    async def clear_services(self) -> None:
        """Remove all Services and what controllers have made of them, which nobody else does."""
        for kind in (SERVICES, ENDPOINT_SLICES, ENDPOINTS):
            listed = await self._api.list(kind, namespace=NAMESPACE)
            names = [raw["metadata"]["name"] for raw in listed.items]
            await at_once(self._api.delete(kind, name, namespace=NAMESPACE) for name in names)
