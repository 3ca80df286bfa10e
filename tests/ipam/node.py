"""A node with Pods as ipam-svc sees it: reservations, DanmEps and releases of its danmd."""

from dataclasses import dataclass, field
from uuid import uuid4

from danm_api.codec.danmep import encode_danmep
from danm_api.ipam_api import AttachmentRequest, PodOwnerMessage, ReleaseRequest, ReserveRequest
from danm_api.ipam_client import IpamClient
from danm_api.kube.api import DANMEPS, NODES
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.testing.builders import a_danmep
from tests.ipam.cluster import Cluster, soon


@dataclass(slots=True, kw_only=True)
class RunningPod:
    """A Pod with one interface.

    Attributes:
        ip: Without the prefix length.
        attempt: Which holds the address.
    """

    owner: PodOwnerMessage
    network: str
    ip: str
    attempt: int

    @property
    def name(self) -> str:
        """The Pod's name."""
        return self.owner.name


@dataclass(slots=True, kw_only=True)
class Node:
    """One node's danmd, without a kernel: the token, and what it asks of ipam-svc."""

    cluster: Cluster
    name: str
    client: IpamClient
    pods: list[RunningPod] = field(default_factory=list)

    @classmethod
    async def join(cls, cluster: Cluster) -> "Node":
        """Have a node whose danmd has a token; close its client in the end."""
        name = f"node-{uuid4().hex[:5]}"
        await cluster.allow("danm-cni", namespace=SYSTEM_NAMESPACE)
        await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE)
        await cluster.create(NODES, {"metadata": {"name": name}})
        danmd = await cluster.run_pod(
            f"danm-{name}", node=name, namespace=SYSTEM_NAMESPACE, account="danm-cni"
        )
        token = await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE, pod=danmd)
        return cls(cluster=cluster, name=name, client=cluster.client(token))

    async def start(self, name: str, network: str = "net", *, ip: str = "dynamic") -> RunningPod:
        """Run a Pod with one interface, as an ADD does.

        Raises:
            DanmError: It gets no address; the Pod waits.
        """
        raw = await self.cluster.run_pod(
            name, node=self.name, annotation=f'[{{"network": "{network}", "ip": "{ip}"}}]'
        )
        owner = PodOwnerMessage(
            namespace=self.cluster.namespace, name=name, uid=raw["metadata"]["uid"]
        )
        pod = RunningPod(owner=owner, network=network, ip="", attempt=0)
        await self.reserve(pod, ip=ip)
        endpoint = a_danmep(
            f"{name}-eth0",
            namespace=self.cluster.namespace,
            network=network,
            pod=name,
            pod_uid=owner.uid,
            address=f"{pod.ip}/24",
            node=self.name,
        )
        await self.cluster.api.create(
            DANMEPS, encode_danmep(endpoint), namespace=self.cluster.namespace
        )
        self.pods.append(pod)
        return pod

    async def reserve(self, pod: RunningPod, *, ip: str = "dynamic") -> None:
        """Reserve for a Pod: its first sandbox, or a later one."""
        request = ReserveRequest(
            owner=pod.owner,
            node=self.name,
            attempt=await self.cluster.next_attempt(0),
            attachments=[AttachmentRequest(network=pod.network, interface="eth0", ip=ip)],
        )
        answer = await self.client.reserve(
            request, deadline=soon(), next_attempt=self.cluster.next_attempt
        )
        pod.attempt = answer.attempt
        pod.ip = str(answer.attachments[0].ip).partition("/")[0]

    async def end(self, pod: RunningPod) -> None:
        """Do what danmd does at a Pod's DEL: the interface goes, then the address."""
        self.cluster.kubectl(
            "delete", "danmeps", f"{pod.name}-eth0", "--ignore-not-found", "--wait=false"
        )
        await self.client.release(
            ReleaseRequest(
                owner=pod.owner,
                attempt=pod.attempt,
                networks=[pod.network],
                interfaces=["eth0"],
                node=self.name,
            ),
            deadline=soon(),
        )
        self.forget_object(pod)
        self.pods.remove(pod)

    def forget_object(self, pod: RunningPod) -> None:
        """Remove the Pod's object, as kubelet does when all of it has ended."""
        self.cluster.kubectl(
            "delete", "pod", pod.name, "--force", "--grace-period=0", "--ignore-not-found"
        )
