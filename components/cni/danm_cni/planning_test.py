"""An ADD waits for a DanmNet that has just been made, and for no other."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import pytest

from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.errors import ApiUnavailableError, DanmError, HostLinkMissingError, SeveralErrors
from danm_api.kube.api import DANMNETS
from danm_api.kube.informer import ObjectKey
from danm_api.model.attachment import Dynamic
from danm_api.model.cni import CniInterface, CniResult
from danm_api.names import Namespace, NetworkName
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet, accepted
from danm_cni import networks as networks_module
from danm_cni.interface_setup import LinkFacts
from danm_cni.networks import Networks
from danm_cni.plan import UseFallback
from danm_cni.planning import Plan, Planner
from danm_cni.progress import Progress
from danm_cni.request import PodIdentity
from danm_cni.testing.fake_kernel import FakeKernel
from danm_cni.testing.node import FakeNode

_CREATED: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LINK: Final = "young.301"
_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})


class KernelInTheMaking(FakeKernel):
    """Somebody works on the cluster while an ADD looks at the node's links.

    Attributes:
        looks: How often it has looked.
        asked: For which links, at the last look.
    """

    def __init__(self, *, before: Callable[[int], None]) -> None:
        """Call ``before`` with the number of each look, from 1 on."""
        super().__init__("ens4", "internal.300")
        self.looks = 0
        self.asked: list[str] = []
        self._before = before

    async def parents(self, names: Sequence[str]) -> Mapping[str, LinkFacts]:
        """Read links of the host."""
        self.looks += 1
        self.asked = list(names)
        self._before(self.looks)
        return await super().parents(names)


class NetworksInTheMaking(Networks):
    """The validator judges the DanmNet when an ADD has looked at it twice.

    Attributes:
        looks: How often one has looked.
    """

    def __init__(self, node: FakeNode) -> None:
        """Start without a watch: each look fetches."""
        super().__init__(node.kube)
        self._kube = node.kube
        self.looks = 0

    async def refresh(self, namespace: Namespace, names: Sequence[NetworkName]) -> None:
        """Fetch DanmNets."""
        self.looks += 1
        if self.looks == 3:
            raw = await self._kube.get(DANMNETS, "young", namespace=namespace)
            raw["status"] = encode_status(accepted(decode_danmnet(raw)).status)
            await self._kube.replace(DANMNETS, raw, namespace=namespace, subresource="status")
        await super().refresh(namespace, names)


def _have_network(
    node: FakeNode, *, judged: bool = True, options: Mapping[str, Any] = _NO_OPTIONS
) -> None:
    keys = {"host_device": "ens4", "vlan": 301, "cidr": "198.18.5.0/24", **options}
    raw = a_raw_danmnet("young", **keys)
    if judged:
        raw["status"] = encode_status(accepted(decode_danmnet(raw)).status)
    node.kube.add(DANMNETS, raw)


async def _plan(
    node: FakeNode,
    kernel: FakeKernel,
    *,
    age: timedelta,
    time_s: float = 10.0,
    networks: Networks | None = None,
    also: Sequence[str] = (),
    previous: CniResult | None = None,
) -> tuple[Plan, Progress]:
    asked = [{"network": name, "ip": "dynamic"} for name in ("young", *also)]
    planner = Planner(
        kernel=kernel, networks=networks or Networks(node.kube), now=lambda: _CREATED + age
    )
    progress = Progress("planning", deadline_s=time.monotonic() + time_s)
    plan = await _run(node, planner, asked=asked, progress=progress, previous=previous)
    assert isinstance(plan, Plan)
    return plan, progress


async def _run(
    node: FakeNode,
    planner: Planner,
    *,
    asked: object,
    progress: Progress,
    previous: CniResult | None = None,
) -> Plan | UseFallback:
    node.add_pod(interfaces=asked)
    pods, _, _ = node.daemon.informers
    key = ObjectKey(namespace=NAMESPACE, name="pod-1")
    await node.until(lambda: pods.get(key) is not None)
    pod = pods.get(key)
    assert pod is not None
    return await planner.run(
        node.request("ADD", "c1"),
        PodIdentity(namespace=pod.namespace, name=pod.name, uid=pod.runtime_uid),
        pod,
        previous=previous,
        progress=progress,
    )


async def test_the_link_of_a_new_network_is_waited_for(node: FakeNode) -> None:
    """Netwatcher makes it while the first Pod comes; no ADD fails for that."""

    def make_link(look: int) -> None:
        if look == 3:
            kernel.host_links.add(_LINK)

    kernel = KernelInTheMaking(before=make_link)
    _have_network(node)
    plan, progress = await _plan(node, kernel, age=timedelta(seconds=2))
    assert (3, {_LINK}) == (kernel.looks, set(plan.parents))
    # What it took is told with the ADD's other steps.
    assert "waiting for the controllers to get a new DanmNet ready" in progress.took_ms()


async def test_the_verdict_on_a_new_network_is_waited_for(node: FakeNode) -> None:
    """The validator judges it while the first Pod comes."""
    _have_network(node, judged=False)
    networks = NetworksInTheMaking(node)
    plan, _ = await _plan(node, FakeKernel(_LINK), age=timedelta(0), networks=networks)
    assert {_LINK} == set(plan.parents)


@pytest.mark.parametrize(
    ("options", "age", "netwatchers"),
    [
        pytest.param({}, timedelta(seconds=30), True, id="an older network"),
        pytest.param({"vlan": None, "host_device": "ens9"}, timedelta(0), False, id="no VLAN"),
    ],
)
async def test_nothing_else_is_waited_for(
    node: FakeNode, options: Mapping[str, Any], age: timedelta, *, netwatchers: bool
) -> None:
    """What waiting does not mend is told at once."""
    kernel = KernelInTheMaking(before=lambda _: None)
    _have_network(node, options=options)
    with pytest.raises(SeveralErrors, match="this node has no link") as caught:
        await _plan(node, kernel, age=age)
    (error,) = caught.value.errors
    assert netwatchers == isinstance(error, HostLinkMissingError)
    assert kernel.looks == 1


async def test_what_is_also_wrong_is_told_at_once(node: FakeNode) -> None:
    """A Pod that waits for nothing else but its own mistake does not wait for a link either."""
    kernel = KernelInTheMaking(before=lambda _: None)
    _have_network(node)
    with pytest.raises(SeveralErrors, match="no DanmNet 'nope'"):
        await _plan(node, kernel, age=timedelta(0), also=["nope"])
    assert kernel.looks == 0


async def test_what_another_plugin_makes_hangs_on_no_link_of_the_node(node: FakeNode) -> None:
    """The kernel is asked for the links of DANM's own networks alone."""
    kernel = KernelInTheMaking(before=lambda _: None)
    kernel.host_links.add(_LINK)
    _have_network(node)
    plan, _ = await _plan(node, kernel, age=timedelta(0), also=["management"])
    assert len(plan.attachments) == 2
    assert kernel.asked == [_LINK]


