"""The kubelet's pod-resources API, from a real gRPC server on a socket."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from danm_api.errors import KubeletUnavailableError
from danm_cni.pod_resources import PodResources


def _field(number: int, content: bytes | str) -> bytes:
    """Return a field of protobuf's wire format: text, or a message."""
    data = content.encode() if isinstance(content, str) else content
    assert len(data) < 0x4000
    low, high = len(data) & 0x7F, len(data) >> 7
    length = bytes([low]) if not high else bytes([low | 0x80, high])
    return bytes([number << 3 | 2]) + length + data


def _devices(resource: str, *ids: str) -> bytes:
    # k8s.io/kubelet podresources/v1: field 3 is the topology, field 3 of a container its cpu ids.
    topology = _field(3, _field(1, b"\x08\x01"))
    return _field(2, _field(1, resource) + b"".join(_field(2, each) for each in ids) + topology)


def _pod(namespace: str, name: str, *containers: bytes) -> bytes:
    return _field(
        1, _field(1, name) + _field(2, namespace) + b"".join(_field(3, c) for c in containers)
    )


ANSWER = _pod("other", "vnf", _field(1, "main") + _devices("example.com/a", "theirs")) + _pod(
    "example-vnf",
    "vnf",
    _field(1, "main") + _devices("example.com/a", "0000:18:02.1", "0000:18:02.2"),
    _field(1, "side") + _devices("example.com/b", "b1") + _devices("example.com/a", "0000:18:02.5"),
)


class _Kubelet(grpc.GenericRpcHandler):
    """Answers when ``gate`` is open, and counts how often it was asked."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()

    def _list(self) -> bytes:
        self.asked += 1
        assert self._answer is not None
        assert self.gate.wait(30)
        return self._answer

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        method = handler_call_details.method
        if self._answer is None or method != "/v1.PodResourcesLister/List":
            return None
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: self._list())


@contextmanager
def _kubelet(
    root: Path, answer: bytes | None, *, handler: _Kubelet | None = None
) -> Iterator[PodResources]:
    (root / "run").mkdir()
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler or _Kubelet(answer)])
    server.add_insecure_port(f"unix:{root}/run/kubelet.sock")
    server.start()
    try:
        yield PodResources(host_root=root, socket="/run/kubelet.sock")
    finally:
        server.stop(grace=None).wait()


async def test_a_pods_devices_of_all_containers_are_told(tmp_path: Path) -> None:
    """Only this Pod's, by resource, in the order of its containers; unknown fields are ignored."""
    # SPEC E1
    with _kubelet(tmp_path, ANSWER) as kubelet:
        assert await kubelet.devices("example-vnf", "vnf") == {
            "example.com/a": ["0000:18:02.1", "0000:18:02.2", "0000:18:02.5"],
            "example.com/b": ["b1"],
        }
        assert await kubelet.devices("example-vnf", "another") == {}


async def test_devices_come_in_one_order_and_once(tmp_path: Path) -> None:
    """The kubelet tells them in the order of a Go map, and once for each of their NUMA nodes."""
    # SPEC E1
    a, b = "example.com/a", "example.com/b"
    answer = _pod(
        "example-vnf",
        "vnf",
        _field(1, "main")
        + _devices(a, "0000:18:02.7")
        + _devices(b, "b1")
        + _devices(a, "0000:18:02.1")
        + _devices(a, "0000:18:02.7"),
        _field(1, "side") + _devices(a, "0000:18:02.0", "0000:18:02.1"),
    )
    with _kubelet(tmp_path, answer) as kubelet:
        assert await kubelet.devices("example-vnf", "vnf") == {
            a: ["0000:18:02.1", "0000:18:02.7", "0000:18:02.0"],
            b: ["b1"],
        }


async def test_those_who_wait_for_the_kubelet_share_an_answer(tmp_path: Path) -> None:
    """Not one that was asked for before: it may be of before the Pod had its devices."""
    handler = _Kubelet(ANSWER)
    handler.gate.clear()
    with _kubelet(tmp_path, ANSWER, handler=handler) as kubelet:

        async def ask() -> Mapping[str, Sequence[str]]:
            return await kubelet.devices("example-vnf", "vnf")

        first = asyncio.create_task(ask())
        async with asyncio.timeout(30):
            while not handler.asked:
                await asyncio.sleep(0.005)
        others = [asyncio.create_task(ask()) for _ in range(8)]
        gone = asyncio.create_task(ask())
        await asyncio.sleep(0)
        gone.cancel()
        # What is slow is waited for in one thread, which nobody else uses.
        assert ["kubelet"] == [
            each.name for each in threading.enumerate() if each.name.startswith("kubelet")
        ]
        handler.gate.set()
        answers = await asyncio.gather(first, *others)
    assert handler.asked == 2
    assert all(each == answers[0] for each in answers)


async def test_a_kubelet_that_does_not_serve_it_is_named(tmp_path: Path) -> None:
    """An old kubelet, or a socket of somebody else, is an error that says where was asked."""
    with (
        _kubelet(tmp_path, None) as kubelet,
        pytest.raises(KubeletUnavailableError, match="/run/kubelet.sock.*UNIMPLEMENTED"),
    ):
        await kubelet.devices("example-vnf", "vnf")


async def test_rubbish_of_the_kubelet_is_no_answer(tmp_path: Path) -> None:
    """What is no message of that API is told as an answer that did not come."""
    with _kubelet(tmp_path, b"\xff\xff\xff") as kubelet, pytest.raises(KubeletUnavailableError):
        await kubelet.devices("example-vnf", "vnf")


async def test_a_kubelet_that_is_away_is_transient(tmp_path: Path) -> None:
    """Without a socket the ADD may be tried again: kubelets restart."""
    kubelet = PodResources(host_root=tmp_path, socket="/run/kubelet.sock")
    with pytest.raises(KubeletUnavailableError, match="UNAVAILABLE") as caught:
        await kubelet.devices("example-vnf", "vnf")
    assert caught.value.transient
