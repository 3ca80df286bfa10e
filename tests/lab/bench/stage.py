"""What stands around a load: DANM's kinds and roles, networks, held addresses, Pods."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import uuid4

import msgspec

from danm_api.codec.authority import decode_trust
from danm_api.codec.ip_block import encode_ip_block
from danm_api.errors import ConflictError, NotFoundError
from danm_api.ipam_api import AUDIENCE, TRUST_CONFIG_MAP
from danm_api.kube.api import (
    CONFIG_MAPS,
    DANMIPBLOCKS,
    DANMNETS,
    NODES,
    PODS,
    KubeApi,
    RawObject,
    Resource,
)
from danm_api.names import (
    INTERFACES_ANNOTATION,
    SYSTEM_NAMESPACE,
    Namespace,
    NetworkName,
    NetworkUid,
)
from tests.lab.bench.cases import Case, network_options
from tests.lab.bench.jobs import PodRef
from tests.lab.bench.prefill import full_blocks
from tests.lab.bench.raw_object import NAMESPACE as RAW_NAMESPACE
from tests.lab.bench.raw_object import RAW_OBJECTS, SHARED, definition, object_body
from tests.lab.errors import StartError
from tests.lab.kinds import until_served
from tests.lab.kube_objects import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    DEFINITIONS,
    NAMESPACES,
    SERVICE_ACCOUNTS,
    accept_network,
)
from tests.lab.kubectl import Kubectl

T = TypeVar("T")

NAMESPACE: Final = Namespace("bench")
NODE: Final = "bench-node"
TOOLS: Final = tuple(f"bench-tool-{number}" for number in range(8))
WARM_UP: Final = "warm-up"
# Interfaces of one Pod: more than a Pod usually has, so that few Pods do.
INTERFACES: Final = 4

_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Who is who.

    Attributes:
        replica: Of ipam-svc, for the API server.
        tools: Of external owners, for ipam-svc: several, since the rate of each is bounded.
        danmd: Of a node's danmd, for ipam-svc.
    """

    replica: str
    tools: list[str]
    danmd: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """A network whose first addresses are held.

    Attributes:
        blocks: The names of their blocks.
    """

    network: str
    used: int
    blocks: frozenset[str]


