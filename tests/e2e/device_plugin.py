"""A device plugin for a kubelet: devices by name, always healthy. Runs in a Pod of its own.

    python device_plugin.py RESOURCE DEVICE...

k8s.io/kubelet's deviceplugin/v1beta1, of which four calls are spoken here. It needs grpcio and
nothing else, since it is mounted into an image as it is.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc

DIRECTORY: Final = Path("/var/lib/kubelet/device-plugins")
_KUBELET: Final = DIRECTORY / "kubelet.sock"
_POLL_S: Final = 1.0
_TIMEOUT_S: Final = 10.0


def field(number: int, content: bytes | str) -> bytes:
    """Return a field of protobuf's wire format: text, or a message."""
    data = content.encode() if isinstance(content, str) else content
    assert len(data) < 0x80, "a length of one byte"
    return bytes([number << 3 | 2, len(data)]) + data


def device_list(devices: Sequence[str]) -> bytes:
    """Return a ListAndWatchResponse."""
    return b"".join(field(1, field(1, each) + field(2, "Healthy")) for each in devices)


def allocated(request: bytes) -> bytes:
    """Return an AllocateResponse: nothing to set up, for each container of the request."""
    rest, containers = request, 0
    while rest:
        assert rest[0] == (1 << 3 | 2), "container_requests"
        rest = rest[2 + rest[1] :]
        containers += 1
    return field(1, b"") * containers


class _Plugin(grpc.GenericRpcHandler):
    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = devices

    def service(self, details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401  (of grpc)
        match details.method:
            case "/v1beta1.DevicePlugin/GetDevicePluginOptions":
                return grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
            case "/v1beta1.DevicePlugin/ListAndWatch":
                return grpc.unary_stream_rpc_method_handler(self._list_and_watch)
            case "/v1beta1.DevicePlugin/Allocate":
                return grpc.unary_unary_rpc_method_handler(
                    lambda request, _context: allocated(request)
                )
        return None

    def _list_and_watch(self, _request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        yield device_list(self._devices)
        # They never change; the stream stays open as long as the kubelet wants it.
        while context.is_active():
            time.sleep(_POLL_S)


def register(resource: str, endpoint: str) -> None:
    """Tell the kubelet which socket serves a resource."""
    request = field(1, "v1beta1") + field(2, endpoint) + field(3, resource)
    with grpc.insecure_channel(f"unix:{_KUBELET}") as channel:
        call = channel.unary_unary(
            "/v1beta1.Registration/Register",
            request_serializer=bytes,
            response_deserializer=bytes,
        )
        call(request, timeout=_TIMEOUT_S)


def main(resource: str, devices: Sequence[str]) -> None:
    """Serve until the kubelet starts anew, which forgets all plugins; then end."""
    endpoint = resource.replace("/", "-") + ".sock"
    (DIRECTORY / endpoint).unlink(missing_ok=True)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[_Plugin(devices)])
    server.add_insecure_port(f"unix:{DIRECTORY / endpoint}")
    server.start()
    kubelet = _KUBELET.stat().st_ino
    register(resource, endpoint)
    while _KUBELET.exists() and _KUBELET.stat().st_ino == kubelet:
        time.sleep(_POLL_S)
    server.stop(grace=None).wait()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
