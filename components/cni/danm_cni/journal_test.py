"""The journal across crashes."""

import asyncio
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
