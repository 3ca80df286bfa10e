"""Other plugins as processes: good, bad, slow and endless ones."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from danm_api.errors import DelegateError
from danm_cni.journal import PluginCall
from danm_cni.processes import PluginProcesses
from danm_cni.request import Verb
from danm_cni.testing.scripts import environment_of, write_plugin

RUNNER = PluginProcesses(host_root=Path("/"), in_host_mounts=False, max_chains=32)

# It writes on until nobody listens any more.
_DAEMON = """
import os, sys, time
os.setsid()
os.write(2, b"noise")
with open(sys.argv[1], "w") as file:
    file.write(str(os.getpid()))
while os.write(2, b"noise"):
    time.sleep(0.01)
"""


async def _run(directory: Path, script: str, *, verb: Verb = Verb.ADD) -> bytes:
    write_plugin(directory, "plugin", script)
    call = PluginCall(type="plugin", config=b'{"a":1}')
    return await RUNNER.run(call, verb=verb, environment=environment_of(directory))


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def test_a_plugin_gets_environment_and_configuration(tmp_path: Path) -> None:
    """The verb, the interface and the configuration arrive; the output comes back."""
    output = await _run(tmp_path, 'echo "$CNI_COMMAND $CNI_IFNAME $(cat)"')
    # SPEC E3
    assert output == b'ADD x {"a":1}\n'


async def test_nothing_of_danmds_own_environment_reaches_a_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin gets what the runtime gave to danm; what danmd's Pod was given is danmd's."""
    # SPEC E3
    monkeypatch.setenv("DANM_IPAM_SECRET", "of the Pod")
    write_plugin(tmp_path, "plugin", "cat > /dev/null; exec env -0")
    call = PluginCall(type="plugin", config=b"{}")
    given = {**environment_of(tmp_path), "HTTPS_PROXY": "http://192.0.2.1"}
    output = await RUNNER.run(call, verb=Verb.ADD, environment=given)
    got = dict(each.split("=", 1) for each in output.decode().rstrip("\0").split("\0"))
    # What the shell sets itself.
    added = {"DANM_SANDBOX", "CNI_COMMAND", "PWD", "OLDPWD", "SHLVL", "_"}
    assert given.items() <= got.items()
    assert got.keys() - given.keys() <= added


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


@pytest.mark.parametrize("status", [0, 1])
async def test_what_a_plugin_says_beside_its_answer_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Nobody else sees its standard error, which may tell why it will go wrong later."""
    # CNI 1.1.0, section 4
    script = f"""echo "almost full" >&2; echo '{{"code":7,"msg":"x"}}'; exit {status}"""
    with caplog.at_level("INFO"), suppress(DelegateError):
        await _run(tmp_path, script)
    (record,) = (each for each in caplog.records if "standard error" in str(each.msg))
    assert "almost full" in str(vars(record))


async def test_a_missing_plugin_is_told(tmp_path: Path) -> None:
    """A plugin that is not in CNI_PATH is an error that says where to install it."""
    call = PluginCall(type="absent", config=b"{}")
    with pytest.raises(DelegateError, match="not in CNI_PATH.*install it"):
        await RUNNER.run(call, verb=Verb.ADD, environment=environment_of(tmp_path))


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


async def test_a_daemon_that_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    """A plugin may leave a daemon behind that holds its standard output."""
    script = f"setsid sleep 1000 & echo $! > {tmp_path}/pid; echo '{{}}'"
    try:
        async with asyncio.timeout(30):
            assert await _run(tmp_path, script) == b"{}\n"
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


async def test_a_daemon_that_goes_on_writing_is_not_waited_for(tmp_path: Path) -> None:
    """What a plugin leaves behind may write to its outputs for ever; the answer is the plugin's."""
    (tmp_path / "daemon.py").write_text(_DAEMON)
    daemon = f"{sys.executable} {tmp_path}/daemon.py {tmp_path}/pid"
    script = f"{daemon} & until test -s {tmp_path}/pid; do sleep 0.01; done; echo '{{}}'"
    try:
        async with asyncio.timeout(30):
            assert await _run(tmp_path, script) == b"{}\n"
    finally:
        with suppress(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


async def test_all_that_a_plugin_wrote_is_read(tmp_path: Path) -> None:
    """An answer that is still in the pipe when the plugin has ended is no less of an answer."""
    output = await _run(tmp_path, "head -c 60000 /dev/zero | tr '\\0' x")
    assert output == b"x" * 60_000


async def test_a_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    """What cannot be executed is an error that names it."""
    path = tmp_path / "plugin"
    path.write_text("no program")
    call = PluginCall(type="plugin", config=b"{}")
    with pytest.raises(DelegateError, match="plugin .* cannot be started: Permission denied"):
        await RUNNER.run(call, verb=Verb.ADD, environment=environment_of(tmp_path))


async def test_strays_of_an_earlier_danmd_are_killed(tmp_path: Path) -> None:
    """A plugin that outlived its danmd is found by its sandbox, and only that one is killed."""
    write_plugin(tmp_path, "plugin", f"echo $$ > {tmp_path}/$CNI_CONTAINERID; exec sleep 1000")
    call = PluginCall(type="plugin", config=b"{}")
    tasks = {
        name: asyncio.create_task(
            RUNNER.run(
                call,
                verb=Verb.ADD,
                environment={**environment_of(tmp_path), "CNI_CONTAINERID": name},
            )
        )
        for name in ("mine", "other")
    }
    async with asyncio.timeout(30):
        while not all((tmp_path / name).exists() for name in tasks):
            await asyncio.sleep(0.01)
        later = PluginProcesses(host_root=Path("/"), in_host_mounts=False, max_chains=32)
        await later.end_strays("mine")
        with pytest.raises(DelegateError, match="killed by signal 9"):
            await tasks["mine"]
    assert not tasks["other"].done()
    tasks["other"].cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def test_a_plugin_that_does_not_read_its_input(tmp_path: Path) -> None:
    """Closing standard input early is no error of danmd's."""
    write_plugin(tmp_path, "plugin", "exec <&-; echo '{}'")
    call = PluginCall(type="plugin", config=b"x" * 1_000_000)
    output = await RUNNER.run(call, verb=Verb.ADD, environment=environment_of(tmp_path))
    assert output == b"{}\n"
