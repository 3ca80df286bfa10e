"""The DanmEps of this node (SPEC A2): created before the interface, or while a plugin makes it.

They are deleted after it.
"""

from collections.abc import Mapping, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from danm_api import labels
from danm_api.codec.danmep import decode_danmep, encode_danmep, endpoint_object_name
from danm_api.errors import ConflictError, NotFoundError
from danm_api.kube.api import DANMEPS, Answer, KubeApi
from danm_api.kube.informer import Informer
from danm_api.model.addresses import IPv4Route, IPv6Route
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.model.danmnet import BuiltInType, StaticDelegate
from danm_api.model.pod import Pod
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)
from danm_api.telemetry import get_logger
from danm_cni.journal import InterfaceRecord, SandboxRecord
from danm_cni.plan import PlannedAttachment

log = get_logger(__name__)

_BY_CONTAINER: Final = "container"
_BY_POD: Final = "pod"


def network_type_text(network_type: BuiltInType | StaticDelegate) -> str:
    """Return a network's type as DanmEps and journal records name it."""
    match network_type:
        case StaticDelegate(name=name):
            return name
        case _:
            return network_type.value


def planned_endpoint(
    planned: PlannedAttachment,
    *,
    pod: Pod,
    node: NodeName,
    container_id: ContainerId,
    netns: str,
    ip: IPv4Interface | None,
    ip6: IPv6Interface | None,
    mac: str | None,
) -> DanmEp:
    """Return the DanmEp of an attachment; pure."""
    name = endpoint_object_name(pod.runtime_uid, container_id, planned.interface)
    return DanmEp(
        namespace=pod.namespace,
        name=name,
        network=planned.network.name,
        network_type=network_type_text(planned.spec.network_type),
        endpoint_id=_endpoint_id(name),
        interface=EndpointInterface(
            name=planned.interface,
            address=ip,
            address_ipv6=ip6,
            mac_address=mac,
            policy_routes=planned.attachment.policy_routes,
            policy_routes6=planned.attachment.policy_routes6,
        ),
        node=node,
        pod=pod.name,
        pod_uid=pod.runtime_uid,
        container_id=container_id,
        netns=netns,
        pod_labels=labels.of_tenant(pod.labels),
    )


def recorded_endpoint(
    record: SandboxRecord, interface: InterfaceRecord, *, pod: Pod, node: NodeName
) -> DanmEp:
    """Return the DanmEp of an interface as the journal tells of it; pure."""
    policy = [each for each in interface.routes if each.table is not None]
    routes = [
        (ip_network(each.destination, strict=False), ip_address(each.gateway)) for each in policy
    ]
    return DanmEp(
        namespace=Namespace(record.namespace),
        name=interface.endpoint,
        network=NetworkName(interface.network),
        network_type=interface.network_type,
        endpoint_id=_endpoint_id(interface.endpoint),
        interface=EndpointInterface(
            name=InterfaceName(interface.interface),
            address=IPv4Interface(interface.ip) if interface.ip else None,
            address_ipv6=IPv6Interface(interface.ip6) if interface.ip6 else None,
            mac_address=interface.mac,
            policy_routes=tuple(
                IPv4Route(destination=destination, gateway=gateway)
                for destination, gateway in routes
                if isinstance(destination, IPv4Network) and isinstance(gateway, IPv4Address)
            ),
            policy_routes6=tuple(
                IPv6Route(destination=destination, gateway=gateway)
                for destination, gateway in routes
                if isinstance(destination, IPv6Network) and isinstance(gateway, IPv6Address)
            ),
        ),
        node=node,
        pod=PodName(record.pod),
        pod_uid=PodUid(record.pod_uid),
        container_id=ContainerId(record.container_id),
        netns=record.netns,
        pod_labels=labels.of_tenant(pod.labels),
    )


def _endpoint_id(name: str) -> str:
    # The name says all that makes it unique, so a repeated ADD finds the same one.
    return str(uuid5(NAMESPACE_OID, name))


class NodeEndpoints:
    """Reads and writes the DanmEps of one node."""

    def __init__(self, api: KubeApi, node: NodeName) -> None:
        """Watch by the node's label."""
        self._api = api
        self._node = node
        self.informer: Informer[DanmEp] = Informer(
            api,
            DANMEPS,
            decode_danmep,
            label_selector=f"{labels.NODE}={labels.label_value(node)}",
            indexers={
                _BY_CONTAINER: lambda endpoint: [endpoint.container_id],
                _BY_POD: lambda endpoint: [endpoint.pod_uid],
            },
        )

    async def create(self, endpoint: DanmEp) -> None:
        """Create, or overwrite one of the same name that an interrupted ADD left."""
        body = encode_danmep(endpoint)
        try:
            await self._api.create(
                DANMEPS, body, namespace=endpoint.namespace, answer=Answer.METADATA
            )
        except ConflictError:
            await self.update(endpoint)

    async def restore(self, endpoint: DanmEp) -> bool:
        """Create one that is missing; return whether it was. One that is there stays as it is."""
        try:
            await self._api.create(DANMEPS, encode_danmep(endpoint), namespace=endpoint.namespace)
        except ConflictError:
            return False
        return True

    async def update(self, endpoint: DanmEp) -> None:
        """Write what a delegate reported.

        A patch, since nobody else writes the spec of this node's DanmEps: it costs one request.
        """
        body = encode_danmep(endpoint)
        patch = {"metadata": {"labels": body["metadata"]["labels"]}, "spec": body["spec"]}
        await self._api.patch(
            DANMEPS, endpoint.name, patch, namespace=endpoint.namespace, answer=Answer.METADATA
        )

    async def delete(self, namespace: Namespace, name: str) -> None:
        """Delete; one that is gone is no error."""
        try:
            await self._api.delete(DANMEPS, name, namespace=namespace)
        except NotFoundError:
            return
        log.info("Deleted DanmEp", namespace=namespace, name=name)

    async def exists(self, namespace: Namespace, name: str) -> bool:
        """Say whether there is such a DanmEp now, whatever the watch has shown."""
        try:
            await self._api.get(DANMEPS, name, namespace=namespace)
        except NotFoundError:
            return False
        return True

    def of_container(self, container_id: str) -> Sequence[DanmEp]:
        """Return the DanmEps of a sandbox that the watch has shown."""
        return tuple(self.informer.by_index(_BY_CONTAINER, container_id))

    def of_node(self) -> Sequence[DanmEp]:
        """Return all DanmEps of the node that the watch has shown."""
        # The label of a long node name is a hash.
        return [each for each in self.informer.items() if each.node == self._node]

    async def relabel(self, pod: Pod) -> None:
        """Bring the labels of a Pod's DanmEps in step with the Pod's (SPEC A2)."""
        wanted = labels.of_tenant(pod.labels)
        for endpoint in self.informer.by_index(_BY_POD, pod.runtime_uid):
            if endpoint.pod_labels != wanted and not endpoint.deleting:
                patch = label_patch(endpoint, wanted)
                await self._api.patch(
                    DANMEPS,
                    endpoint.name,
                    patch,
                    namespace=endpoint.namespace,
                    answer=Answer.METADATA,
                )


def label_patch(endpoint: DanmEp, wanted: Mapping[str, str]) -> dict[str, object]:
    """Return the merge patch that makes a DanmEp's tenant labels what they should be; pure."""
    gone: dict[str, str | None] = {key: None for key in endpoint.pod_labels if key not in wanted}
    return {
        "metadata": {
            "labels": {**gone, **wanted},
            "resourceVersion": endpoint.resource_version,
        }
    }
