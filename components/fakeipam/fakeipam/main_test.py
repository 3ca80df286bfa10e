"""Calls that ask the node daemon, with and without one."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from danm_api import node_call
from danm_api.node_call import PATIENCE_NS
from danm_api.node_frame import PROGRAM_FAKEIPAM, decode_request, encode_answer
from danm_api.testing.hangs import HANGS_S
from fakeipam.answer import SUPPORTED_VERSIONS
from fakeipam.main import answer_call


def config(version: str = "1.1.0", **ipam: object) -> bytes:
    """Return a configuration that asks for an address of a DanmNet."""
    section = {"type": "fakeipam", "network": "lan", **ipam}
    return json.dumps(
        {"cniVersion": version, "name": "n", "type": "bridge", "ipam": section}
    ).encode()


def environment(directory: Path, verb: str, **changes: str) -> dict[bytes, bytes]:
    """Return the environment of a call whose files all lie in a directory."""
    values = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": "c1",
        "CNI_IFNAME": "eth0",
        "DANM_SOCKET": str(directory / "danmd.sock"),
        "DANM_FAKEIPAM_TOMBSTONES": str(directory / "tombstones"),
        "DANM_READY_MARKER": str(directory / "ready"),
        **changes,
    }
    return {key.encode(): value.encode() for key, value in values.items()}


def call(directory: Path, verb: str, stdin: bytes, **changes: str) -> tuple[int, Any]:
    """Return exit status and what was printed."""
    status, output = answer_call(environment(directory, verb, **changes), stdin)
    return status, json.loads(output) if output else None


def test_a_call_is_forwarded_as_it_is(tmp_path: Path) -> None:
    """Environment, input and answer pass unchanged."""  # SPEC F2
    seen: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "danmd.sock"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(1 << 16))
                connection.sendall(encode_answer(status=0, stdout=b'{"result":1}'))

        thread = threading.Thread(target=serve)
        thread.start()
        answer = call(tmp_path, "ADD", config())
        thread.join(timeout=HANGS_S)
    assert answer == (0, {"result": 1})
    program, deadline_ns, block, stdin = decode_request(seen[0])
    assert (program, stdin) == (PROGRAM_FAKEIPAM, config())
    assert deadline_ns > 0
    assert b"CNI_IFNAME=eth0" in block.split(b"\0")


@pytest.mark.parametrize(
    ("verb", "version"),
    [
        *(("ADD", version) for version in SUPPORTED_VERSIONS),
        *(("CHECK", version) for version in SUPPORTED_VERSIONS if version >= "0.4.0"),
        ("GC", "1.1.0"),
    ],
)
def test_without_a_daemon_the_caller_is_told_to_try_again(
    tmp_path: Path, verb: str, version: str
) -> None:
    """Danmd away: error 11 in the version asked for, with a sentence that says where to look."""
    status, error = call(tmp_path, verb, config(version))
    assert (status, error["code"], error["cniVersion"]) == (1, 11, version)
    assert "danm-cni" in error["msg"]


@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
def test_an_add_waits_for_a_daemon_that_was_there(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is being replaced; before the first one, and for other verbs, nobody waits."""
    # docs/decisions/0021
    waits: list[int] = []

    def call_daemon(
        path: str, request: bytes, *, deadline_ns: int, patience_ns: int
    ) -> tuple[int, bytes]:
        del path, request, deadline_ns
        waits.append(patience_ns)
        return 0, b""

    monkeypatch.setattr(node_call, "call_daemon", call_daemon)
    call(tmp_path, verb, config())
    (tmp_path / "ready").write_bytes(b"")
    call(tmp_path, verb, config())
    assert waits == [0, PATIENCE_NS if verb == "ADD" else 0]


def test_an_ip_elsewhere_does_not_name_the_address(tmp_path: Path) -> None:
    """What looks like a given address is read, and goes to danmd when it is none."""
    asked = json.loads(config()) | {"runtime": {"ip": "10.0.0.9"}}
    status, error = call(tmp_path, "ADD", json.dumps(asked).encode())
    assert (status, error["code"]) == (1, 11)
    assert "No such file" in error["details"]


