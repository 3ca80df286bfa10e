"""The journal across crashes."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from danm_api.names import ContainerId, InterfaceName, PodUid
from danm_cni.journal import (
    InterfaceKind,
    InterfaceRecord,
    Journal,
    PluginCall,
    SandboxRecord,
    SandboxState,
)
from danm_cni.request import CniRequest, decode_request
from danm_cni.tombstones import Tombstones


def _record(container_id: str = "c1", **changes: object) -> SandboxRecord:
    record = SandboxRecord(
        container_id=container_id,
        namespace="ns",
        pod="pod",
        pod_uid="uid",
        netns="/run/netns/x",
        state=SandboxState.ADDING,
        interfaces=tuple(
            InterfaceRecord(
                interface=f"eth{number}", kind=InterfaceKind.DELEGATE, network="n", reserved=True
            )
            for number in range(16)
        ),
    )
    return msgspec.structs.replace(record, **changes)


def _loaded(directory: Path) -> Journal:
    journal = Journal(directory)
    journal.load()
    return journal


async def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    """A record survives, with bytes that are no text."""
    call = PluginCall(type="bridge", config=b'{"a":\xff}')
    record = _record(result=b"\x00\xff", interfaces=(_record().interfaces[0],))
    record = msgspec.structs.replace(
        record, interfaces=(msgspec.structs.replace(record.interfaces[0], calls=(call,)),)
    )
    await _loaded(tmp_path).put(record)
    journal = _loaded(tmp_path)
    assert record == journal.get(ContainerId("c1"))
    assert (record,) == tuple(journal.of_pod(PodUid("uid")))
    await journal.forget(ContainerId("c1"))
    assert tuple(_loaded(tmp_path).records()) == ()


@pytest.mark.parametrize("step", ["put", "forget"])
async def test_memory_knows_what_the_disk_knows(tmp_path: Path, step: str) -> None:
    """A caller that is cancelled while its write is under way leaves one truth, not two."""
    journal = _loaded(tmp_path)
    if step == "forget":
        await journal.put(_record())
    work = journal.put(_record()) if step == "put" else journal.forget(ContainerId("c1"))
    task = asyncio.create_task(work)
    # It has started its thread.
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert tuple(_loaded(tmp_path).records()) == tuple(journal.records())
    assert len(journal.records()) == (1 if step == "put" else 0)


async def test_parallel_changes_all_reach_the_disk(tmp_path: Path) -> None:
    """Sixteen interfaces that note their calls at once lose none of them."""
    journal = _loaded(tmp_path)
    await journal.put(_record())

    async def note(number: int) -> None:
        call = PluginCall(type=f"plugin{number}", config=b"{}")
        await journal.change(
            ContainerId("c1"),
            InterfaceName(f"eth{number}"),
            lambda each: msgspec.structs.replace(each, calls=(call,)),
        )

    await asyncio.gather(*(note(number) for number in range(16)))
    stored = _loaded(tmp_path).existing(ContainerId("c1"))
    assert [f"plugin{number}" for number in range(16)] == [
        call.type for each in stored.interfaces for call in each.calls
    ]


@pytest.mark.parametrize("length", [0, 1, 50, 300])
async def test_a_write_that_was_cut_off_changes_nothing(tmp_path: Path, length: int) -> None:
    """A process killed while it wrote leaves the record before, and no rubbish."""
    journal = _loaded(tmp_path)
    await journal.put(_record())
    newer = msgspec.json.encode(_record(state=SandboxState.ADDED))
    (tmp_path / ".c1.json.999").write_bytes(newer[:length])
    journal = _loaded(tmp_path)
    assert journal.existing(ContainerId("c1")).state == SandboxState.ADDING
    assert ["c1.json"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("data", [b'{"container_id":', b'{"container_id":"\xff"}', b"[" * 100_000])
async def test_a_broken_file_is_set_aside(tmp_path: Path, data: bytes) -> None:
    """A record that a broken disk made unreadable stops nothing and is kept for people."""
    journal = _loaded(tmp_path)
    await journal.put(_record("good"))
    (tmp_path / "bad.json").write_bytes(data)
    journal = _loaded(tmp_path)
    assert ["good"] == [each.container_id for each in journal.records()]
    assert (tmp_path / "bad.json.unreadable").exists()


async def test_fields_of_a_later_release_are_no_error(tmp_path: Path) -> None:
    """After a downgrade danmd still reads what the later release wrote."""
    journal = _loaded(tmp_path)
    await journal.put(_record())
    path = tmp_path / "c1.json"
    path.write_bytes(b'{"new_field":1,' + path.read_bytes()[1:])
    assert _loaded(tmp_path).get(ContainerId("c1")) is not None


_OWN = InterfaceRecord(interface="eth0", kind=InterfaceKind.OWN, network="n", reserved=True)
_BY_PLUGIN = InterfaceRecord(interface="net1", kind=InterfaceKind.DELEGATE, network="m")
_CALL = PluginCall(type="macvlan", config=b"{}")


@pytest.mark.parametrize(
    ("state", "interfaces", "kept"),
    [
        pytest.param(SandboxState.ADDING, (_OWN, _BY_PLUGIN), True, id="a plugin is to make one"),
        pytest.param(SandboxState.ADDED, (_OWN, _BY_PLUGIN), True, id="a plugin has made one"),
        pytest.param(SandboxState.REMOVING, (_BY_PLUGIN,), True, id="it is to remove it"),
        pytest.param(
            SandboxState.ADDED,
            (msgspec.structs.replace(_OWN, calls=(_CALL,)),),
            True,
            id="a plugin made it in a release before",
        ),
        pytest.param(SandboxState.ADDING, (_OWN,), False, id="danmd makes all"),
        pytest.param(SandboxState.ADDED, (), False, id="nothing is made"),
        pytest.param(SandboxState.HELD, (_OWN, _BY_PLUGIN), False, id="addresses are held"),
    ],
)
async def test_the_runtimes_environment_is_kept_for_plugins_alone(
    tmp_path: Path, state: SandboxState, interfaces: tuple[InterfaceRecord, ...], *, kept: bool
) -> None:
    """It may hold a proxy's password: what no plugin is called with any more leaves the disk."""
    environment = {"HTTPS_PROXY": "http://user:secret@proxy.example", "PATH": "/bin"}
    journal = _loaded(tmp_path)
    # It was needed before.
    await journal.put(_record(environment=environment))
    await journal.put(_record(state=state, interfaces=interfaces, environment=environment))
    assert (environment if kept else {}) == _loaded(tmp_path).existing(
        ContainerId("c1")
    ).environment
    assert journal.existing(ContainerId("c1")) == _loaded(tmp_path).existing(ContainerId("c1"))
    assert kept == any(b"secret" in path.read_bytes() for path in tmp_path.iterdir())


async def test_records_are_for_root_alone(tmp_path: Path) -> None:
    """Whatever the process's mask allows: the environment of a plugin's sandbox is in them."""
    before = os.umask(0)
    try:
        journal = _loaded(tmp_path / "new/journal")
        await journal.put(_record())
        tombstones = Tombstones(tmp_path / "new/tombstones")
        await tombstones.put(_del_of("c1"))
    finally:
        os.umask(before)
    for name in ("journal", "tombstones"):
        directory = tmp_path / "new" / name
        (file,) = directory.iterdir()
        assert (directory.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def _del_of(container_id: str) -> CniRequest:
    environment = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": container_id,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
    }
    return decode_request(environment, b'{"cniVersion":"1.1.0","name":"danm","type":"danm"}')
