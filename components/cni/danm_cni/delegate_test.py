"""Other plugins: their files, and chains of them."""

import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from danm_api.errors import DeadlineExceededError, DelegateError
from danm_api.telemetry import extract, span
from danm_api.testing.recorded_traces import TRACE_ID, TRACEPARENT
from danm_cni.delegate import (
    add_chain,
    delete_calls,
    network_environment,
)
from danm_cni.delegate_config import PluginChain
from danm_cni.journal import PluginCall
from danm_cni.plugin_files import file_chain
from danm_cni.processes import PluginProcesses
from danm_cni.progress import Progress
from danm_cni.testing.scripts import environment_of, write_plugin

RUNNER = PluginProcesses(host_root=Path("/"), in_host_mounts=False, max_chains=32)


async def _add(
    chain: PluginChain, note: Callable[[PluginCall], Awaitable[None]], plugins: Path
) -> bytes:
    return await add_chain(
        chain,
        runner=RUNNER,
        note=note,
        environment=environment_of(plugins),
        runtime_config={},
        progress=Progress("testing", deadline_s=math.inf),
        subject="interface eth0",
    )


async def test_a_chain_is_noted_before_it_runs_and_deleted_in_reverse(tmp_path: Path) -> None:
    """Each plugin is journalled before its start; DEL runs backwards with the same bytes."""
    log = tmp_path / "log"
    for name in ("one", "two"):
        write_plugin(
            tmp_path, name, f'echo "$CNI_COMMAND {name} $(cat)" >> {log}; echo \'{{"n":1}}\''
        )
    chain = file_chain(
        b'{"cniVersion":"1.0.0","name":"l","plugins":[{"type":"one"},{"type":"two"}]}', source="l"
    )
    noted: list[PluginCall] = []

    async def note(call: PluginCall) -> None:
        assert not log.exists() or call.type not in log.read_text()
        noted.append(call)

    await _add(chain, note, tmp_path)
    await delete_calls(noted, runner=RUNNER, environment=environment_of(tmp_path), timeout_s=5)
    lines = log.read_text().splitlines()
    assert ["ADD one", "ADD two", "DEL two", "DEL one"] == [" ".join(x.split()[:2]) for x in lines]
    assert lines[1].split(maxsplit=2)[2] == lines[2].split(maxsplit=2)[2]
    assert '"prevResult":{"n":1,"cniVersion":"1.0.0"}' in lines[1]


async def test_plugins_are_part_of_the_trace(tmp_path: Path) -> None:
    """A fakeipam that a plugin calls is traced with the ADD; without a trace nothing is added."""
    log = tmp_path / "log"
    write_plugin(tmp_path, "one", f'echo "[$TRACEPARENT]" >> {log}; echo \'{{"n":1}}\'')
    chain = file_chain(b'{"cniVersion":"1.0.0","name":"l","type":"one"}', source="l")
    noted: list[PluginCall] = []

    async def note(call: PluginCall) -> None:
        noted.append(call)

    with span("ADD", parent=extract({"traceparent": TRACEPARENT})):
        await _add(chain, note, tmp_path)
        await delete_calls(noted, runner=RUNNER, environment=environment_of(tmp_path), timeout_s=5)
    await _add(chain, note, tmp_path)
    added, deleted, untraced = log.read_text().splitlines()
    assert TRACE_ID in added
    assert TRACE_ID in deleted
    assert untraced == "[]"


async def test_nothing_is_started_when_a_plugin_of_the_chain_is_missing(tmp_path: Path) -> None:
    """What was never started is not journalled: its DEL could never succeed."""
    log = tmp_path / "log"
    write_plugin(tmp_path, "one", f"echo one >> {log}; echo '{{}}'")
    chain = file_chain(
        b'{"cniVersion":"1.0.0","name":"l","plugins":[{"type":"one"},{"type":"two"}]}', source="l"
    )
    noted: list[PluginCall] = []

    async def note(call: PluginCall) -> None:
        noted.append(call)

    with pytest.raises(DelegateError, match="l: plugin two is not in CNI_PATH"):
        await _add(chain, note, tmp_path)
    assert (noted, log.exists()) == ([], False)


async def test_a_failing_del_does_not_stop_the_others(tmp_path: Path) -> None:
    """All plugins of a chain get their DEL; the first error is told."""
    log = tmp_path / "log"
    write_plugin(tmp_path, "good", f"echo good >> {log}")
    write_plugin(tmp_path, "bad", "exit 1")
    write_plugin(tmp_path, "slow", "exec sleep 1000")
    calls = [PluginCall(type=name, config=b"{}") for name in ("good", "slow", "bad")]
    # Time enough for the good one, also on a machine that starves.
    with pytest.raises(DelegateError, match="bad"):
        await delete_calls(calls, runner=RUNNER, environment=environment_of(tmp_path), timeout_s=2)
    assert log.read_text() == "good\n"
    with pytest.raises(DeadlineExceededError, match="slow"):
        await delete_calls(
            calls[1:2], runner=RUNNER, environment=environment_of(tmp_path), timeout_s=0.2
        )


def test_plugins_of_a_network_are_told_of_no_attachment() -> None:
    """GC has no container: of CNI's variables they get CNI_PATH, and all that are not CNI's."""
    # CNI 1.1.0, section 2
    others = {"CNI_PATH": "/opt/cni/bin", "PATH": "/bin", "HTTPS_PROXY": "http://192.0.2.1"}
    attachment = {"CNI_ARGS": "a", "CNI_IFNAME": "eth0", "CNI_NETNS": "/x", "CNI_CONTAINERID": "c"}
    assert others == network_environment({**others, **attachment})
