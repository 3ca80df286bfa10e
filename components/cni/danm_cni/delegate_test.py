"""Other plugins as processes: good, bad, slow and endless ones."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from danm_api.errors import DeadlineExceededError, DelegateError, InvalidNetworkError
from danm_cni.delegate import (
    PluginProcesses,
    add_chain,
    delete_calls,
    load_static_chain,
    plugin_environment,
)
from danm_cni.delegate_config import file_chain
from danm_cni.journal import PluginCall
from danm_cni.request import Verb

RUNNER = PluginProcesses(host_root=Path("/"), in_host_mounts=False)


def _plugin(directory: Path, name: str, script: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _environment(directory: Path) -> Mapping[str, str]:
    return {"CNI_PATH": f"/nonexistent:{directory}", "PATH": os.environ["PATH"], "CNI_IFNAME": "x"}


async def _run(directory: Path, script: str, *, verb: Verb = Verb.ADD) -> bytes:
    _plugin(directory, "plugin", script)
    call = PluginCall(type="plugin", config=b'{"a":1}')
    return await RUNNER.run(call, verb=verb, environment=_environment(directory))


async def test_a_plugin_gets_environment_and_configuration(tmp_path: Path) -> None:
    """The verb, the interface and the configuration arrive; the output comes back."""
    output = await _run(tmp_path, 'echo "$CNI_COMMAND $CNI_IFNAME $(cat)"')
    # SPEC E3
    assert output == b'ADD x {"a":1}\n'


@pytest.mark.parametrize(
    ("script", "code", "told"),
    [
        pytest.param(
            """echo '{"code":101,"msg":"no room","details":"all gone"}'; exit 1""",
            101,
            "no room.*all gone",
            id="its own error passes through",
        ),
        pytest.param("echo oops >&2; exit 3", 110, "exited with 3.*oops", id="no error object"),
        pytest.param("kill -9 $$", 110, "killed by signal 9", id="signal"),
        pytest.param("exec cat /dev/zero", 110, "more than", id="endless output"),
    ],
)
async def test_bad_plugins_are_told(tmp_path: Path, script: str, code: int, told: str) -> None:
    """However a plugin fails, the error names it and what it said."""
    with pytest.raises(DelegateError, match=told) as caught:
        await _run(tmp_path, script)
    assert code == caught.value.code


async def test_a_missing_plugin_is_told(tmp_path: Path) -> None:
    """A plugin that is not in CNI_PATH is an error that says where to install it."""
    call = PluginCall(type="absent", config=b"{}")
    with pytest.raises(DelegateError, match="not in CNI_PATH.*install it"):
        await RUNNER.run(call, verb=Verb.ADD, environment=_environment(tmp_path))


async def test_cancelling_kills_the_whole_group(tmp_path: Path) -> None:
    """A plugin that hangs is killed with the children that it started."""
    pid_file = tmp_path / "pid"
    script = f"sleep 1000 & echo $! > {pid_file}.tmp; mv {pid_file}.tmp {pid_file}; wait"
    task = asyncio.create_task(_run(tmp_path, script))
    async with asyncio.timeout(30):
        while not pid_file.exists():
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(30):
        while _lives(int(pid_file.read_text())):
            await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_strays_of_an_earlier_danmd_are_killed(tmp_path: Path) -> None:
    """A plugin that outlived its danmd is found by its sandbox, and only that one is killed."""
    _plugin(tmp_path, "plugin", f"echo $$ > {tmp_path}/$CNI_CONTAINERID; exec sleep 1000")
    call = PluginCall(type="plugin", config=b"{}")
    tasks = {
        name: asyncio.create_task(
            RUNNER.run(
                call,
                verb=Verb.ADD,
                environment={**_environment(tmp_path), "CNI_CONTAINERID": name},
            )
        )
        for name in ("mine", "other")
    }
    async with asyncio.timeout(30):
        while not all((tmp_path / name).exists() for name in tasks):
            await asyncio.sleep(0.01)
        await PluginProcesses(host_root=Path("/"), in_host_mounts=False).end_strays("mine")
        with pytest.raises(DelegateError, match="killed by signal 9"):
            await tasks["mine"]
    assert not tasks["other"].done()
    tasks["other"].cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def test_a_plugin_that_does_not_read_its_input(tmp_path: Path) -> None:
    """Closing standard input early is no error of danmd's."""
    _plugin(tmp_path, "plugin", "exec <&-; echo '{}'")
    call = PluginCall(type="plugin", config=b"x" * 1_000_000)
    output = await RUNNER.run(call, verb=Verb.ADD, environment=_environment(tmp_path))
    assert output == b"{}\n"


