"""What the executables import: each module costs time at every call for every Pod."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import danm_cni.shim.main
import fakeipam.main
from danm_api.node_frame import encode_answer
from tests.cni.executables import source_roots

# Built into the interpreter. The standard json brings re along and takes longer than all of these.
_BUILT_IN = {"_socket", "posix", "time"}
_OF_BOTH = {
    "danm_api.node_call",
    "danm_api.node_frame",
}
_VERBS = ("ADD", "DEL", "CHECK", "STATUS", "GC")


def _config(version: str, **ipam: str) -> bytes:
    return json.dumps({"cniVersion": version, "name": "n", "type": "t", "ipam": ipam}).encode()


# Import statements are seen whether or not this interpreter has loaded the module for itself.
_PROGRAM = """
import builtins, sys
sys.path[:0] = {roots!r}
seen, plain_import = set(), builtins.__import__

def recorded(name, *others, **more):
    seen.add(name)
    return plain_import(name, *others, **more)

builtins.__import__ = recorded
from {module} import answer_call
for verb in {verbs!r}:
    for stdin in {inputs!r}:
        answer_call({{**{variables!r}, b"CNI_COMMAND": verb.encode()}}, stdin)
builtins.__import__ = plain_import
print(*seen)
"""


def _imported(module: ModuleType, directory: Path, **calls: object) -> set[str]:
    """Return what the module and its calls import, with danmd's files in a directory."""
    variables = {
        b"CNI_CONTAINERID": b"c1",
        b"CNI_NETNS": b"/run/netns/x",
        b"CNI_IFNAME": b"eth0",
        b"DANM_SOCKET": str(directory / "danmd.sock").encode(),
        b"DANM_TOMBSTONES": str(directory / "tombstones").encode(),
        b"DANM_READY_MARKER": str(directory / "ready").encode(),
    }
    program = _PROGRAM.format(
        roots=source_roots(module), module=module.__name__, variables=variables, **calls
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", program], capture_output=True, text=True, check=True
    )
    # This interpreter opens the sources with `_io`; those of the static one are in it.
    return set(done.stdout.split()) - {"_io"}


@contextmanager
def _a_daemon(path: Path) -> Iterator[list[bytes]]:
    """Answer every request with nothing; gives what was sent."""
    seen: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for _ in _VERBS:
                connection, _ = listener.accept()
                with connection:
                    seen.append(connection.recv(1 << 16))
                    connection.sendall(encode_answer(status=0, stdout=b""))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield seen
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_danm_imports_nothing_heavy(tmp_path: Path) -> None:
    """Neither at the start nor later, whatever is asked: danmd is away, so all is answered here."""
    imported = _imported(
        danm_cni.shim.main,
        tmp_path,
        verbs=("VERSION", *_VERBS, "UPDATE"),
        inputs=(b"", b"{", *(_config(version) for version in ("0.2.0", "1.1.0", "9.9.9"))),
    )
    assert imported == _BUILT_IN | _OF_BOTH | {
        "danm_api.node_tombstone",
        "danm_cni.shim.main",
        "danm_cni.shim.answers",
    }
    assert list(tmp_path.glob("tombstones/*"))


def test_fakeipam_imports_nothing_heavy_to_ask_danmd(tmp_path: Path) -> None:
    """Reading the configuration, which is danmd's work, would take longer than all the rest."""
    inputs = (_config("1.1.0", network="lan"),)
    with _a_daemon(tmp_path / "danmd.sock") as seen:
        imported = _imported(fakeipam.main, tmp_path, verbs=_VERBS, inputs=inputs)
    assert len(seen) == len(_VERBS)
    assert imported == _BUILT_IN | _OF_BOTH | {"fakeipam.main"}
