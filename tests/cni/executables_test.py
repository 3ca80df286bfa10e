"""What the executables import: each module costs time at every call for every Pod."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import danm_cni.shim.main
import fakeipam.main
from tests.cni.executables import source_roots

# Built into the interpreter. The standard json brings re along and takes longer than all of these.
_BUILT_IN = {"_socket", "posix", "time"}
_OF_BOTH = {
    "danm_api.node_call",
    "danm_api.node_frame",
    "danm_api.node_json",
    "danm_api.node_tombstone",
}
_GIVEN = {
    "ip": "2001:db8::7",
    "subnet": "2001:db8::/64",
    "gateway": "2001:db8::1",
    "routes": [{"dst": "::/0", "gw": "2001:db8::1"}],
}
_VERBS = ("VERSION", "ADD", "DEL", "CHECK", "STATUS", "GC", "UPDATE")
_INPUTS = (
    b"",
    b"{",
    *(
        json.dumps({"cniVersion": version, "name": "n", "type": "t", "ipam": ipam}).encode()
        for version in ("0.2.0", "1.1.0", "9.9.9")
        for ipam in ({}, {"network": "lan"}, _GIVEN)
    ),
)
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


@pytest.mark.parametrize(
    ("module", "own"),
    [
        pytest.param(
            danm_cni.shim.main,
            {"danm_cni.shim.main", "danm_cni.shim.answers"},
            id="danm",
        ),
        pytest.param(
            fakeipam.main,
            {
                "fakeipam",
                "fakeipam.main",
                "fakeipam.answer",
                "fakeipam.daemon",
                "fakeipam.json_text",
            },
            id="fakeipam",
        ),
    ],
)
def test_no_call_imports_anything_heavy(tmp_path: Path, module: ModuleType, own: set[str]) -> None:
    """Neither at the start nor later, whatever is asked: danmd is away, so all is answered here."""
    variables = {
        b"CNI_CONTAINERID": b"c1",
        b"CNI_NETNS": b"/run/netns/x",
        b"CNI_IFNAME": b"eth0",
        b"DANM_SOCKET": str(tmp_path / "danmd.sock").encode(),
        b"DANM_TOMBSTONES": str(tmp_path / "tombstones").encode(),
        b"DANM_FAKEIPAM_TOMBSTONES": str(tmp_path / "fakeipam-tombstones").encode(),
        b"DANM_READY_MARKER": str(tmp_path / "ready").encode(),
    }
    program = _PROGRAM.format(
        roots=source_roots(module),
        module=module.__name__,
        verbs=_VERBS,
        inputs=_INPUTS,
        variables=variables,
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", program], capture_output=True, text=True, check=True
    )
    # This interpreter opens the sources with `_io`; those of the static one are in it.
    assert set(done.stdout.split()) - {"_io"} == _BUILT_IN | _OF_BOTH | own
    assert list(tmp_path.glob("*tombstones/*"))
