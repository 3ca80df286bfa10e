"""The journal across crashes."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

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


async def _note_call(journal: Journal, number: int) -> None:
    call = PluginCall(type=f"plugin{number}", config=b"{}")
    await journal.change(
        ContainerId("c1"),
        InterfaceName(f"eth{number}"),
        lambda each: msgspec.structs.replace(each, calls=(call,)),
    )


async def test_parallel_changes_all_reach_the_disk(tmp_path: Path) -> None:
    """Sixteen interfaces that note their calls at once lose none of them."""
    journal = _loaded(tmp_path)
    await journal.put(_record())
    await asyncio.gather(*(_note_call(journal, number) for number in range(16)))
    stored = _loaded(tmp_path).existing(ContainerId("c1"))
    assert [f"plugin{number}" for number in range(16)] == [
        call.type for each in stored.interfaces for call in each.calls
    ]


async def test_a_disk_that_refuses_refuses_every_parallel_change(tmp_path: Path) -> None:
    """Nobody starts a plugin that the disk does not know of, whoever's write was to tell it."""
    # DESIGN, "An ADD", step 7
    directory = tmp_path / "journal"
    journal = _loaded(directory)
    await journal.put(_record())
    shutil.rmtree(directory)
    noted = await asyncio.gather(
        *(_note_call(journal, number) for number in range(16)), return_exceptions=True
    )
    assert [type(each) for each in noted] == [FileNotFoundError] * 16


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


async def test_what_the_disk_does_not_give_stops_no_start(tmp_path: Path) -> None:
    """One record that cannot be read, or what is no file at all, keeps no Pod from its ADD."""
    journal = _loaded(tmp_path)
    await journal.put(_record("good"))
    (tmp_path / "bad.json").mkdir()
    (tmp_path / ".bad").mkdir()
    assert ["good"] == [each.container_id for each in _loaded(tmp_path).records()]


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


async def test_memory_does_not_know_what_the_disk_refuses(tmp_path: Path) -> None:
    """What could not be written is not so: the caller is told, and the record stays as it was."""
    directory = tmp_path / "journal"
    journal = _loaded(directory)
    await journal.put(_record())
    directory.rename(tmp_path / "away")
    with pytest.raises(OSError, match="No such file"):
        await journal.put(_record(state=SandboxState.ADDED))
    (tmp_path / "away").rename(directory)
    assert journal.existing(ContainerId("c1")).state is SandboxState.ADDING
    assert tuple(_loaded(directory).records()) == tuple(journal.records())


async def test_an_attempt_is_of_the_interfaces_that_it_was_sent_for(tmp_path: Path) -> None:
    """A claim of one interface leaves the others' as they were; a plugin's own has none."""
    interfaces = (
        _OWN,
        msgspec.structs.replace(_OWN, interface="eth1", attempt=3),
        _BY_PLUGIN,
    )
    journal = _loaded(tmp_path)
    await journal.put(_record(interfaces=interfaces))
    journal.remember_attempt(ContainerId("c1"), {"eth0", "net1"}, 7)
    record = journal.existing(ContainerId("c1"))
    assert {"eth0": 7, "eth1": 3, "net1": 0} == {
        each.interface: each.attempt for each in record.interfaces
    }


def test_the_last_adds_are_remembered(tmp_path: Path) -> None:
    """A bounded number of them; one that comes again counts as new."""
    journal = _loaded(tmp_path)
    for number in range(5000):
        journal.note_add(ContainerId(f"c{number}"))
    assert journal.saw_add(ContainerId("c0"))
    journal.note_add(ContainerId("c0"))
    journal.note_add(ContainerId("new"))
    seen = {name: journal.saw_add(ContainerId(name)) for name in ("c0", "c1", "c2", "new")}
    assert {"c0": True, "c1": False, "c2": True, "new": True} == seen


@pytest.mark.parametrize(
    ("changes", "interface", "expected"),
    [
        pytest.param({}, "eth0", False, id="its own"),
        pytest.param({}, "net1", True, id="another ADD's"),
        pytest.param({"state": SandboxState.ADDING}, "net1", False, id="half made"),
        pytest.param({"state": SandboxState.HELD}, "net1", False, id="gone"),
        # Which ADD it was DanmEps do not tell.
        pytest.param({"adopted": True}, "net1", False, id="adopted"),
    ],
)
def test_whose_request_a_sandbox_is(
    changes: dict[str, Any], interface: str, *, expected: bool
) -> None:
    """One that lives is spared by a DEL of another CNI_IFNAME, and by no other."""
    record = _record(**{"state": SandboxState.ADDED, **changes})
    assert record.is_of_other(interface) is expected


def test_a_sandbox_is_the_fallbacks_by_an_interface_without_network() -> None:
    """One without any interface is nobody's."""
    fallback = InterfaceRecord(interface="eth0", kind=InterfaceKind.DELEGATE)
    assert _record(interfaces=(fallback,)).is_fallback
    assert not _record(interfaces=(_OWN, _BY_PLUGIN)).is_fallback
    assert not _record(interfaces=()).is_fallback
