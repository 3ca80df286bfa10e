"""The socket, driven as the executables drive it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from danm_api.node_call import call_daemon
from danm_api.node_frame import PROGRAM_DANM, PROGRAM_FAKEIPAM, encode_request
from danm_cni.handlers import Readiness, SandboxRequests
from danm_cni.request import Program
from danm_cni.server import CniServer
from danm_cni.testing.node import FakeNode, a_node


@dataclass(kw_only=True)
class Served:
    """A node with its socket."""

    node: FakeNode
    path: Path
    state: dict[str, Any] = field(default_factory=dict)

    async def call(
        self, verb: str, container_id: str = "c1", *, program: int = PROGRAM_DANM, **changes: str
    ) -> tuple[int, Any]:
        """Send a request and return the exit status and what is to be printed."""
        request = self.node.request(verb, container_id)
        environment = {**request.environment, **changes}
        frame = encode_request(
            program=program,
            deadline_ns=time.monotonic_ns() + 5_000_000_000,
            environment=b"\0".join(f"{k}={v}".encode() for k, v in environment.items()),
            stdin=request.config,
        )
        status, output = await asyncio.to_thread(
            call_daemon, str(self.path), frame, deadline_ns=time.monotonic_ns() + 5_000_000_000
        )
        return status, msgspec.json.decode(output) if output else None


@pytest.fixture()
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Serve a node with one network."""
    async with a_node(tmp_path) as node:
        node.add_network("internal", host_device="ens3", cidr="10.240.1.0/24")
        await node.until(lambda: len(node.daemon.informers[1].items()) == 1)
        made = Served(node=node, path=tmp_path / "d.sock", state={"unready": None, "marker": True})
        readiness = Readiness(
            unready=lambda: made.state["unready"], was_ready=lambda: made.state["marker"]
        )
        server = CniServer(
            made.path,
            handlers={
                Program.DANM: SandboxRequests(sandboxes=node.daemon.sandboxes, readiness=readiness)
            },
        )
        async with server:
            yield made


async def test_add_and_del_over_the_socket(served: Served) -> None:
    """An ADD's result comes as JSON with status 0, and a DEL answers nothing."""
    served.node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}])
    status, result = await served.call("ADD")
    assert (
        status,
        result["cniVersion"],
        result["ips"][0]["address"],
    ) == (0, "1.1.0", "198.18.0.10/24")
    assert await served.call("CHECK") == (0, None)
    assert await served.call("DEL") == (0, None)
    assert (await served.call("CHECK"))[1]["code"] == 3


async def test_an_error_is_an_error_object(served: Served) -> None:
    """A refused ADD prints code and sentence in the version asked for, with status 1."""
    served.node.add_pod(interfaces=[{"network": "nope"}])
    status, error = await served.call("ADD")
    assert (status, error["cniVersion"], error["code"]) == (1, "1.1.0", 103)
    assert "'nope'" in error["msg"]


async def test_only_root_may_connect(served: Served) -> None:
    """The socket's mode admits its owner alone."""
    assert served.path.stat().st_mode & 0o777 == 0o600


async def test_a_starting_daemon_asks_to_come_again(served: Served) -> None:
    """Before the watches have shown what there is: ADD is refused with 11, an unknown DEL kept."""
    served.state["unready"] = "still reading"
    status, error = await served.call("ADD")
    assert (status, error["code"]) == (1, 11)
    assert "still reading" in error["msg"]
    assert await served.call("DEL", "unknown") == (0, None)
    assert served.node.daemon.sandboxes.tombstones.has(
        served.node.request("DEL", "unknown").container_id
    )


async def test_status_fails_only_before_the_first_readiness(served: Served) -> None:
    """STATUS is an error until danmd has once been ready since boot, and never afterwards."""
    # DESIGN, "An ADD", step 9
    served.state |= {"unready": "still reading", "marker": False}
    assert (await served.call("STATUS"))[1]["code"] == 50
    served.state["marker"] = True
    assert await served.call("STATUS") == (0, None)


async def test_rubbish_is_cut_off(served: Served) -> None:
    """What is no frame gets no answer, and the next caller is served."""
    reader, writer = await asyncio.open_unix_connection(served.path)
    writer.write(b"GET / HTTP/1.1\r\nHost: danm\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert await served.call("STATUS") == (0, None)


async def test_an_executable_that_is_not_served_is_told_why(served: Served) -> None:
    """A danmd that serves one executable alone says so to the other."""
    status, error = await served.call("ADD", program=PROGRAM_FAKEIPAM)
    assert (status, error["code"]) == (1, 50)
    assert "does not serve fakeipam" in error["msg"]


async def test_an_add_that_nobody_waits_for_is_removed(served: Served) -> None:
    """When the executable is gone before the answer, what was made is taken down again."""
    served.node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}])
    gate = served.node.kube.hold_next("create", None)
    request = served.node.request("ADD", "c1")
    frame = encode_request(
        program=PROGRAM_DANM,
        deadline_ns=0,
        environment=b"\0".join(f"{k}={v}".encode() for k, v in request.environment.items()),
        stdin=request.config,
    )
    _, writer = await asyncio.open_unix_connection(served.path)
    writer.write(frame)
    await writer.drain()
    await gate.reached.wait()
    writer.close()
    await writer.wait_closed()
    await served.node.end_pod()
    gate.open()
    await served.node.until(lambda: not served.node.leftovers())
