"""DELs that wait on the disk: as they were left, and what else may lie beside them."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from danm_api.names import ContainerId, InterfaceName
from danm_api.node_frame import encode_request
from danm_api.node_tombstone import write_tombstone
from danm_api.testing.samples import sample
from danm_cni.request import CniRequest, Program, decode_request
from danm_cni.tombstones import Tombstones

_ENVIRONMENT = {
    "CNI_COMMAND": "DEL",
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/x",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
    "CNI_ARGS": "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p",
}
_CONFIG = b'{"cniVersion":"1.1.0","name":"danm","type":"danm","odd":1.50}'


def _request(container_id: str = "c1", **change: str) -> CniRequest:
    environment = {**_ENVIRONMENT, "CNI_CONTAINERID": container_id, **change}
    return decode_request(environment, _CONFIG)


async def test_a_del_comes_back_as_it_was(tmp_path: Path) -> None:
    """Variables and configuration, byte for byte, also after a restart."""
    request = _request(ODD="\u00e4")
    await Tombstones(tmp_path).put(request)
    (found,) = await Tombstones(tmp_path).waiting()
    assert found.request == request
    assert found.path == tmp_path / "c1"


async def test_what_the_executable_leaves_is_read(tmp_path: Path) -> None:
    """It writes its own request, and makes the directory where danmd never was."""
    directory = tmp_path / "a/b"
    block = b"\0".join(f"{key}={value}".encode() for key, value in _ENVIRONMENT.items())
    # One of the release before forwards what is no UTF-8; the DEL is done all the same.
    block += b"\0CNI_ODD=\xff"
    frame = encode_request(program=1, deadline_ns=7, environment=block, stdin=_CONFIG)
    write_tombstone(str(directory), "c1", frame)
    (found,) = await Tombstones(directory).waiting()
    assert found.request == _request()


async def test_a_container_s_tombstone_is_seen_at_once(tmp_path: Path) -> None:
    """Executables write without danmd; a removed one stays removed, and again is no error."""
    tombstones = Tombstones(tmp_path)
    assert not tombstones.has(ContainerId("c1"))
    await Tombstones(tmp_path).put(_request())
    assert tombstones.has(ContainerId("c1"))
    assert not tombstones.has(ContainerId("c2"))
    for _ in range(2):
        await tombstones.remove(tmp_path / "c1")
    assert not tombstones.has(ContainerId("c1"))


async def test_each_del_of_a_container_is_one(tmp_path: Path) -> None:
    """A runtime that asks again leaves nothing more."""
    tombstones = Tombstones(tmp_path)
    for _ in range(2):
        await tombstones.put(_request())
    await tombstones.put(_request("c2"))
    assert ["c1", "c2"] == [each.request.container_id for each in await tombstones.waiting()]


async def test_fakeipam_has_one_for_each_interface(tmp_path: Path) -> None:
    """Plugins call it for one interface of a container at a time."""
    tombstones = Tombstones(tmp_path, program=Program.FAKEIPAM)
    for name in ("net1", "net2"):
        await tombstones.put(replace(_request(CNI_IFNAME=name), interface=InterfaceName(name)))
    found = await tombstones.waiting()
    assert [("c1", "net1"), ("c1", "net2")] == [
        (each.request.container_id, each.request.interface) for each in found
    ]
    assert tombstones.path(_request(CNI_IFNAME="net1")) == found[0].path


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"rubbish", id="rubbish"),
        pytest.param(
            encode_request(program=9, deadline_ns=0, environment=b"", stdin=b"{}"), id="program"
        ),
        pytest.param(
            encode_request(program=1, deadline_ns=0, environment=b"", stdin=b"{}"), id="no verb"
        ),
        pytest.param(
            encode_request(
                program=1,
                deadline_ns=0,
                environment=b"CNI_COMMAND=DEL\0CNI_CONTAINERID=../x\0CNI_IFNAME=eth0",
                stdin=b"{}",
            ),
            id="a path for an id",
        ),
        pytest.param(
            encode_request(
                program=1,
                deadline_ns=0,
                environment=b"CNI_COMMAND=DEL\0CNI_CONTAINERID=bad\0CNI_IFNAME=eth0",
                stdin=b'{"cniVersion":"\xff"}',
            ),
            id="no UTF-8",
        ),
        pytest.param(
            encode_request(program=1, deadline_ns=0, environment=b"A=b", stdin=b"{}")[:-1],
            id="cut off",
        ),
    ],
)
async def test_what_is_no_del_is_removed(tmp_path: Path, data: bytes) -> None:
    """It stops nobody, and does not come again."""
    tombstones = Tombstones(tmp_path)
    await tombstones.put(_request("good"))
    (tmp_path / "bad").write_bytes(data)
    assert ["good"] == [each.request.container_id for each in await tombstones.waiting()]
    assert ["good"] == [each.name for each in tmp_path.iterdir()]


async def test_what_cannot_be_read_stops_nobody(tmp_path: Path) -> None:
    """A directory, a file that is being written, and one that is gone by now: others go on."""
    tombstones = Tombstones(tmp_path)
    await tombstones.put(_request("good"))
    (tmp_path / "a-directory").mkdir()
    (tmp_path / ".c1.77").write_bytes(b"half a")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert ["good"] == [each.request.container_id for each in await tombstones.waiting()]
    assert (tmp_path / ".c1.77").exists()
    assert sample("danmd_tombstones", program="danm") == 1


async def test_what_a_crash_cut_off_is_removed(tmp_path: Path) -> None:
    """A file that nobody goes on writing does not stay for ever; one that is new does."""
    # DESIGN P2
    moment = time.time()
    tombstones = Tombstones(tmp_path, now=lambda: moment)
    for name in (".c1.77", ".c1:net1.78.79", ".new.80"):
        (tmp_path / name).write_bytes(b"half a")
    for cut_off in (".c1.77", ".c1:net1.78.79"):
        os.utime(tmp_path / cut_off, (moment - 601, moment - 601))
    os.utime(tmp_path / ".new.80", (moment - 599, moment - 599))
    assert await tombstones.waiting() == []
    assert [".new.80"] == [each.name for each in tmp_path.iterdir()]


async def test_the_directory_is_roots_alone(tmp_path: Path) -> None:
    """A DEL holds the runtime's variables, which may be secrets; one that is there stays."""
    for _ in range(2):
        Tombstones(tmp_path / "a/b")
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700


async def test_the_dels_of_each_executable_are_counted(tmp_path: Path) -> None:
    """Until they are done."""
    tombstones = Tombstones(tmp_path, program=Program.FAKEIPAM)
    request = _request(CNI_IFNAME="net1")
    await tombstones.put(request)
    await tombstones.waiting()
    assert sample("danmd_tombstones", program="fakeipam") == 1
    await tombstones.remove(tombstones.path(request))
    await tombstones.waiting()
    assert sample("danmd_tombstones", program="fakeipam") == 0


async def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    """The DEL must not be answered with success then (error 11: the runtime tries again)."""
    tombstones = Tombstones(tmp_path / "x")
    (tmp_path / "x").rmdir()
    (tmp_path / "x").write_text("no directory")
    with pytest.raises(OSError, match="Not a directory"):
        await tombstones.put(_request())