async def test_an_interface_of_a_plugin_before_danm_keeps_its_name(node: FakeNode) -> None:
    """One that the plan would make anew is told, before any link is looked for."""
    # SPEC B4
    kernel = KernelInTheMaking(before=lambda _: None)
    _have_network(node)
    made = CniInterface(name="eth0", sandbox="/var/run/netns/cni-c1")
    with pytest.raises(DanmError, match="eth0"):
        await _plan(node, kernel, age=timedelta(0), previous=CniResult(interfaces=(made,)))
    assert kernel.looks == 0


async def test_a_parent_that_nobody_makes_is_told_at_once(node: FakeNode) -> None:
    """Whatever else the Pod waits for: waiting would not mend it."""
    kernel = KernelInTheMaking(before=lambda _: None)
    _have_network(node)
    raw = a_raw_danmnet("plain", host_device="ens9", cidr="198.18.6.0/24", container_prefix="net1")
    status = encode_status(accepted(decode_danmnet(raw)).status)
    node.kube.add(DANMNETS, {**raw, "status": status})
    with pytest.raises(SeveralErrors, match="no link 'young.301'.*no link 'ens9'"):
        await _plan(node, kernel, age=timedelta(0), also=["plain"])
    assert kernel.looks == 1


async def test_an_old_network_beside_a_new_one_is_no_reason_not_to_wait(node: FakeNode) -> None:
    """One new DanmNet is enough, whatever the Pod uses beside it."""

    def make_link(look: int) -> None:
        if look == 2:
            kernel.host_links.add(_LINK)

    kernel = KernelInTheMaking(before=make_link)
    _have_network(node)
    raw = a_raw_danmnet("old", host_device="ens4", cidr="198.18.6.0/24", container_prefix="net1")
    raw["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    status = encode_status(accepted(decode_danmnet(raw)).status)
    node.kube.add(DANMNETS, {**raw, "status": status})
    plan, _ = await _plan(node, kernel, age=timedelta(seconds=2), also=["old"])
    assert {_LINK, "ens4"} == set(plan.parents)


@pytest.mark.parametrize("also", [(), ("newer",)], ids=["alone", "beside a new one"])
async def test_a_network_that_is_being_deleted_is_not_waited_for(
    node: FakeNode, also: Sequence[str]
) -> None:
    """However new it is, it takes no Pods any more: the ADD says so at once."""
    kernel = KernelInTheMaking(before=lambda _: None)
    networks = NetworksInTheMaking(node)
    _have_network(node)
    node.kube.add(DANMNETS, a_raw_danmnet("newer", host_device="ens4", vlan=302))
    node.kube.mark_deleted(DANMNETS, "young", namespace=NAMESPACE)
    # SPEC A5
    with pytest.raises(SeveralErrors, match=f"DanmNet {NAMESPACE}/young is being deleted"):
        await _plan(node, kernel, age=timedelta(0), networks=networks, also=also)
    assert networks.looks == 1


async def test_the_wait_leaves_time_to_tell_what_is_missing(node: FakeNode) -> None:
    """An ADD whose time is short says what is missing, not that its time was over."""
    kernel = KernelInTheMaking(before=lambda _: None)
    _have_network(node)
    began = time.monotonic()
    with pytest.raises(SeveralErrors, match="this node has no link"):
        await _plan(node, kernel, age=timedelta(0), time_s=4.5)
    waited_s = time.monotonic() - began
    assert kernel.looks > 1
    # A look every 0.2 s, until 3 s before its end.
    assert kernel.looks <= 1 + 1.5 / 0.2 + 1
    assert waited_s < 4.5


async def _plan_without_annotation(node: FakeNode) -> Plan | UseFallback:
    planner = Planner(kernel=FakeKernel("ens4"), networks=Networks(node.kube))
    progress = Progress("planning", deadline_s=time.monotonic() + 30)
    return await _run(node, planner, asked=None, progress=progress)


async def test_a_default_network_that_the_watch_has_not_shown_is_the_pods(node: FakeNode) -> None:
    """Made just before the Pod, with one ``kubectl apply``: the fallback would be for life."""
    # SPEC B2
    node.add_network("default", host_device="ens4", cidr="198.18.5.0/24")
    plan = await _plan_without_annotation(node)
    assert isinstance(plan, Plan)
    assert [each.attachment.network for each in plan.attachments] == ["default"]
    assert isinstance(plan.attachments[0].attachment.ip, Dynamic)


@pytest.mark.parametrize("answers", ["nothing", "an error"])
async def test_a_pod_comes_before_its_api_server(
    node: FakeNode,
    answers: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The control plane's own Pods ask for nothing, and get the fallback without any answer."""
    monkeypatch.setattr(networks_module, "_GLANCE_S", 0.05)
    node.add_network("default", host_device="ens4", cidr="198.18.5.0/24")
    if answers == "nothing":
        node.kube.hold_next("get", DANMNETS)
    else:
        node.kube.fail_next("get", DANMNETS, ApiUnavailableError("connection refused", status=0))
    assert isinstance(await _plan_without_annotation(node), UseFallback)
    assert "Whether a DanmNet has just been made cannot be told" in caplog.text
