"""One call of the executable, with and without a daemon."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from danm_api import node_call
from danm_api.node_call import PATIENCE_NS
from danm_api.node_frame import PROGRAM_DANM, decode_request, encode_answer
from danm_api.testing.hangs import HANGS_S
from danm_cni.shim.main import answer_call

CONFIG = b'{"cniVersion":"1.1.0","name":"danm","type":"danm"}'


def environment(tmp_path: Path, verb: str) -> dict[bytes, bytes]:
    """Return the environment of a call whose files all lie under ``tmp_path``."""
    return {
        b"CNI_COMMAND": verb.encode(),
        b"CNI_CONTAINERID": b"c1",
        b"CNI_NETNS": b"/run/netns/x",
        b"CNI_IFNAME": b"eth0",
        b"DANM_SOCKET": str(tmp_path / "danmd.sock").encode(),
        b"DANM_TOMBSTONES": str(tmp_path / "tombstones").encode(),
        b"DANM_READY_MARKER": str(tmp_path / "ready").encode(),
    }


def test_a_call_is_forwarded_as_it_is(tmp_path: Path) -> None:
    """Environment, input and answer pass unchanged."""  # SPEC C1
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
        answer = answer_call(environment(tmp_path, "ADD"), CONFIG)
        thread.join(timeout=HANGS_S)
    assert answer == (0, b'{"result":1}')
    program, deadline_ns, block, stdin = decode_request(seen[0])
    assert (program, stdin) == (PROGRAM_DANM, CONFIG)
    assert deadline_ns > 0
    assert b"CNI_COMMAND=ADD" in block.split(b"\0")


@pytest.mark.parametrize("verb", ["ADD", "CHECK", "GC"])
def test_without_a_daemon_the_runtime_is_told_to_try_again(tmp_path: Path, verb: str) -> None:
    """Danmd away: error 11, with a sentence that says where to look."""
    status, output = answer_call(environment(tmp_path, verb), CONFIG)
    error = json.loads(output)
    assert status == 1
    assert error["code"] == 11
    assert error["cniVersion"] == "1.1.0"
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
    answer_call(environment(tmp_path, verb), CONFIG)
    (tmp_path / "ready").write_bytes(b"")
    answer_call(environment(tmp_path, verb), CONFIG)
    assert waits == [0, PATIENCE_NS if verb == "ADD" else 0]


@pytest.mark.parametrize(
    ("verb", "version"), [("CHECK", "0.3.1"), ("GC", "1.0.0"), ("STATUS", "1.0.0")]
)
def test_without_a_daemon_a_verb_that_came_later_is_refused(
    tmp_path: Path, verb: str, version: str
) -> None:
    """To try again would never help: error 1, in the version asked for."""  # SPEC C2
    config = CONFIG.replace(b"1.1.0", version.encode())
    status, output = answer_call(environment(tmp_path, verb), config)
    error = json.loads(output)
    assert (status, error["code"], error["cniVersion"]) == (1, 1, version)
    assert verb in error["msg"]


def test_without_a_daemon_a_del_is_kept(tmp_path: Path) -> None:
    """DEL succeeds, and the daemon finds a tombstone with the whole request."""  # SPEC C4
    assert answer_call(environment(tmp_path, "DEL"), CONFIG) == (0, b"")
    _, _, block, stdin = decode_request((tmp_path / "tombstones" / "c1").read_bytes())
    assert stdin == CONFIG
    assert b"CNI_CONTAINERID=c1" in block.split(b"\0")


def test_a_del_that_cannot_be_kept_fails(tmp_path: Path) -> None:
    """A disk that refuses the tombstone: error 11, so that the runtime repeats the DEL."""
    (tmp_path / "tombstones").write_bytes(b"")
    status, output = answer_call(environment(tmp_path, "DEL"), CONFIG)
    assert (status, json.loads(output)["code"]) == (1, 11)


def test_status_fails_only_until_the_daemon_was_once_ready(tmp_path: Path) -> None:
    """A daemon that dies later does not make the node NotReady."""  # SPEC C6
    status, output = answer_call(environment(tmp_path, "STATUS"), CONFIG)
    assert (status, json.loads(output)["code"]) == (1, 50)
    (tmp_path / "ready").write_bytes(b"")
    assert answer_call(environment(tmp_path, "STATUS"), CONFIG) == (0, b"")


@pytest.mark.parametrize(
    ("verb", "changes", "names"),
    [
        pytest.param("", {}, ["CNI_COMMAND"], id="no verb"),
        pytest.param("UPDATE", {}, ["CNI_COMMAND"], id="unknown verb"),
        pytest.param("DEL", {"CNI_CONTAINERID": "../x"}, ["CNI_CONTAINERID"], id="id is a path"),
        pytest.param("DEL", {"CNI_IFNAME": ""}, ["CNI_IFNAME"], id="no interface"),
        pytest.param("ADD", {"CNI_NETNS": ""}, ["CNI_NETNS"], id="no namespace"),
        pytest.param(
            "CHECK",
            {"CNI_CONTAINERID": "", "CNI_IFNAME": "a/b", "CNI_NETNS": ""},
            ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"],
            id="all are named",
        ),
    ],
)
def test_a_bad_environment_is_error_4(
    tmp_path: Path, verb: str, changes: dict[str, str], names: list[str]
) -> None:
    """Nothing is forwarded or written for a call that cannot be right."""
    changed = {key.encode(): value.encode() for key, value in changes.items()}
    status, output = answer_call({**environment(tmp_path, verb), **changed}, CONFIG)
    error = json.loads(output)
    assert (status, error["code"]) == (1, 4)
    assert all(name in error["msg"] for name in names)
    assert list(tmp_path.iterdir()) == []


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
def test_bytes_that_are_no_utf8_are_error_4(tmp_path: Path, verb: str, name: str) -> None:
    """The executable as a process prints one JSON object that names the variable once."""
    # CNI specification, "Error"; SPEC C2
    variables = {**environment(tmp_path, verb), name.encode(): b"a\xe9\xff"}
    done = _run(variables)
    error = json.loads(done.stdout)
    assert (done.returncode, error["code"], error["cniVersion"]) == (1, 4, "1.1.0")
    assert error["msg"].count(name) == 1
    assert done.stderr == b""
    assert list(tmp_path.iterdir()) == []


def test_directories_need_not_be_utf8(tmp_path: Path) -> None:
    """The names of files are bytes, and where the tombstones are is nobody else's business."""
    directory = os.fsencode(tmp_path) + b"/\xff"
    variables = {**environment(tmp_path, "DEL"), b"DANM_TOMBSTONES": directory}
    done = _run({**variables, b"DANM_SOCKET": directory})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert os.listdir(directory) == [b"c1"]


def _run(variables: dict[bytes, bytes]) -> "subprocess.CompletedProcess[bytes]":
    path = os.fsencode(os.pathsep.join(sys.path))
    return subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            "from danm_cni.shim.main import main; raise SystemExit(main())",
        ],
        input=CONFIG,
        env={**variables, b"PYTHONPATH": path},
        capture_output=True,
        check=False,
    )


def test_version_needs_no_daemon(tmp_path: Path) -> None:
    """VERSION is answered by the executable itself."""
    status, output = answer_call(environment(tmp_path, "VERSION"), CONFIG)
    assert status == 0
    assert json.loads(output)["cniVersion"] == "1.1.0"
