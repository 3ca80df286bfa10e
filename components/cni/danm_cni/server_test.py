"""The socket, driven as the executables drive it."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from danm_api.errors import DelegateError
from danm_api.node_call import call_daemon
from danm_api.node_frame import (
    ANSWER_HEAD_BYTES,
    PROGRAM_DANM,
    PROGRAM_FAKEIPAM,
    decode_answer_head,
    encode_request,
)
from danm_api.testing.samples import sample
from danm_cni.handlers import Readiness, SandboxRequests
from danm_cni.request import Program
from danm_cni.server import CniServer
from danm_cni.testing.node import FakeNode, a_node


@dataclass(kw_only=True)
class Served:
    """A node with its socket."""

    node: FakeNode
    path: Path
    readiness: Readiness

    def server(self) -> CniServer:
        """Return a server of the node's sandboxes."""
        requests = SandboxRequests(sandboxes=self.node.daemon.sandboxes, readiness=self.readiness)
        return CniServer(self.path, handlers={Program.DANM: requests})

    def frame(
        self,
        verb: str,
        container_id: str = "c1",
        *,
        deadline_ns: int,
        program: int = PROGRAM_DANM,
        **changes: str,
    ) -> bytes:
        """Return what an executable sends."""
        request = self.node.request(verb, container_id)
        environment = {**request.environment, **changes}
        return encode_request(
            program=program,
            deadline_ns=deadline_ns,
            environment=b"\0".join(os.fsencode(f"{k}={v}") for k, v in environment.items()),
            stdin=request.config,
        )

    async def call(
        self,
        verb: str,
        container_id: str = "c1",
        *,
        program: int = PROGRAM_DANM,
        within_s: float = 5.0,
        patience_s: float = 0.0,
        **changes: str,
    ) -> tuple[int, Any]:
        """Send a request and return the exit status and what is to be printed."""
        deadline_ns = time.monotonic_ns() + int(within_s * 1e9)
        frame = self.frame(verb, container_id, program=program, deadline_ns=deadline_ns, **changes)
        status, output = await asyncio.to_thread(
            call_daemon,
            str(self.path),
            frame,
            deadline_ns=deadline_ns,
            patience_ns=int(patience_s * 1e9),
        )
        return status, msgspec.json.decode(output) if output else None


@pytest.fixture()
async def unserved(tmp_path: Path) -> AsyncIterator[Served]:
    """Have a node with one network, on whose socket nobody listens yet."""
    async with a_node(tmp_path) as node:
        node.add_network("internal", host_device="ens3", cidr="10.240.1.0/24")
        await node.knows_networks(1)
        readiness = Readiness(tmp_path / "ready")
        readiness.set()
        yield Served(node=node, path=tmp_path / "d.sock", readiness=readiness)


@pytest.fixture()
async def served(unserved: Served) -> AsyncIterator[Served]:
    """Serve that node."""
    async with unserved.server():
        yield unserved


@pytest.mark.parametrize(
    "name", ["CNI_ARGS", "CNI_IFNAME", "CNI_NETNS", "CNI_PATH", "CNI_CONTAINERID", "CNI_COMMAND"]
)
@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK"])
async def test_variables_that_are_no_utf8_are_refused(served: Served, verb: str, name: str) -> None:
    """Also of an executable that forwards them: error 4 with the name, and nothing is made."""
    # CNI specification, "Error"
    served.node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}])
    changes: dict[str, Any] = {name: os.fsdecode(b"/run/\xff")}
    status, answer = await served.call(verb, **changes)
    assert (status, answer["code"]) == (1, 4)
    assert name in answer["msg"]
    assert {} == served.node.leftovers()


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


async def test_codes_that_a_delegate_makes_up_are_one(served: Served) -> None:
    """A plugin's own code is answered as it is, and counted as one of any."""
    served.node.add_network("plugin", network_type="odd")
    served.node.write_cni_config("odd.conf", {"cniVersion": "1.0.0", "name": "o", "type": "odd"})
    served.node.plugins.failures.fail("odd", DelegateError("no", code=987))
    served.node.add_pod(interfaces=[{"network": "plugin"}])
    before = sample("danmd_errors_total", verb="ADD", code="other")
    assert (await served.call("ADD"))[1]["code"] == 987
    assert sample("danmd_errors_total", verb="ADD", code="other") == before + 1


async def test_only_root_may_connect(served: Served) -> None:
    """The socket's mode admits its owner alone."""
    assert served.path.stat().st_mode & 0o777 == 0o600


