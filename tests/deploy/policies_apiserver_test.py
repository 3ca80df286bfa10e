"""A rooted node stays one node: what its service accounts may write, on a real API server."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal
from uuid import uuid4

import pytest

from danm_api import labels
from danm_api.codec.danm_node import encode_danm_node
from danm_api.codec.danmep import encode_danmep
from danm_api.errors import ApiError, InvalidObjectError, NotFoundError
from danm_api.kube.api import (
    DANMEPS,
    DANMIPBLOCKS,
    DANMNETS,
    DANMNODES,
    NODES,
    PODS,
    KubeApi,
    RawObject,
    Resource,
)
from danm_api.kube.client import KubeClient
from danm_api.kube.config import Credentials, KubeConfig
from danm_api.model.danm_node import DanmNode
from danm_api.names import SYSTEM_NAMESPACE, NodeName
from danm_api.testing.builders import a_danmep
from danm_cni.network_status import ANNOTATION
from tests.ipam.cluster import Cluster
from tests.lab.apiserver import ApiServer
from tests.lab.deployed import apply_deployed
from tests.lab.kinds import install_kinds_on
from tests.lab.kube_objects import NAMESPACES

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_NAMESPACE: Final = "tenant"
_OWN: Final = "node-1"
_OTHER: Final = "node-2"
_LONG: Final = f"node-3.{'x' * 60}.test"
_DANMD: Final = "danm-cni"
_NETWATCHER: Final = "danm-netwatcher"

_ENDPOINTS: Final = "danmd may only write the DanmEps of its own node"
_LABEL: Final = "label danm.k8s.io/node of a DanmEp must be that of its own node too"
_PODS: Final = "danmd may only tell Pods of its own node of their networks"
_NOTHING_ELSE: Final = (
    "danmd may only write the annotation k8s.v1.cni.cncf.io/network-status of Pods"
)
_DANM_NODE: Final = "netwatcher may only write the DanmNode of its own node"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """An API server with DANM's kinds, roles and policies.

    Attributes:
        tokens: By service account and the node that the token is bound to, "" for none.
    """

    server: ApiServer
    tokens: dict[tuple[str, str], str]

    @asynccontextmanager
    async def administrator(self) -> AsyncIterator[KubeClient]:
        async with await KubeClient.connect(self.server.kubeconfig) as api:
            yield api

    @asynccontextmanager
    async def account(self, name: str, node: str) -> AsyncIterator[KubeClient]:
        """Act with a service account's token that is bound to a node."""

        async def header() -> str:
            return f"Bearer {self.tokens[name, node]}"

        config = KubeConfig(
            server=self.server.url,
            ssl=ssl.create_default_context(cafile=str(self.server.authority)),
            credentials=Credentials(header, renew_after_s=3600),
        )
        async with KubeClient(config) as api:
            yield api


async def _prepare(server: ApiServer) -> _Place:
    await install_kinds_on(server)
    async with await KubeClient.connect(server.kubeconfig) as api:
        await apply_deployed(
            api,
            "namespace/namespace.yaml",
            "policies/own-node.yaml",
            "policies/own-pods.yaml",
            "danm-cni/rbac.yaml",
            "netwatcher/rbac.yaml",
        )
        cluster = Cluster(server=server, api=api, namespace=_NAMESPACE)
        await cluster.create(NAMESPACES, {"metadata": {"name": _NAMESPACE}})
        tokens: dict[tuple[str, str], str] = {}
        for account in (_DANMD, _NETWATCHER):
            tokens[account, ""] = await cluster.token(
                account, namespace=SYSTEM_NAMESPACE, audience=""
            )
        for node in (_OWN, _OTHER, _LONG):
            await cluster.create(NODES, {"metadata": {"name": node}})
            for account in (_DANMD, _NETWATCHER):
                pod = await cluster.run_pod(
                    f"{account}-{node[:6]}", node=node, namespace=SYSTEM_NAMESPACE, account=account
                )
                tokens[account, node] = await cluster.token(
                    account, namespace=SYSTEM_NAMESPACE, pod=pod, audience=""
                )
        place = _Place(server=server, tokens=tokens)
        await _until_enforced(place)
    return place


async def _until_enforced(place: _Place) -> None:
    """Wait until the server holds to the policies; it tells nobody when."""
    waiting: dict[str, tuple[Resource, RawObject]] = {
        _DANMD: (DANMEPS, _endpoint(_OTHER)),
        _NETWATCHER: (DANMNODES, _danm_node(_OTHER)),
    }
    async with asyncio.timeout(30):
        await _until_pods_are_safe(place)
        for account, (kind, body) in waiting.items():
            namespace = _NAMESPACE if kind.namespaced else None
            async with place.account(account, _OWN) as api, place.administrator() as admin:
                while True:
                    try:
                        await api.create(kind, body, namespace=namespace)
                    except InvalidObjectError:
                        break
                    await admin.delete(kind, body["metadata"]["name"], namespace=namespace)


