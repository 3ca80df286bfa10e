"""The kubelet's pod-resources API: which devices it has given to which Pod.

gRPC on a socket of the node; k8s.io/kubelet's podresources/v1, of which one call and four messages
are spoken here. gRPC takes 15 MB, so it is loaded when the first network asks for devices.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from danm_api.errors import KubeletUnavailableError
from danm_cni.netns import resolve_in_root
from danm_cni.threads import Threads

_METHOD: Final = "/v1.PodResourcesLister/List"
_TIMEOUT_S: Final = 3.0
# A node has some hundred Pods; each of their devices is named.
_MAX_ANSWER_BYTES: Final = 16 << 20
_PACKAGE: Final = "v1"
# Message -> (field, its number, the message in it; None for text); all but two fields are lists.
_MESSAGES: Final[Mapping[str, Sequence[tuple[str, int, str | None, bool]]]] = {
    "ListPodResourcesRequest": (),
    "ListPodResourcesResponse": (("pod_resources", 1, "PodResources", True),),
    "PodResources": (
        ("name", 1, None, False),
        ("namespace", 2, None, False),
        ("containers", 3, "ContainerResources", True),
    ),
    "ContainerResources": (("devices", 2, "ContainerDevices", True),),
    "ContainerDevices": (("resource_name", 1, None, False), ("device_ids", 2, None, True)),
}


class PodResources:
    """Asks the kubelet of the node."""

    def __init__(self, *, host_root: Path, socket: str) -> None:
        """Connect at each question: a kubelet that starts again has another socket.

        Args:
            host_root: The host's root directory as danmd sees it.
            socket: The kubelet's, as the host names it.
        """
        self._host_root = host_root
        self._socket = socket
        # Not those that all else shares: a kubelet that is slow is waited for in it.
        self._threads = Threads(limit=1, name="kubelet")
        self._asking = asyncio.Lock()
        self._next: asyncio.Task[Any] | None = None

    async def devices(self, namespace: str, pod: str) -> Mapping[str, Sequence[str]]:
        """Return resource name -> ids of the devices that the containers of a Pod have.

        Of one container they are sorted: the kubelet tells them in another order each time, and
        once for each NUMA node of a device.

        Raises:
            KubeletUnavailableError: The kubelet did not answer.
        """
        listed = await self._listed()
        found: dict[str, list[str]] = defaultdict(list)
        for resources in listed.pod_resources:
            if (resources.namespace, resources.name) == (namespace, pod):
                for container in resources.containers:
                    for resource, ids in _devices_of(container).items():
                        found[resource] += sorted(ids.difference(found[resource]))
        return found

    async def _listed(self) -> Any:  # noqa: ANN401  (a message that is defined at run time)
        """Return what the kubelet lists, asked after this was called: once for all who wait.

        Several Pods that start at once ask, and an answer may take seconds.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._list_next())
            # Whoever waited may be gone.
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._next)

    async def _list_next(self) -> Any:  # noqa: ANN401  (as above)
        async with self._asking:
            # From now on an answer may be too old for who asks.
            self._next = None
            return await self._threads.run(self._list)

    def _list(self) -> Any:  # noqa: ANN401  (a message that is defined at run time)
        import grpc

        path = resolve_in_root(self._host_root, self._socket)
        request, response = _message("ListPodResourcesRequest"), _message(
            "ListPodResourcesResponse"
        )
        options = [("grpc.max_receive_message_length", _MAX_ANSWER_BYTES)]
        with grpc.insecure_channel(f"unix:{path}", options=options) as channel:
            call = channel.unary_unary(
                _METHOD,
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            try:
                return call(request(), timeout=_TIMEOUT_S)
            except grpc.RpcError as error:
                raise KubeletUnavailableError(
                    f"the kubelet does not say at {self._socket} which devices the Pod has "
                    f"({error.code().name}: {error.details()}); it serves that socket unless its "
                    "state directory is another one: see --pod-resources-socket"
                ) from error


def _devices_of(container: Any) -> Mapping[str, set[str]]:  # noqa: ANN401  (as above)
    found: dict[str, set[str]] = defaultdict(set)
    for each in container.devices:
        found[each.resource_name].update(each.device_ids)
    return found


@cache
def _message(name: str) -> Any:  # noqa: ANN401  (as above)
    """Return the class of a message."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@cache
def _pool() -> Any:  # noqa: ANN401  (as above)
    from google.protobuf import descriptor_pb2, descriptor_pool

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="podresources.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, inner, is_list in fields:
            message.field.add(
                name=field,
                number=number,
                label=kinds.LABEL_REPEATED if is_list else kinds.LABEL_OPTIONAL,
                type=kinds.TYPE_MESSAGE if inner else kinds.TYPE_STRING,
                type_name=f".{_PACKAGE}.{inner}" if inner else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