class Stage:
    """Makes objects on an API server."""

    def __init__(self, api: KubeApi) -> None:
        """Use an administrator's client."""
        self._api = api
        self._filled: _Filled | None = None

    async def set_up(self, kubectl: Kubectl, repository: Path) -> Tokens:
        """Install DANM's kinds and roles, and who reserves.

        Raises:
            StartError: kubectl failed.
        """
        deploy = repository / "deploy"
        apply(kubectl, "-f", deploy / "namespace" / "namespace.yaml")
        apply(kubectl, "-k", deploy / "crds")
        for part in ("ipam-svc", "danm-cni"):
            apply(kubectl, "-f", deploy / part / "rbac.yaml")
        for name in (NAMESPACE, RAW_NAMESPACE):
            await self.create(NAMESPACES, {"metadata": {"name": name}})
        await self._api.create(DEFINITIONS, definition())
        await until_served(self._api, DANMNETS, DANMIPBLOCKS, RAW_OBJECTS)
        await self._api.create(RAW_OBJECTS, _raw_shared(), namespace=RAW_NAMESPACE)
        for tool in TOOLS:
            await self.create(SERVICE_ACCOUNTS, {"metadata": {"name": tool}}, NAMESPACE)
            await self._allow(tool)
        await self.create(NODES, {"metadata": {"name": NODE}})
        danmd = await self.create(
            PODS, pod_object("danm", account="danm-cni", annotation=""), SYSTEM_NAMESPACE
        )
        return Tokens(
            replica=await self.token("danm-ipam", SYSTEM_NAMESPACE),
            tools=[await self.token(tool, NAMESPACE, audience=AUDIENCE) for tool in TOOLS],
            danmd=await self.token("danm-cni", SYSTEM_NAMESPACE, audience=AUDIENCE, pod=danmd),
        )

    async def trust(self) -> str:
        """Return the authorities of ipam-svc's certificates, as PEM."""
        raw = await self._api.get(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=SYSTEM_NAMESPACE)
        return decode_trust(raw)

    async def networks(self, case: Case) -> list[list[str]]:
        """Make the networks that a case needs, in groups of its batch, and fill them.

        A filled network serves one case after the other: filling it takes longer than they do.
        """
        if case.used:
            if self._filled is None:
                name = f"net-{uuid4().hex[:6]}"
                uid = await self.add_network(name, network_options(case))
                self._filled = _Filled(
                    network=name, used=case.used, blocks=await self._fill(name, uid, case.used)
                )
            return [[self._filled.network]]
        groups = -(-case.count // case.per_network)
        run = uuid4().hex[:6]
        names = [
            [f"net-{run}-{group}-{position}" for position in range(case.batch)]
            for group in range(groups)
        ]
        for name in chain.from_iterable(names):
            await self.add_network(name, network_options(case))
        return names

    async def warm_up_network(self) -> None:
        """Make the network that callers reserve on before they are measured."""
        await self.add_network(WARM_UP, {"cidr": "10.0.0.0/16"})

    async def pods(self, count: int, networks: Iterable[str]) -> list[PodRef]:
        """Make Pods that may have ``INTERFACES`` interfaces on each of the networks."""
        asked = ",".join(
            f'{{"network": "{network}", "ip": "dynamic"}}'
            for network in networks
            for _ in range(INTERFACES)
        )
        run = uuid4().hex[:6]
        made = await at_once(
            self.create(PODS, pod_object(f"pod-{run}-{number}", annotation=f"[{asked}]"), NAMESPACE)
            for number in range(-(-count // INTERFACES))
        )
        return [PodRef(raw["metadata"]["name"], raw["metadata"]["uid"]) for raw in made]

    async def clear(self, *, used: int) -> None:
        """Remove all networks and blocks, but a network that is filled up to ``used``."""
        if self._filled is not None and self._filled.used != used:
            self._filled = None
        kept: set[str] = set()
        if self._filled is not None:
            kept = {self._filled.network, *self._filled.blocks}
        for kind in (DANMNETS, DANMIPBLOCKS):
            listed = await self._api.list(kind, namespace=NAMESPACE)
            names = {raw["metadata"]["name"] for raw in listed.items} - kept
            await at_once(self._remove(kind, name) for name in names)

    async def _remove(self, kind: Resource, name: str) -> None:
        with suppress(NotFoundError):
            patch = {"metadata": {"finalizers": None}}
            await self._api.patch(kind, name, patch, namespace=NAMESPACE)
            await self._api.delete(kind, name, namespace=NAMESPACE)

    async def add_network(
        self, name: str, options: Mapping[str, object], *, network_type: str = ""
    ) -> NetworkUid:
        """Make a DanmNet and do the validator's part; without a type it is an IPVLAN network."""
        spec: dict[str, Any] = {"NetworkID": name, "Options": dict(options)}
        if network_type:
            spec["NetworkType"] = network_type
        raw = await self.create(DANMNETS, {"metadata": {"name": name}, "spec": spec}, NAMESPACE)
        await accept_network(self._api, name, spec, namespace=NAMESPACE)
        return NetworkUid(raw["metadata"]["uid"])

    async def _fill(self, name: str, uid: NetworkUid, used: int) -> frozenset[str]:
        blocks = full_blocks(
            NAMESPACE,
            NetworkName(name),
            uid,
            cidr=IPv4Network("10.0.0.0/16"),
            used=used,
            now=datetime.now(tz=UTC),
        )
        made = await at_once(
            self._api.create(DANMIPBLOCKS, encode_ip_block(block), namespace=NAMESPACE)
            for block in blocks
        )
        return frozenset(raw["metadata"]["name"] for raw in made)

    async def create(
        self, resource: Resource, body: RawObject, namespace: str | None = None
    ) -> RawObject:
        """Create an object, or return the one of its name."""
        kind = {"apiVersion": resource.api_version, "kind": resource.kind}
        with suppress(ConflictError):
            return await self._api.create(resource, kind | body, namespace=namespace)
        return await self._api.get(resource, body["metadata"]["name"], namespace=namespace)

    async def put(self, resource: Resource, body: RawObject, namespace: str) -> RawObject:
        """Create an object, or change the one of its name to what ``body`` says."""
        await self.create(resource, body, namespace)
        return await self._api.patch(resource, body["metadata"]["name"], body, namespace=namespace)

    async def token(
        self, account: str, namespace: str, *, audience: str = "", pod: RawObject | None = None
    ) -> str:
        """Return a service account's token, by default for the API server."""
        spec: dict[str, Any] = {
            "audiences": [audience] if audience else [],
            "expirationSeconds": 7200,
        }
        if pod is not None:
            metadata = pod["metadata"]
            spec["boundObjectRef"] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "uid": metadata["uid"],
            }
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = Resource(
            group="", version="v1", plural=f"serviceaccounts/{account}/token", kind="TokenRequest"
        )
        answer = await self._api.create(path, body, namespace=namespace)
        return str(answer["status"]["token"])

    async def _allow(self, account: str) -> None:
        """Grant a service account what ipam-svc asks of an external owner."""
        rule = {
            "apiGroups": ["danm.k8s.io"],
            "resources": ["danmnets/reservations"],
            "verbs": ["create", "delete", "get", "list"],
        }
        await self.create(CLUSTER_ROLES, {"metadata": {"name": account}, "rules": [rule]})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account}
        subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
        await self.create(
            CLUSTER_ROLE_BINDINGS,
            {"metadata": {"name": account}, "roleRef": role, "subjects": [subject]},
        )


def apply(kubectl: Kubectl, option: str, path: Path) -> None:
    """Apply manifests.

    Args:
        kubectl: On the server.
        option: ``-f`` for a file, ``-k`` for a kustomization.
        path: Of either.

    Raises:
        StartError: kubectl failed.
    """
    done = kubectl("apply", "--server-side", option, str(path))
    if done.returncode != 0:
        raise StartError(f"kubectl apply {option} {path} failed: {done.stderr.strip()}")


def _raw_shared() -> RawObject:
    raw: RawObject = msgspec.json.decode(object_body(SHARED, "", version=""))
    return raw


def pod_object(name: str, *, annotation: str, account: str = "") -> RawObject:
    """Return a Pod that is bound to the node."""
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "image": "none"}],
        "nodeName": NODE,
        "automountServiceAccountToken": False,
    }
    if account:
        spec["serviceAccountName"] = account
    annotations = {INTERFACES_ANNOTATION: annotation} if annotation else {}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": spec}


async def at_once(steps: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """Do independent steps, some at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def step(work: Coroutine[None, None, T]) -> T:
        async with slots:
            return await work

    return await asyncio.gather(*(step(work) for work in steps))
