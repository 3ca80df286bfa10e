"""ipam-svc on a real API server: what the fake one could not tell."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from uuid import uuid4

import pytest

from danm_api.codec.authority import decode_trust
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.ip_block import decode_ip_block
from danm_api.crd.definitions import ALL
from danm_api.errors import (
    AccessDeniedError,
    ConflictError,
    DanmError,
    NetworkNotReadyError,
    NotFoundError,
    PoolExhaustedError,
    UnauthenticatedError,
)
from danm_api.ipam_api import (
    AUDIENCE,
    TRUST_CONFIG_MAP,
    AttachmentRequest,
    ExternalOwnerMessage,
    PodOwnerMessage,
    ReleaseRequest,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_client import IpamClient
from danm_api.kube.api import (
    CONFIG_MAPS,
    DANMEPS,
    DANMIPBLOCKS,
    DANMNETS,
    NODES,
    PODS,
    RawObject,
    Resource,
)
from danm_api.kube.client import KubeClient
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import Held
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc.config import Config, danmd_user_of
from ipam_svc.process import serve
from tests.lab.apiserver import ApiServer

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

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@dataclass(slots=True, kw_only=True)
class Cluster:
    """A namespace on a real API server, and replicas of ipam-svc."""

    server: ApiServer
    api: KubeClient
    namespace: str
    endpoints: list[str] = field(default_factory=list)
    trust: str = ""
    attempts: int = 0

    async def create(
        self, resource: Resource, body: RawObject, *, namespace: str | None = None
    ) -> RawObject:
        """Create an object, in the test's namespace unless another is named."""
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        where = (namespace or self.namespace) if resource.namespaced else None
        return await self.api.create(resource, kind | body, namespace=where)

    async def add_network(self, name: str, **options: Any) -> None:  # noqa: ANN401  (JSON values)
        """Create a DanmNet and do the validator's part."""
        spec = {"NetworkID": name, "Options": options}
        await self.create(DANMNETS, {"metadata": {"name": name}, "spec": spec})
        condition = {
            "type": "Valid",
            "status": "True",
            "reason": "Accepted",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        await self.api.patch(
            DANMNETS,
            name,
            {"status": {"applied": spec, "conditions": [condition]}},
            namespace=self.namespace,
            subresource="status",
        )

    async def network(self, name: str) -> DanmNet:
        """Return a DanmNet as it is stored."""
        return decode_danmnet(await self.api.get(DANMNETS, name, namespace=self.namespace))

    async def held(self) -> list[Held]:
        """Return all entries of the namespace that have an owner."""
        listed = await self.api.list(DANMIPBLOCKS, namespace=self.namespace)
        blocks = map(decode_ip_block, listed.items)
        return [each for block in blocks for each in block.entries if isinstance(each, Held)]

    async def token(self, account: str, *, namespace: str, pod: RawObject | None = None) -> str:
        """Return a token of a service account, bound to a Pod where one is given."""
        with suppress(ConflictError):
            await self.create(
                SERVICE_ACCOUNTS, {"metadata": {"name": account}}, namespace=namespace
            )
        spec: dict[str, Any] = {"audiences": [AUDIENCE]}
        if pod is not None:
            spec["boundObjectRef"] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
            }
        request = Resource(
            group="authentication.k8s.io",
            version="v1",
            plural="tokenrequests",
            kind="TokenRequest",
        )
        path = Resource(
            group="", version="v1", plural=f"serviceaccounts/{account}/token", kind="TokenRequest"
        )
        body = {"apiVersion": request.api_version, "kind": request.kind, "spec": spec}
        answer = await self.api.create(path, body, namespace=namespace)
        return str(answer["status"]["token"])

    async def allow(self, account: str, *, namespace: str) -> None:
        """Grant a service account all of danmnets/reservations, in all namespaces."""
        rules = [
            {
                "apiGroups": ["danm.k8s.io"],
                "resources": ["danmnets/reservations"],
                "verbs": ["create", "delete", "get", "list"],
            }
        ]
        with suppress(ConflictError):
            await self.create(CLUSTER_ROLES, {"metadata": {"name": "reservations"}, "rules": rules})
        subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
        role = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "reservations",
        }
        with suppress(ConflictError):
            await self.create(
                CLUSTER_ROLE_BINDINGS,
                {
                    "metadata": {"name": f"{namespace}-{account}"},
                    "roleRef": role,
                    "subjects": [subject],
                },
            )

    async def run_pod(
        self,
        name: str,
        *,
        node: str,
        namespace: str | None = None,
        account: str = "",
        annotation: str = "",
    ) -> RawObject:
        """Create a Pod that is bound to a node."""
        annotations = {"danm.k8s.io/interfaces": annotation} if annotation else {}
        spec: dict[str, Any] = {
            "containers": [{"name": "c", "image": "none"}],
            "nodeName": node,
            "automountServiceAccountToken": False,
        }
        if account:
            spec["serviceAccountName"] = account
        return await self.create(
            PODS,
            {"metadata": {"name": name, "annotations": annotations}, "spec": spec},
            namespace=namespace,
        )

    def client(self, token: str, *, only: str = "") -> IpamClient:
        """Return a client of all replicas, or of one."""
        return IpamClient(
            lambda: [only] if only else self.endpoints, lambda: self.trust, lambda: token
        )

    async def next_attempt(self, above: int) -> int:
        """Return a number larger than all before."""
        self.attempts = max(self.attempts, above) + 1
        return self.attempts

    async def reserve(
        self, client: IpamClient, name: str, network: str, *, ip: str = "dynamic", ip6: str = "none"
    ) -> ReserveAnswer:
        """Reserve for an external owner."""
        request = ReserveRequest(
            owner=ExternalOwnerMessage(namespace=self.namespace, name=name),
            attempt=await self.next_attempt(0),
            attachments=[AttachmentRequest(network=network, interface="", ip=ip, ip6=ip6)],
            fresh=True,
        )
        return await client.reserve(request, deadline=soon(), next_attempt=self.next_attempt)


