"""The Pods of a case on the API server, as far as a kubelet and its user would go."""

from uuid import uuid4

from danm_api.kube.api import PODS, KubeApi, RawObject
from tests.lab.bench.stage import NAMESPACE, Stage, at_once, pod_object
from tests.lab.errors import LabError
from tests.lab.kubectl import Kubectl


class Pods:
    """Makes and ends Pods of the node."""

    def __init__(self, api: KubeApi, stage: Stage, kubectl: Kubectl) -> None:
        """Use an administrator's client and kubectl."""
        self._api = api
        self._stage = stage
        self._kubectl = kubectl

    async def make(self, count: int, annotation: str) -> list[RawObject]:
        """Make Pods that are bound to the node and ask for the same."""
        run = uuid4().hex[:6]
        return await at_once(
            self._stage.create(
                PODS, pod_object(f"pod-{run}-{number}", annotation=annotation), NAMESPACE
            )
            for number in range(count)
        )

    async def end(self, pod: RawObject) -> None:
        """Mark a Pod as terminating, after which a runtime removes its sandbox."""
        await self._api.delete(PODS, pod["metadata"]["name"], namespace=NAMESPACE)

    def remove_all(self) -> None:
        """Remove the objects, as the kubelet does in the end.

        Raises:
            LabError: kubectl failed.
        """
        scope = ("pods", "--all", f"--namespace={NAMESPACE}")
        done = self._kubectl("delete", *scope, "--force", "--grace-period=0", "--wait=false")
        if done.returncode != 0:
            raise LabError(f"kubectl delete failed: {done.stderr.strip()}")


def cni_arguments(pod: RawObject) -> str:
    """Return CNI_ARGS as Kubernetes' runtimes give it."""
    meta = pod["metadata"]
    return (
        f"IgnoreUnknown=1;K8S_POD_NAMESPACE={meta['namespace']};K8S_POD_NAME={meta['name']};"
        f"K8S_POD_UID={meta['uid']}"
    )
