"""What the executables answer by themselves: danmd is away, or is not needed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cni.executables import call_executable, install_executables
from tests.cni.strict import (
    Outcome,
    read_error,
    read_ipam_result,
    read_nothing,
    read_versions,
)
from tests.cni.table import SINCE, VERBS, VERSIONS, has

Call = Callable[..., Outcome]

# An address of a DanmNet, which comes from danmd, and one that is given.
ASKED: dict[str, Any] = {"type": "fakeipam", "network": "lan"}
GIVEN: dict[str, dict[str, Any]] = {
    "v4": {
        "ip": "192.0.2.7",
        "subnet": "192.0.2.0/24",
        "gateway": "192.0.2.1",
        "routes": [{"dst": "0.0.0.0/0", "gw": "192.0.2.1"}, {"dst": "198.51.100.0/24"}],
    },
    "v6": {
        "ip": "2001:db8::7",
        "subnet": "2001:db8::/64",
        "gateway": "2001:db8::1",
        "routes": [{"dst": "::/0", "gw": "2001:db8::1"}],
    },
}


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have the executables in a directory."""
    directory = tmp_path_factory.mktemp("plugins")
    install_executables(directory)
    return directory


@pytest.fixture()
def call(plugins: Path, tmp_path: Path) -> Call:
    """Return what calls an executable on a node whose danmd is away."""

    def body(
        verb: str, version: str, *, executable: str = "danm", ipam: dict[str, Any] | None = None
    ) -> Outcome:
        variables = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": "/run/netns/x",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(plugins),
            "DANM_SOCKET": f"{tmp_path}/danmd.sock",
            "DANM_READY_MARKER": f"{tmp_path}/ready",
            "DANM_TOMBSTONES": f"{tmp_path}/danm",
            "DANM_FAKEIPAM_TOMBSTONES": f"{tmp_path}/fakeipam",
        }
        config = {"cniVersion": version, "name": "n", "type": "danm", "ipam": ipam or {}}
        stdin = json.dumps(config).encode()
        return call_executable(plugins / executable, variables, stdin)

    return body


@pytest.mark.parametrize("executable", ["danm", "fakeipam"])
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("version", VERSIONS)
def test_danmd_is_away(
    call: Call, tmp_path: Path, version: str, verb: str, executable: str
) -> None:
    """To be tried again; DEL is kept; STATUS fails only until danmd was ready once since boot."""
    # SPEC C4, C6
    outcome = call(verb, version, executable=executable, ipam=ASKED)
    if not has(version, verb):
        read_error(outcome, version, code=1, names=[verb, version, SINCE[verb]])
        return
    match verb:
        case "VERSION":
            read_versions(outcome, version)
        case "DEL":
            read_nothing(outcome)
            (kept,) = (tmp_path / executable).iterdir()
            assert kept.name.startswith("c1")
        case "STATUS":
            read_error(outcome, version, code=50, names=["danm-cni"])
            (tmp_path / "ready").touch()
            read_nothing(call(verb, version, executable=executable, ipam=ASKED))
        case _:
            read_error(outcome, version, code=11, names=["danm-cni"])
    assert verb == "DEL" or not (tmp_path / executable).exists()


@pytest.mark.parametrize("family", GIVEN)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("version", VERSIONS)
def test_fakeipam_prints_a_given_address(call: Call, version: str, verb: str, family: str) -> None:
    """An address that the configuration names needs no danmd, in any version."""  # SPEC F1
    ipam = {"type": "fakeipam", **GIVEN[family]}
    outcome = call(verb, version, executable="fakeipam", ipam=ipam)
    if not has(version, verb):
        read_error(outcome, version, code=1, names=[verb, version, SINCE[verb]])
    elif verb == "VERSION":
        read_versions(outcome, version)
    elif verb != "ADD":
        read_nothing(outcome)
    else:
        result = read_ipam_result(outcome, version)
        length = ipam["subnet"].partition("/")[2]
        told = result["ips"][0] if "ips" in result else result[f"ip{family[1]}"]
        assert told.get("address", told.get("ip")) == f"{ipam['ip']}/{length}"
        assert told["gateway"] == ipam["gateway"]
        assert told.get("routes", result.get("routes")) == ipam["routes"]