async def _until_pods_are_safe(place: _Place) -> None:
    async with place.account(_DANMD, _OWN) as api:
        while True:
            try:
                await _tell(api, _OTHER, {"annotations": {"x": uuid4().hex}})
            except InvalidObjectError:
                return


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Place]:
    """Start an API server with what deploy/ has for nodes."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as server:
        yield asyncio.run(_prepare(server))


def _endpoint(host: str, *, label: str | None = None) -> RawObject:
    """Return a new DanmEp of a node, under the label of its own or of another one."""
    raw = encode_danmep(a_danmep(f"ep-{uuid4().hex[:8]}", namespace=_NAMESPACE, node=host))
    if label is not None:
        raw["metadata"]["labels"][labels.NODE] = label
    return raw


def _danm_node(name: str) -> RawObject:
    return encode_danm_node(DanmNode(name=NodeName(name), networks=()))


async def _stored(api: KubeApi, raw: RawObject) -> RawObject | None:
    try:
        return await api.get(DANMEPS, raw["metadata"]["name"], namespace=_NAMESPACE)
    except NotFoundError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
    """What danmd tries with a DanmEp.

    Attributes:
        before: Of which node it is.
        after: Of which node it is to be.
        label: What its node's label is to be, if not the node's.
        saying: A part of the refusal; None when it is admitted.
    """

    verb: Literal["create", "patch", "delete"]
    saying: str | None
    bound_to: str = _OWN
    before: str = _OWN
    after: str = _OWN
    label: str | None = None


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(_Write(verb="create", saying=None), id="create own"),
        pytest.param(_Write(verb="patch", saying=None), id="patch own"),
        pytest.param(_Write(verb="delete", saying=None), id="delete own"),
        pytest.param(
            _Write(verb="create", bound_to=_LONG, after=_LONG, saying=None), id="create, long name"
        ),
        pytest.param(_Write(verb="create", after=_OTHER, saying=_ENDPOINTS), id="create other's"),
        pytest.param(_Write(verb="create", after="", saying=_ENDPOINTS), id="create nobody's"),
        pytest.param(_Write(verb="patch", after=_OTHER, saying=_ENDPOINTS), id="give away"),
        pytest.param(_Write(verb="patch", before=_OTHER, saying=_ENDPOINTS), id="take over"),
        pytest.param(
            _Write(verb="patch", before=_OTHER, after=_OTHER, saying=_ENDPOINTS), id="patch other's"
        ),
        pytest.param(_Write(verb="delete", before=_OTHER, saying=_ENDPOINTS), id="delete other's"),
        pytest.param(_Write(verb="create", label=_OTHER, saying=_LABEL), id="other's label"),
        pytest.param(_Write(verb="patch", label=_OTHER, saying=_LABEL), id="other's label, patch"),
        pytest.param(_Write(verb="create", bound_to="", saying=_ENDPOINTS), id="create, no node"),
        pytest.param(
            _Write(verb="create", bound_to="", after="", saying=_ENDPOINTS), id="nobody's, no node"
        ),
        pytest.param(_Write(verb="patch", bound_to="", saying=_ENDPOINTS), id="patch, no node"),
        pytest.param(_Write(verb="delete", bound_to="", saying=_ENDPOINTS), id="delete, no node"),
    ],
)
async def test_danmd_writes_the_danmeps_of_its_own_node_only(place: _Place, write: _Write) -> None:
    """Others are as before, and the refusal says what it would have to be."""
    # DESIGN, "A rooted node must stay one node"
    async with place.administrator() as admin, place.account(_DANMD, write.bound_to) as danmd:
        raw = _endpoint(write.after, label=write.label)
        if write.verb != "create":
            first = _endpoint(write.before)
            first["metadata"]["name"] = raw["metadata"]["name"]
            await admin.create(DANMEPS, first, namespace=_NAMESPACE)
        before = await _stored(admin, raw)
        if write.saying is None:
            await _write(danmd, write, raw)
            assert await _stored(admin, raw) != before
            return
        with pytest.raises(InvalidObjectError, match=write.saying):
            await _write(danmd, write, raw)
        assert await _stored(admin, raw) == before


async def _write(api: KubeApi, write: _Write, raw: RawObject) -> None:
    name = raw["metadata"]["name"]
    # Something has to differ also where the node does not.
    raw["spec"]["netns"] = f"/run/netns/{uuid4().hex}"
    match write.verb:
        case "create":
            await api.create(DANMEPS, raw, namespace=_NAMESPACE)
        case "patch":
            patch = {"metadata": {"labels": raw["metadata"]["labels"]}, "spec": raw["spec"]}
            await api.patch(DANMEPS, name, patch, namespace=_NAMESPACE)
        case "delete":
            await api.delete(DANMEPS, name, namespace=_NAMESPACE)


@pytest.mark.parametrize(
    ("bound_to", "name", "saying"),
    [
        pytest.param(_OWN, _OWN, None, id="own"),
        pytest.param(_OWN, _OTHER, _DANM_NODE, id="other's"),
        pytest.param("", _OWN, _DANM_NODE, id="no node"),
    ],
)
async def test_netwatcher_writes_the_danmnode_of_its_own_node_only(
    place: _Place, bound_to: str, name: str, saying: str | None
) -> None:
    """It makes no other one, and does not change what another node says of itself."""
    # DESIGN, "A rooted node must stay one node"; SPEC N6
    async with place.administrator() as admin, place.account(_NETWATCHER, bound_to) as netwatcher:

        async def create() -> None:
            await netwatcher.create(DANMNODES, _danm_node(name))

        async def tell() -> None:
            status = {"status": {"up": 7, "total": 9}}
            await netwatcher.patch(DANMNODES, name, status, subresource="status")

        if saying is None:
            await create()
            await tell()
        else:
            with pytest.raises(InvalidObjectError, match=saying):
                await create()
            await admin.create(DANMNODES, _danm_node(name))
            with pytest.raises(InvalidObjectError, match=saying):
                await tell()
        stored = await admin.get(DANMNODES, name)
        assert stored.get("status", {}).get("up") == (7 if saying is None else None)
        await admin.delete(DANMNODES, name)


@pytest.mark.parametrize("account", [_DANMD, _NETWATCHER])
async def test_nodes_write_nothing_else_of_what_others_rely_on(place: _Place, account: str) -> None:
    """Neither the Pods of any node, nor DanmNets, nor blocks: there is no verb for it."""
    # DESIGN, "A rooted node must stay one node"
    async with place.administrator() as admin, place.account(account, _OWN) as node:
        for kind in (PODS, DANMNETS, DANMIPBLOCKS):
            patch = {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": "[]"}}}
            with pytest.raises(ApiError, match=f'cannot patch resource "{kind.plural}"'):
                await node.patch(kind, "any", patch, namespace=_NAMESPACE)
            with pytest.raises(ApiError, match=f'cannot delete resource "{kind.plural}"'):
                await node.delete(kind, "any", namespace=_NAMESPACE)
        with pytest.raises(NotFoundError):
            await admin.patch(PODS, "any", {}, namespace=_NAMESPACE)


async def _tell(
    api: KubeApi, node: str, metadata: RawObject, status: RawObject | None = None
) -> None:
    """Patch the status of the Pod that runs on a node."""
    patch = {"metadata": metadata} | ({} if status is None else {"status": status})
    name = f"{_DANMD}-{node[:6]}"
    await api.patch(PODS, name, patch, namespace=SYSTEM_NAMESPACE, subresource="status")


@pytest.mark.parametrize("bound_to", [_OWN, _LONG])
async def test_danmd_tells_pods_of_its_node_of_their_networks(place: _Place, bound_to: str) -> None:
    """It writes the annotation, changes it, and may take it away again."""
    async with place.administrator() as admin, place.account(_DANMD, bound_to) as danmd:
        for value in ("[]", "[1]", None):
            await _tell(danmd, bound_to, {"annotations": {ANNOTATION: value}})
            name = f"{_DANMD}-{bound_to[:6]}"
            pod = await admin.get(PODS, name, namespace=SYSTEM_NAMESPACE)
            assert pod["metadata"].get("annotations", {}).get(ANNOTATION) == value


@pytest.mark.parametrize(
    ("bound_to", "node", "metadata", "status", "saying"),
    [
        pytest.param(_OWN, _OTHER, {"annotations": {ANNOTATION: "[]"}}, None, _PODS, id="other's"),
        pytest.param("", _OWN, {"annotations": {ANNOTATION: "[]"}}, None, _PODS, id="no node"),
        pytest.param(
            _OWN, _OWN, {"annotations": {"x": "y"}}, None, _NOTHING_ELSE, id="another one"
        ),
        pytest.param(
            _OWN, _OWN, {"annotations": {"kept": None}}, None, _NOTHING_ELSE, id="take one away"
        ),
        pytest.param(
            _OWN, _OWN, {"annotations": {"kept": "no"}}, None, _NOTHING_ELSE, id="change one"
        ),
        pytest.param(_OWN, _OWN, {"labels": {"app": "lb"}}, None, _NOTHING_ELSE, id="label"),
        pytest.param(
            _OWN, _OWN, {"finalizers": ["x.example/y"]}, None, _NOTHING_ELSE, id="finalizer"
        ),
        pytest.param(
            _OWN, _OWN, {}, {"podIP": "203.0.113.9", "phase": "Running"}, _NOTHING_ELSE, id="status"
        ),
    ],
)
async def test_danmd_tells_pods_nothing_else(
    place: _Place,
    bound_to: str,
    node: str,
    metadata: RawObject,
    status: RawObject | None,
    saying: str,
) -> None:
    """Its right to write the status of Pods is good for that annotation of its own Pods alone."""
    # DESIGN, "A rooted node must stay one node"
    async with place.administrator() as admin, place.account(_DANMD, bound_to) as danmd:
        await _tell(admin, node, {"annotations": {"kept": "yes"}})
        name = f"{_DANMD}-{node[:6]}"
        before = await admin.get(PODS, name, namespace=SYSTEM_NAMESPACE)
        with pytest.raises(InvalidObjectError, match=saying):
            await _tell(danmd, node, metadata, status)
        assert await admin.get(PODS, name, namespace=SYSTEM_NAMESPACE) == before