async def test_a_starting_daemon_asks_to_come_again(served: Served) -> None:
    """While the watches have not shown what there is, ADDs end with 11; an unknown DEL is kept."""
    served.readiness.refuse("still reading")
    status, error = await served.call("ADD", within_s=0.2)
    assert (status, error["code"]) == (1, 11)
    assert "still reading" in error["msg"]
    assert await served.call("DEL", "unknown") == (0, None)
    assert served.node.daemon.sandboxes.tombstones.has(
        served.node.request("DEL", "unknown").container_id
    )


async def test_an_add_waits_for_a_starting_daemon(served: Served) -> None:
    """It would take the runtime longer to try again."""
    served.node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}])
    served.readiness.refuse("still reading")
    adding = asyncio.create_task(served.call("ADD"))
    # Its connection has been accepted, and then this one, which is answered.
    await served.node.until(lambda: served.path.exists())
    assert await served.call("STATUS") == (0, None)
    assert not adding.done()
    served.readiness.set()
    assert (await adding)[0] == 0


async def test_an_add_does_not_wait_for_a_daemon_that_is_stopped(unserved: Served) -> None:
    """Who waits, and who is still in the kernel's queue, is told at once to come again."""
    unserved.readiness.refuse("still reading")
    async with asyncio.timeout(60):
        async with unserved.server():
            reader, writer = await asyncio.open_unix_connection(unserved.path)
            writer.write(unserved.frame("ADD", deadline_ns=time.monotonic_ns() + 300 * 10**9))
            await writer.drain()
            # It has been accepted, and then this one, which is answered.
            assert await unserved.call("STATUS") == (0, None)
            unserved.readiness.end()
            # The watches may still say why they do not get on.
            unserved.readiness.refuse("no answer")
            status, error = await unserved.call("ADD", "c2", within_s=300.0)
            assert (status, error["code"]) == (1, 11)
            assert "stopped before it could serve" in error["msg"]
            assert "will try again" in error["msg"]
        assert b'"code":11' in await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_a_daemon_that_was_ready_serves_on_when_it_is_stopped(served: Served) -> None:
    """Whoever has connected gets what was asked for."""
    # docs/decisions/0021
    served.node.add_pod(interfaces=[{"network": "internal", "ip": "dynamic"}])
    served.readiness.end()
    assert (await served.call("ADD"))[0] == 0


async def test_who_has_connected_is_answered(unserved: Served) -> None:
    """Also who is still in the kernel's queue when danmd is told to stop."""
    # docs/decisions/0021
    frame = unserved.frame("STATUS", deadline_ns=time.monotonic_ns() + 5_000_000_000)
    with socket.socket(socket.AF_UNIX) as caller:
        async with unserved.server():
            # Nothing is awaited here, so danmd had no turn to accept it.
            caller.connect(str(unserved.path))
            caller.sendall(frame)
        assert decode_answer_head(caller.recv(ANSWER_HEAD_BYTES)) == (0, 0)


async def test_no_call_fails_while_one_danmd_follows_another(unserved: Served) -> None:
    """Who comes between two is served by the second."""
    # docs/decisions/0021
    calls = 0
    last = asyncio.Event()

    async def call_on() -> None:
        nonlocal calls
        while not last.is_set():
            assert await unserved.call("STATUS", patience_s=20.0) == (0, None)
            calls += 1

    async with asyncio.TaskGroup() as tasks:
        callers = [tasks.create_task(call_on()) for _ in range(8)]
        for _ in range(10):
            enough = calls + 20

            def has_served(enough: int = enough) -> bool:
                return calls > enough

            async with unserved.server():
                await unserved.node.until(has_served)
        last.set()
        async with unserved.server():
            await asyncio.wait(callers)


async def test_status_fails_only_before_the_first_readiness(served: Served) -> None:
    """STATUS is an error until danmd has once been ready since boot, and never afterwards."""
    # DESIGN, "An ADD", step 9
    served.readiness.refuse("still reading")
    assert await served.call("STATUS") == (0, None)
    served.path.with_name("ready").unlink()
    assert (await served.call("STATUS"))[1]["code"] == 50


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
    frame = served.frame("ADD", deadline_ns=0)
    _, writer = await asyncio.open_unix_connection(served.path)
    writer.write(frame)
    await writer.drain()
    await gate.reached.wait()
    writer.close()
    await writer.wait_closed()
    await served.node.end_pod()
    gate.open()
    await served.node.until(lambda: not served.node.leftovers())
