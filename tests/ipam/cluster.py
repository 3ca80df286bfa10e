"""ipam-svc on a real API server: what the tests of this directory and others share."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from uuid import uuid4

from danm_api.codec.authority import decode_trust
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.ip_block import decode_ip_block
from danm_api.errors import ConflictError
from danm_api.ipam_api import (
    AUDIENCE,
    TRUST_CONFIG_MAP,
    AttachmentRequest,
    ExternalOwnerMessage,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_client import IpamClient
from danm_api.kube.api import (
    CONFIG_MAPS,
    DANMIPBLOCKS,
    DANMNETS,
    PODS,
    RawObject,
    Resource,
)
from danm_api.kube.client import KubeClient
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import Held
from danm_api.names import SYSTEM_NAMESPACE
from ipam_svc.certificates import USUAL, Lifetimes
from ipam_svc.config import Config, danmd_user_of
from ipam_svc.process import serve
from tests.lab.apiserver import ApiServer
from tests.lab.deployed import ipam_kubeconfig
from tests.lab.kinds import install_kinds
from tests.lab.kube_objects import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    NAMESPACES,
    SERVICE_ACCOUNTS,
    accept_network,
)
from tests.lab.kubectl import Kubectl


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
        await accept_network(self.api, name, spec, namespace=self.namespace)

    async def network(self, name: str) -> DanmNet:
        """Return a DanmNet as it is stored."""
        return decode_danmnet(await self.api.get(DANMNETS, name, namespace=self.namespace))

    async def held(self) -> list[Held]:
        """Return all entries of the namespace that have an owner."""
        listed = await self.api.list(DANMIPBLOCKS, namespace=self.namespace)
        blocks = map(decode_ip_block, listed.items)
        return [each for block in blocks for each in block.entries if isinstance(each, Held)]

    async def token(
        self,
        account: str,
        *,
        namespace: str,
        pod: RawObject | None = None,
        audience: str = AUDIENCE,
    ) -> str:
        """Return a token of a service account, bound to a Pod where one is given.

        An empty audience is the API server's.
        """
        with suppress(ConflictError):
            await self.create(
                SERVICE_ACCOUNTS, {"metadata": {"name": account}}, namespace=namespace
            )
        spec: dict[str, Any] = {"audiences": [audience] if audience else []}
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
        rule = {
            "apiGroups": ["danm.k8s.io"],
            "resources": ["danmnets/reservations"],
            "verbs": ["create", "delete", "get", "list"],
        }
        await self._grant("reservations", rule, account, namespace=namespace)

    async def allow_path(self, account: str, path: str) -> None:
        """Let a service account of the test's namespace read a path that is no resource."""
        rule = {"nonResourceURLs": [path], "verbs": ["get"]}
        await self._grant(f"get{path.replace('/', '-')}", rule, account, namespace=self.namespace)

    async def _grant(self, name: str, rule: RawObject, account: str, *, namespace: str) -> None:
        with suppress(ConflictError):
            await self.create(CLUSTER_ROLES, {"metadata": {"name": name}, "rules": [rule]})
        subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
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

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the test's namespace, and return what it prints; it must not fail."""
        done = Kubectl.on(self.server)(f"--namespace={self.namespace}", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

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
async def replica(
    cluster: Cluster,
    *,
    lifetimes: Lifetimes = USUAL,
    now: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
) -> AsyncIterator[None]:
    """Run a replica with an API client of its own, and the rights that deploy/ gives it."""
    kubeconfig = await ipam_kubeconfig(cluster.server)
    config = Config(
        kubeconfig=kubeconfig,
        namespace=SYSTEM_NAMESPACE,
        pod_name=f"ipam-{uuid4().hex[:5]}",
        addresses=(ip_address("127.0.0.1"),),
        host="127.0.0.1",
        port=0,
        health_host="127.0.0.1",
        health_port=0,
        danmd_user=danmd_user_of(SYSTEM_NAMESPACE),
        lifetimes=lifetimes,
    )
    stop = asyncio.Event()
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with await KubeClient.connect(kubeconfig) as api:
        task = asyncio.create_task(serve(api, config, stop, on_listening=listening, now=now))
        try:
            await asyncio.wait((task, listening), return_when=asyncio.FIRST_COMPLETED, timeout=60)
            endpoint = f"127.0.0.1:{listening.result()}"
            cluster.endpoints.append(endpoint)
            yield
            cluster.endpoints.remove(endpoint)
        finally:
            stop.set()
            await task


@asynccontextmanager
async def a_cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Have a namespace with DANM's kinds, and two replicas."""
    async with a_namespace(server) as made, replica(made), replica(made):
        raw = await made.api.get(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        made.trust = decode_trust(raw)
        yield made


@asynccontextmanager
async def a_namespace(server: ApiServer) -> AsyncIterator[Cluster]:
    """Have a namespace with DANM's kinds; no replica runs yet."""
    async with await KubeClient.connect(server.kubeconfig) as api:
        made = Cluster(server=server, api=api, namespace=f"test-{uuid4().hex[:8]}")
        for name in (made.namespace, SYSTEM_NAMESPACE):
            with suppress(ConflictError):
                await made.create(NAMESPACES, {"metadata": {"name": name}})
        await install_kinds(api)
        yield made
