"""What users and runtimes ask of DANM, one thing after the other, with something between them.

A Pod lives through it: whatever is replaced between two of its steps has to go on with what the one
before has left.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.endpoint_slice import decode_endpoint_slice
from danm_api.ipam_api import ExternalOwnerMessage, ReleaseRequest
from danm_api.kube.api import DANMEPS, DANMNETS, ENDPOINT_SLICES, PODS, SERVICES
from tests.ipam.cluster import eventually, soon
from tests.ipam.plugin_node import PARENT, Container
from tests.ipam.plugin_stage import bridge
from tests.skew.stage import WholeNode

_NET: Final = "net"
_LAN: Final = "lan"
_SERVICE: Final = "lb"
_LABELS: Final = {"app": "lb"}
# danmd compares every 10 s, and a machine may have much else to do.
_FOLLOW_S: Final = 60.0
_DANM: Final = {"cniVersion": "1.1.0", "name": "danm", "type": "danm"}

Between = Callable[[], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Story:
    """The story on one node, in the namespace of its cluster.

    Attributes:
        between: Done after each step: replaces something, perhaps.
        seconds: How long each step took, without what is between.
    """

    node: WholeNode
    between: Between
    seconds: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Tell it.

        Raises:
            AssertionError: Something is not as it should be.
            PluginError: A plugin failed.
            DanmError: ipam-svc refused.
        """
        await self._step("validation", self._validation)
        await self._step("reservation", self._reservation)
        pod = await self._pod()
        await self._step("ADD", lambda: self._add(pod))
        await self._step("endpoint", lambda: self._endpoint(pod))
        await self._step("CHECK", lambda: self._check(pod))
        await self._step("DEL", lambda: self._delete(pod))
        other = await self._pod_of_others()
        await self._step("fakeipam ADD", lambda: self._add_by_bridge(other))
        await self._step("fakeipam CHECK", lambda: self._check_by_bridge(other))
        await self._step("fakeipam DEL", lambda: self._delete_by_bridge(other))

    async def _step(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        since = time.monotonic()
        try:
            await work()
        except Exception as error:
            error.add_note(f"in the step {name!r}")
            raise
        self.seconds[name] = time.monotonic() - since
        await self.between()

    async def _validation(self) -> None:
        """What fits is taken, what contradicts it refused."""
        wire = {"host_device": PARENT, "container_prefix": "eth0"}
        await self._network(_NET, "macvlan", cidr="10.8.0.0/24", **wire)
        await self._network(_LAN, "", cidr="10.9.0.0/24", fakeipam=True)
        await self._until_judged(_NET, valid=True)
        await self._until_judged(_LAN, valid=True)
        await self._network("contrary", "macvlan", cidr="10.8.0.0/25", **wire)
        await self._until_judged("contrary", valid=False)

    async def _reservation(self) -> None:
        """An external owner gets an address and gives it back."""
        cluster = self.node.cluster
        await cluster.allow("tool", namespace=cluster.namespace)
        token = await cluster.token("tool", namespace=cluster.namespace)
        async with cluster.client(token) as client:
            answer = await cluster.reserve(client, "printer", _NET)
            assert [str(each.address) for each in await cluster.held()] == [
                str(answer.attachments[0].ip).partition("/")[0]
            ]
            await client.release(
                ReleaseRequest(
                    owner=ExternalOwnerMessage(namespace=cluster.namespace, name="printer"),
                    attempt=answer.attempt,
                    networks=[_NET],
                ),
                deadline=soon(),
            )
        assert await cluster.held() == []

    async def _add(self, pod: Container) -> None:
        """The interface has the address that the record has, and a DanmEp says so."""
        await self.node.call("ADD", _DANM, pod, interface="eth0")
        (held,) = await self.node.cluster.held()
        assert pod.addresses("eth0") == {f"{held.address}/24"}
        (endpoint,) = (await self._list_endpoints()).items
        assert endpoint["spec"]["Interface"]["Address"] == f"{held.address}/24"

    async def _endpoint(self, pod: Container) -> None:
        """The Service finds the Pod."""
        assert pod.pod is not None
        cluster = self.node.cluster
        annotations = {
            "danm.k8s.io/selector": '{"app": "lb"}',
            "danm.k8s.io/network": _NET,
        }
        await cluster.create(
            SERVICES,
            {
                "metadata": {"name": _SERVICE, "annotations": annotations},
                "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
            },
        )
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await cluster.api.patch(
            PODS,
            pod.pod["metadata"]["name"],
            {"status": status},
            namespace=cluster.namespace,
            subresource="status",
        )
        (held,) = await cluster.held()
        await self._until_found([str(held.address)])

    async def _check(self, pod: Container) -> None:
        """What the ADD has told is still so."""
        await self.node.call("CHECK", _DANM, pod, interface="eth0")

    async def _delete(self, pod: Container) -> None:
        """Interface, record, DanmEp and endpoint go."""
        self._end_pod(pod)
        await self.node.call("DEL", _DANM, pod, interface="eth0")
        assert pod.addresses("eth0") == set()
        await eventually(self._nothing_is_held, within_s=_FOLLOW_S)
        await eventually(self._no_endpoint_is_left, within_s=_FOLLOW_S)
        await self._until_found([])

    async def _add_by_bridge(self, pod: Container) -> None:
        """Another plugin's interface has the address that fakeipam got."""
        await self.node.call("ADD", bridge("1.1.0", network=_LAN), pod)
        (held,) = await self.node.cluster.held()
        assert pod.addresses("net1") == {f"{held.address}/24"}

    async def _check_by_bridge(self, pod: Container) -> None:
        await self.node.call("CHECK", bridge("1.1.0", network=_LAN), pod)

    async def _delete_by_bridge(self, pod: Container) -> None:
        self._end_pod(pod)
        await self.node.call("DEL", bridge("1.1.0", network=_LAN), pod)
        await eventually(self._nothing_is_held, within_s=_FOLLOW_S)

    async def _network(self, name: str, network_type: str, **options: Any) -> None:  # noqa: ANN401
        spec: dict[str, Any] = {"NetworkID": name, "Options": options}
        if network_type:
            spec["NetworkType"] = network_type
        await self.node.cluster.create(DANMNETS, {"metadata": {"name": name}, "spec": spec})

    async def _until_judged(self, name: str, *, valid: bool) -> None:
        cluster = self.node.cluster

        async def is_judged() -> bool:
            net = decode_danmnet(await cluster.api.get(DANMNETS, name, namespace=cluster.namespace))
            found = net.status.condition("Valid")
            return found is not None and found.status is valid

        await eventually(is_judged, within_s=_FOLLOW_S)

    async def _pod(self) -> Container:
        cluster = self.node.cluster
        pod = await cluster.run_pod(
            "worker",
            node=self.node.name,
            annotation=f'[{{"network": "{_NET}", "ip": "dynamic"}}]',
        )
        changed = await cluster.api.patch(
            PODS, "worker", {"metadata": {"labels": _LABELS}}, namespace=cluster.namespace
        )
        return self.node.add_sandbox(changed or pod)

    async def _pod_of_others(self) -> Container:
        pod = await self.node.cluster.run_pod("other", node=self.node.name)
        return self.node.add_sandbox(pod)

    def _end_pod(self, pod: Container) -> None:
        assert pod.pod is not None
        name = pod.pod["metadata"]["name"]
        self.node.cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0")

    async def _nothing_is_held(self) -> bool:
        return await self.node.cluster.held() == []

    async def _list_endpoints(self) -> Any:  # noqa: ANN401  (raw objects)
        cluster = self.node.cluster
        return await cluster.api.list(DANMEPS, namespace=cluster.namespace)

    async def _no_endpoint_is_left(self) -> bool:
        return not (await self._list_endpoints()).items

    async def _until_found(self, expected: list[str]) -> None:
        cluster = self.node.cluster

        async def is_found() -> bool:
            listed = await cluster.api.list(
                ENDPOINT_SLICES,
                namespace=cluster.namespace,
                label_selector=f"kubernetes.io/service-name={_SERVICE}",
            )
            slices = map(decode_endpoint_slice, listed.items)
            found = sorted(str(e.address) for s in slices for e in s.endpoints if e.ready)
            return found == expected

        await eventually(is_found, within_s=_FOLLOW_S)