async def test_a_chain_is_noted_before_it_runs_and_deleted_in_reverse(tmp_path: Path) -> None:
    """Each plugin is journalled before its start; DEL runs backwards with the same bytes."""
    log = tmp_path / "log"
    for name in ("one", "two"):
        _plugin(tmp_path, name, f'echo "$CNI_COMMAND {name} $(cat)" >> {log}; echo \'{{"n":1}}\'')
    chain = file_chain(
        b'{"cniVersion":"1.0.0","name":"l","plugins":[{"type":"one"},{"type":"two"}]}', source="l"
    )
    noted: list[PluginCall] = []

    async def note(call: PluginCall) -> None:
        assert not log.exists() or call.type not in log.read_text()
        noted.append(call)

    await add_chain(
        chain, runner=RUNNER, note=note, environment=_environment(tmp_path), runtime_config={}
    )
    await delete_calls(noted, runner=RUNNER, environment=_environment(tmp_path), timeout_s=5)
    lines = log.read_text().splitlines()
    assert ["ADD one", "ADD two", "DEL two", "DEL one"] == [" ".join(x.split()[:2]) for x in lines]
    assert lines[1].split(maxsplit=2)[2] == lines[2].split(maxsplit=2)[2]
    assert '"prevResult":{"n":1}' in lines[1]


async def test_a_failing_del_does_not_stop_the_others(tmp_path: Path) -> None:
    """All plugins of a chain get their DEL; the first error is told."""
    log = tmp_path / "log"
    _plugin(tmp_path, "good", f"echo good >> {log}")
    _plugin(tmp_path, "bad", "exit 1")
    _plugin(tmp_path, "slow", "exec sleep 1000")
    calls = [PluginCall(type=name, config=b"{}") for name in ("good", "slow", "bad")]
    with pytest.raises(DelegateError, match="bad"):
        await delete_calls(calls, runner=RUNNER, environment=_environment(tmp_path), timeout_s=0.2)
    assert log.read_text() == "good\n"
    with pytest.raises(DeadlineExceededError, match="slow"):
        await delete_calls(
            calls[1:2], runner=RUNNER, environment=_environment(tmp_path), timeout_s=0.2
        )


def test_static_types_are_found_by_name(tmp_path: Path) -> None:
    """A type's .conflist is taken before its .conf; nothing outside of the directory is read."""
    (tmp_path / "x.conf").write_text('{"type":"a"}')
    # SPEC E2
    assert load_static_chain(tmp_path, "x").source == "x.conf"
    (tmp_path / "x.conflist").write_text('{"plugins":[{"type":"b"}]}')
    assert load_static_chain(tmp_path, "x").source == "x.conflist"
    for name in ("absent", "../x"):
        with pytest.raises(InvalidNetworkError):
            load_static_chain(tmp_path, name)


def test_delegates_inherit_what_concerns_them() -> None:
    """Of the runtime's environment only the CNI variables and PATH are passed on."""
    environment = {"CNI_ARGS": "a", "PATH": "/bin", "SECRET": "x"}
    assert {"CNI_ARGS": "a", "PATH": "/bin"} == plugin_environment(environment)