def test_without_a_daemon_a_del_is_kept(tmp_path: Path) -> None:
    """A DEL succeeds, and its request lies in a file of that container and interface."""
    # SPEC C4, F2
    assert call(tmp_path, "DEL", config()) == (0, None)
    assert call(tmp_path, "DEL", config(), CNI_IFNAME="net1") == (0, None)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "tombstones").iterdir()}
    assert set(kept) == {"c1:eth0", "c1:net1"}
    program, _, block, stdin = decode_request(kept["c1:net1"])
    assert (program, stdin) == (PROGRAM_FAKEIPAM, config())
    assert b"CNI_IFNAME=net1" in block.split(b"\0")


def test_a_del_that_cannot_be_kept_fails(tmp_path: Path) -> None:
    """Success is never told when nothing was kept."""
    (tmp_path / "tombstones").write_bytes(b"")
    status, error = call(tmp_path, "DEL", config())
    assert (status, error["code"]) == (1, 11)


def test_status_fails_only_before_the_first_readiness(tmp_path: Path) -> None:
    """STATUS is an error until danmd has once been ready since boot, and never afterwards."""
    status, error = call(tmp_path, "STATUS", config())
    assert (status, error["code"]) == (1, 50)
    (tmp_path / "ready").write_bytes(b"")
    assert call(tmp_path, "STATUS", config()) == (0, None)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"CNI_CONTAINERID": ""}, id="no container"),
        pytest.param({"CNI_CONTAINERID": "../x"}, id="path for a container"),
        pytest.param({"CNI_IFNAME": ""}, id="no interface"),
        pytest.param({"CNI_IFNAME": "../../x"}, id="path for an interface"),
    ],
)
@pytest.mark.parametrize("verb", ["ADD", "DEL", "CHECK"])
def test_what_names_no_attachment_is_refused(
    tmp_path: Path, verb: str, changes: dict[str, str]
) -> None:
    """Error 4, and no file anywhere."""
    status, error = call(tmp_path, verb, config(), **changes)
    assert (status, error["code"]) == (1, 4)
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_given_needs_no_daemon(tmp_path: Path) -> None:
    """With ipam.ip fakeipam prints it, whatever network is named."""  # SPEC F1
    status, answer = call(tmp_path, "ADD", config(ip="10.0.0.4", subnet="10.0.0.0/24"))
    assert (status, answer["ips"]) == (0, [{"address": "10.0.0.4/24"}])


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        ("ADD", "CNI_IFNAME"),
        ("ADD", "CNI_NETNS"),
        ("ADD", "CNI_PATH"),
        ("ADD", "CNI_CONTAINERID"),
        *((verb, "CNI_ARGS") for verb in ("ADD", "DEL", "CHECK", "GC", "STATUS")),
    ],
)
@pytest.mark.parametrize(
    "stdin",
    [
        pytest.param(config(), id="network"),
        pytest.param(config(ip="10.0.0.4", subnet="10.0.0.0/24"), id="address"),
    ],
)
def test_bytes_that_are_no_utf8_are_error_4(
    tmp_path: Path, verb: str, name: str, stdin: bytes
) -> None:
    """The executable as a process prints one JSON object that names the variable once."""
    # CNI specification, "Error"
    variables = {**environment(tmp_path, verb), name.encode(): b"a\xe9\xff"}
    done = _run(variables, stdin)
    error = json.loads(done.stdout)
    assert (done.returncode, error["code"], error["cniVersion"]) == (1, 4, "1.1.0")
    assert error["msg"].count(name) == 1
    assert done.stderr == b""
    assert list(tmp_path.iterdir()) == []


def test_directories_need_not_be_utf8(tmp_path: Path) -> None:
    """The names of files are bytes, and where the tombstones are is nobody else's business."""
    directory = os.fsencode(tmp_path) + b"/\xff"
    variables = {**environment(tmp_path, "DEL"), b"DANM_FAKEIPAM_TOMBSTONES": directory}
    done = _run({**variables, b"DANM_SOCKET": directory}, config())
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert os.listdir(directory) == [b"c1:eth0"]


def _run(variables: dict[bytes, bytes], stdin: bytes) -> "subprocess.CompletedProcess[bytes]":
    path = os.fsencode(os.pathsep.join(sys.path))
    return subprocess.run(
        [sys.executable, "-S", "-c", "from fakeipam.main import main; raise SystemExit(main())"],
        input=stdin,
        env={**variables, b"PYTHONPATH": path},
        capture_output=True,
        check=False,
    )