def soon() -> float:
    """Return a deadline for one request."""
    return time.monotonic() + 10


async def eventually(condition: Callable[[], Awaitable[bool]], *, within_s: float = 15) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def replica(cluster: Cluster) -> AsyncIterator[None]:
    """Run a replica with an API client of its own."""
    config = Config(
        kubeconfig=cluster.server.kubeconfig,
        namespace=SYSTEM_NAMESPACE,
        pod_name=f"ipam-{uuid4().hex[:5]}",
        addresses=(ip_address("127.0.0.1"),),
        host="127.0.0.1",
        port=0,
        health_host="127.0.0.1",
        health_port=0,
        danmd_user=danmd_user_of(SYSTEM_NAMESPACE),
    )
    stop = asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with await KubeClient.connect(cluster.server.kubeconfig) as api:
        task = asyncio.create_task(serve(api, config, stop, on_listening=listening))
        try:
            await asyncio.wait((task, listening), return_when=asyncio.FIRST_COMPLETED, timeout=60)
            endpoint = f"127.0.0.1:{listening.result()}"
            cluster.endpoints.append(endpoint)
            yield
            cluster.endpoints.remove(endpoint)
        finally:
            stop.set()
            await task


@pytest.fixture()
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with DANM's kinds and two replicas."""
    async with await KubeClient.connect(server.kubeconfig) as api:
        made = Cluster(server=server, api=api, namespace=f"test-{uuid4().hex[:8]}")
        for name in (made.namespace, SYSTEM_NAMESPACE):
            with suppress(ConflictError):
                await made.create(NAMESPACES, {"metadata": {"name": name}})
        for definition in ALL:
            with suppress(ConflictError):
                await api.create(DEFINITIONS, definition.manifest())
        for kind in (DANMNETS, DANMIPBLOCKS, DANMEPS):
            await until_served(api, kind)
        async with replica(made), replica(made):
            raw = await api.get(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
            made.trust = decode_trust(raw)
            yield made


async def until_served(api: KubeClient, kind: Resource) -> None:
    """Wait until the server knows a kind; it tells nobody when."""
    async with asyncio.timeout(30):
        while True:
            try:
                await api.list(kind)
                return
            except DanmError:
                await asyncio.sleep(0.05)


async def test_external_owner_with_a_real_token(cluster: Cluster) -> None:
    """A tool with a Role reserves, lists and releases; one without is told which Role it lacks."""
    # SPEC I3
    await cluster.add_network("net", cidr="10.0.0.0/24", net6="2001:db8::/64")
    token = await cluster.token("tool", namespace=cluster.namespace)
    async with cluster.client(token) as client:
        with pytest.raises(AccessDeniedError, match="danmnets/reservations"):
            await cluster.reserve(client, "printer", "net")
    async with cluster.client(cluster.server.token) as stranger:
        with pytest.raises(UnauthenticatedError):
            await cluster.reserve(stranger, "printer", "net")
    await cluster.allow("other", namespace=cluster.namespace)
    token = await cluster.token("other", namespace=cluster.namespace)
    async with cluster.client(token) as client:
        answer = await cluster.reserve(client, "printer", "net", ip6="dynamic")
        (got,) = answer.attachments
        assert (got.ip, got.ip6) == ("10.0.0.1/24", "2001:db8::f816:3eff:fe00:1/64")
        listed = await client.network_reservations(cluster.namespace, "net", deadline=soon())
        assert [each.address for each in listed.items] == [
            "10.0.0.1",
            "2001:db8::f816:3eff:fe00:1",
        ]
        gone = await client.release(
            ReleaseRequest(
                owner=ExternalOwnerMessage(namespace=cluster.namespace, name="printer"),
                attempt=answer.attempt,
                networks=["net"],
            ),
            deadline=soon(),
        )
        assert len(gone.released) == 2
        assert await cluster.held() == []


async def test_danmd_with_a_token_bound_to_its_pod(cluster: Cluster) -> None:
    """The API server's node claim holds danmd to the Pods of its node."""
    # DESIGN, "Who may"
    await cluster.add_network("net", cidr="10.0.0.0/24")
    await cluster.allow("danm-cni", namespace=SYSTEM_NAMESPACE)
    await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE)
    node = f"node-{uuid4().hex[:5]}"
    await cluster.create(NODES, {"metadata": {"name": node}})
    danmd = await cluster.run_pod(
        f"danm-{node}", node=node, namespace=SYSTEM_NAMESPACE, account="danm-cni"
    )
    token = await cluster.token("danm-cni", namespace=SYSTEM_NAMESPACE, pod=danmd)
    pods = {
        name: await cluster.run_pod(
            name, node=where, annotation='[{"network": "net", "ip": "dynamic"}]'
        )
        for name, where in (("mine", node), ("other", "elsewhere"))
    }

    def request(name: str, where: str) -> ReserveRequest:
        return ReserveRequest(
            owner=PodOwnerMessage(
                namespace=cluster.namespace, name=name, uid=pods[name]["metadata"]["uid"]
            ),
            node=where,
            attempt=1,
            attachments=[AttachmentRequest(network="net", interface="eth0", ip="dynamic")],
        )

    async with cluster.client(token) as client:
        for name, where in (("other", node), ("other", "elsewhere")):
            with pytest.raises(AccessDeniedError):
                await client.reserve(
                    request(name, where), deadline=soon(), next_attempt=cluster.next_attempt
                )
        answer = await client.reserve(
            request("mine", node), deadline=soon(), next_attempt=cluster.next_attempt
        )
        assert answer.attachments[0].ip == "10.0.0.1/24"
        entries = await client.node_reservations(node, deadline=soon())
        assert [each.owner for each in entries.items] == [request("mine", node).owner]
        assert await client.node_reservations(node, deadline=soon()) == entries
    # The Lease holder frees what a node that is gone has held (DESIGN, "Nodes fence").
    await cluster.api.delete(NODES, node)
    await eventually(lambda: _is_empty(cluster))


