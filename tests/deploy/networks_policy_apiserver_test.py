"""What ``kubectl apply`` refuses of a DanmNet at once, on a real API server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, Final

import pytest

from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.danmnet_update import with_mark, with_status
from danm_api.crd import admission
from danm_api.errors import InvalidObjectError
from danm_api.kube.api import DANMNETS, KubeApi, RawObject
from danm_api.kube.client import KubeClient
from danm_api.model.danmnet import NetworkStatus
from danm_api.testing.builders import a_raw_danmnet
from danm_api.testing.network_cases import BROKEN, VALID, NetworkCase
from danm_api.validation import validate_network
from tests.lab.apiserver import ApiServer
from tests.lab.deployed import apply_deployed
from tests.lab.kinds import install_kinds_on
from tests.lab.kube_objects import NAMESPACES

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_NAMESPACE: Final = "tenant"
_REFUSED: Final = f"ValidatingAdmissionPolicy '{admission.NAME}'"
# Made before the policy was: an older DANM had no such rules.
_OLD: Final = "old"
_BAD_POOL: Final = {"start": "10.0.0.1", "end": "10.0.0.9"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """An API server with DANM's kinds and the policy."""

    server: ApiServer

    @asynccontextmanager
    async def api(self) -> AsyncIterator[KubeClient]:
        async with await KubeClient.connect(self.server.kubeconfig) as api:
            yield api


def _manifest(raw: RawObject) -> RawObject:
    """Return what a user writes."""
    return {**raw, "metadata": {"name": raw["metadata"]["name"], "namespace": _NAMESPACE}}


async def _refusal(api: KubeApi, raw: RawObject) -> str:
    """Create a DanmNet and remove it; return why that was refused, or nothing."""
    try:
        await api.create(DANMNETS, _manifest(raw), namespace=_NAMESPACE)
    except InvalidObjectError as error:
        return error.reason
    await api.delete(DANMNETS, raw["metadata"]["name"], namespace=_NAMESPACE)
    return ""


async def _prepare(server: ApiServer) -> None:
    await install_kinds_on(server)
    async with await KubeClient.connect(server.kubeconfig) as api:
        await api.create(NAMESPACES, {"metadata": {"name": _NAMESPACE}})
        old = a_raw_danmnet(_OLD, allocation_pool=_BAD_POOL)
        await api.create(DANMNETS, _manifest(old), namespace=_NAMESPACE)
        await apply_deployed(api, f"policies/{admission.FILE_NAME}")
        # The server tells nobody when it begins to hold to it.
        async with asyncio.timeout(60):
            while not await _refusal(api, a_raw_danmnet("probe", allocation_pool=_BAD_POOL)):
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Place]:
    """Start an API server."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as server:
        asyncio.run(_prepare(server))
        yield _Place(server=server)


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.title)
async def test_valid_networks_are_admitted(place: _Place, case: NetworkCase) -> None:
    """The policy is never stricter than the validator."""  # SPEC N1, A1
    async with place.api() as api:
        assert await _refusal(api, case.raw()) == ""


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.title)
async def test_broken_rules_are_refused_at_once(place: _Place, case: NetworkCase) -> None:
    """The refusal names the field and the rule; what CEL cannot say is left to the validator."""
    # SPEC N1
    async with place.api() as api:
        refusal = await _refusal(api, case.raw())
    if not case.at_admission:
        assert refusal == ""
        return
    assert _REFUSED in refusal
    # "Options.routes[10.1.0.0/16]" and "Options.allocation_pool.start" are told by their option.
    field = ".".join(case.field.partition("[")[0].split(".")[:2])
    assert f"spec.{field}: " in refusal
    assert f"(SPEC {case.rule})" in refusal


_CHOICES: Final[dict[str, list[Any]]] = {
    "host_device": [None, "", "ens4", "x" * 16],
    "cidr": [None, "10.0.0.0/24", "10.0.0.0/16", "10.0.0.0/31", "224.0.0.0/24", "x"],
    "allocation_pool": [None, {}, {"start": "10.0.0.1"}, {"start": "10.0.1.1", "end": "10.0.0.9"}],
    "net6": [None, "2001:db8::/64", "2001:db8::/127", "::ffff:10.0.0.0/120"],
    "allocation_pool6": [None, {"start": "2001:db8::1", "end": "2001:db8::2"}, {"end": "::1"}],
    "exclude": [None, [], ["10.0.0.0/28"], ["2001:db8::/80", "10.0.0.300"]],
    "container_prefix": [None, "net", "all", "x%d"],
    "rt_tables": [None, 1, 254],
    "routes": [
        None,
        {},
        {"10.9.0.0/16": "10.0.0.1"},
        {"10.9.0.0/16": "10.0.9.1"},
        {"10.9.0.0/16": "10.0.0.255"},
    ],
    "routes6": [None, {"::/0": "2001:db8::1"}, {"::/0": "2001:db9::1"}],
    "vlan": [None, 7],
    "vxlan": [None, 7],
    "mtu": [None, 576, 9000],
    "device_pool": [None, "", "a/b", "a"],
}


async def test_both_judge_alike_whatever_is_combined(place: _Place) -> None:
    """What the policy refuses, the validator does; what it admits too, but for known gaps."""
    # SPEC N1
    random, numbers, agreed = Random(6), count(), 0
    async with place.api() as api:
        for _ in range(150):
            options = {
                # Mostly what is left out, so that not all of them are refused.
                key: random.choice(values[:1] * 4 + values)
                for key, values in _CHOICES.items()
                if random.random() < 0.7
            }
            network_type = random.choice([None, "macvlan", "SRIOV", "flannel", "a/b"])
            raw = a_raw_danmnet(f"n{next(numbers)}", network_type=network_type, **options)
            refusal = await _refusal(api, raw)
            violations = validate_network(decode_danmnet(raw))
            assert not refusal or violations, (raw["spec"], refusal)
            agreed += bool(refusal) == bool(violations)
    assert agreed >= 140


async def test_a_network_of_before_can_be_judged_labelled_and_deleted(place: _Place) -> None:
    """The policy is about what users write into the spec, not about what services do."""
    # DESIGN P7
    async with place.api() as api:

        async def stored() -> RawObject:
            return await api.get(DANMNETS, _OLD, namespace=_NAMESPACE)

        await api.replace(DANMNETS, with_mark(await stored(), valid=False), namespace=_NAMESPACE)
        status = NetworkStatus(observed_generation=1)
        raw = with_status(await stored(), status)
        await api.replace(DANMNETS, raw, namespace=_NAMESPACE, subresource="status")
        for metadata in ({"labels": {"a": "b"}}, {"finalizers": ["danm.k8s.io/in-use"]}):
            await api.patch(DANMNETS, _OLD, {"metadata": metadata}, namespace=_NAMESPACE)
        worse: RawObject = {"spec": {"Options": {"rt_tables": 254}}}
        with pytest.raises(InvalidObjectError, match="allocation_pool: stands without cidr"):
            await api.patch(DANMNETS, _OLD, worse, namespace=_NAMESPACE)
        better: RawObject = {"spec": {"Options": {"cidr": "10.0.0.0/24"}}}
        await api.patch(DANMNETS, _OLD, better, namespace=_NAMESPACE)
        await api.delete(DANMNETS, _OLD, namespace=_NAMESPACE)
        gone: RawObject = {"metadata": {"finalizers": []}}
        await api.patch(DANMNETS, _OLD, gone, namespace=_NAMESPACE)