async def _is_empty(cluster: Cluster) -> bool:
    return await cluster.held() == []


async def test_life_and_death_of_a_network(cluster: Cluster) -> None:
    """A DanmNet in use stays and says by whom; when the last address is free, it goes."""
    # SPEC A4, A5
    await cluster.add_network("net", cidr="10.0.0.0/24")
    await cluster.allow("tool", namespace=cluster.namespace)
    token = await cluster.token("tool", namespace=cluster.namespace)

    async def is_counted() -> bool:
        usage = (await cluster.network("net")).status.ipv4
        return usage is not None and (usage.used, usage.ranges) == (1, "10.0.0.1")

    async def says_in_use() -> bool:
        condition = (await cluster.network("net")).status.condition("InUse")
        return condition is not None and "ns" in condition.message

    async def is_gone() -> bool:
        try:
            await cluster.network("net")
        except NotFoundError:
            return True
        return False

    async with cluster.client(token) as client:
        answer = await cluster.reserve(client, "ns-printer", "net")
        await eventually(is_counted)
        assert (await cluster.network("net")).finalizers == ("danm.k8s.io/in-use",)
        await cluster.api.delete(DANMNETS, "net", namespace=cluster.namespace)
        await eventually(says_in_use)
        with pytest.raises(NetworkNotReadyError):
            await cluster.reserve(client, "late", "net")
        await client.release(
            ReleaseRequest(
                owner=ExternalOwnerMessage(namespace=cluster.namespace, name="ns-printer"),
                attempt=answer.attempt,
                networks=["net"],
            ),
            deadline=soon(),
        )
    await eventually(is_gone)
    listed = await cluster.api.list(DANMIPBLOCKS, namespace=cluster.namespace)
    assert listed.items == []


async def test_exact_fit_through_two_replicas(cluster: Cluster) -> None:
    """A pool that spans blocks is filled to its last address by callers at once."""
    # DESIGN P1, P4
    pool = {"start": "10.0.0.60", "end": "10.0.1.3"}
    await cluster.add_network("net", cidr="10.0.0.0/22", allocation_pool=pool)
    await cluster.allow("tool", namespace=cluster.namespace)
    token = await cluster.token("tool", namespace=cluster.namespace)
    one, two = (cluster.client(token, only=endpoint) for endpoint in cluster.endpoints)
    async with one, two:
        answers = await asyncio.gather(
            *(cluster.reserve((one, two)[i % 2], f"o{i}", "net") for i in range(200))
        )
        assert len({answer.attachments[0].ip for answer in answers}) == 200
        with pytest.raises(PoolExhaustedError):
            await cluster.reserve(one, "late", "net")
        assert len(await cluster.held()) == 200
