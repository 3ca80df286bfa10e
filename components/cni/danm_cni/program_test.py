"""danmd as a process."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from danm_api.ipam_api import ContainerOwnerMessage
from danm_api.kube.api import DANMNETS
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.http_kube import HttpKube
from danm_cni import __main__ as program
from danm_cni.allocation_journal import AllocationJournal, AllocationRecord, AllocationState
from danm_cni.installation import Installation
from danm_cni.node_lock import node_lock
from danm_cni.testing.node import config_for

_POLL_S: Final = 0.02


@asynccontextmanager
async def _danmd(*arguments: str, **streams: Any) -> AsyncIterator[Process]:  # noqa: ANN401
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", program.__package__ or ""), "--node-name=n1", *arguments, **streams
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _until(condition: Callable[[], bool], process: Process) -> None:
    while not condition():
        assert process.returncode is None
        await asyncio.sleep(_POLL_S)


async def test_a_danmd_that_waits_for_another_one_has_started(tmp_path: Path) -> None:
    """Its startup probe's file is there once it has read ahead; it ends when it is told to."""
    # docs/decisions/0021
    started = tmp_path / "started"
    # Of a container that was started before in the same Pod.
    started.write_text("0")
    kube = FakeKube()
    gate = kube.hold_next("list", DANMNETS)
    async with (
        asyncio.timeout(60),
        HttpKube(kube).serving() as server,
        node_lock(config_for(tmp_path).paths.lock, asyncio.Event()),
        _danmd(*_flags(tmp_path, server.url)) as process,
    ):
        await _until(gate.reached.is_set, process)
        assert started.read_text() == "0"
        gate.open()
        await _until(lambda: started.read_text() == str(process.pid), process)
        process.terminate()
        assert await process.wait() == 0


def _without_executable(root: Path) -> None:
    (root / "image/danm").unlink()


def _with_all_of_danm(root: Path) -> None:
    _installation_of(root).write_configuration()


@pytest.mark.parametrize(
    ("spoil", "flags", "told"),
    [
        (_without_executable, [], b"image/danm"),
        # SPEC F2
        (_with_all_of_danm, ["--ipam-only"], b"uninstall-node"),
    ],
)
async def test_a_danmd_that_could_not_serve_takes_nobodys_place(
    tmp_path: Path, spoil: Callable[[Path], None], flags: list[str], told: bytes
) -> None:
    """It ends before it has started, says why, and the node's danmd has all that it had."""
    # docs/decisions/0021
    async with (
        asyncio.timeout(60),
        HttpKube(FakeKube()).serving() as server,
        node_lock(config_for(tmp_path).paths.lock, asyncio.Event()),
    ):
        arguments = [*_flags(tmp_path, server.url), *flags]
        spoil(tmp_path)
        async with _danmd(*arguments, stderr=PIPE) as process:
            _, errors = await process.communicate()
            assert process.returncode == 1
            assert told in errors
    assert not (tmp_path / "started").exists()
    assert [] == list((tmp_path / "opt/cni/bin").iterdir())


async def test_a_danmd_whose_turn_comes_early_begins_at_once(tmp_path: Path) -> None:
    """Where the other one has crashed there is nobody to wait beside, whatever is still tried."""
    # docs/decisions/0021
    kube = FakeKube()
    gate = kube.hold_next("list", DANMNETS)
    async with (
        asyncio.timeout(60),
        HttpKube(kube).serving() as server,
        AsyncExitStack() as other,
    ):
        lock = config_for(tmp_path).paths.lock
        await other.enter_async_context(node_lock(lock, asyncio.Event()))
        async with _danmd(*_flags(tmp_path, server.url)) as process:
            await _until(gate.reached.is_set, process)
            assert not (tmp_path / "started").exists()
            await other.aclose()
            await _until((tmp_path / "run/danmd.sock").exists, process)
            assert (tmp_path / "started").read_text() == str(process.pid)
            gate.open()
            process.terminate()
            assert await process.wait() == 0


async def test_a_danmd_whose_pod_is_uninstalled_while_it_waits_never_serves(tmp_path: Path) -> None:
    """It gets the node when the other danmd ends, and leaves it as it is until its own end."""
    # docs/decisions/0021
    paths = config_for(tmp_path).paths
    async with (
        asyncio.timeout(60),
        HttpKube(FakeKube()).serving() as server,
        AsyncExitStack() as other,
    ):
        await other.enter_async_context(node_lock(paths.lock, asyncio.Event()))
        async with _danmd(*_flags(tmp_path, server.url), "--pod-uid=next", stderr=PIPE) as process:
            await _until((tmp_path / "started").exists, process)
            _installation_of(tmp_path, pod_uid="next").uninstall()
            await other.aclose()
            assert process.stderr is not None
            while b"waiting for the end" not in (line := await process.stderr.readline()):
                assert line
                assert b'"Ready"' not in line
            process.terminate()
            assert await process.wait() == 0
    assert not _installation_of(tmp_path).has_configuration
    assert [] == list((tmp_path / "opt/cni/bin").iterdir())


async def test_a_node_whose_pods_use_danm_refuses_in_its_own_way(tmp_path: Path) -> None:
    """deploy/uninstall stops for it, and for no other failure; with --force the node is cleaned."""
    installation, paths = _installation_of(tmp_path), config_for(tmp_path).paths
    installation.install_executables(("fakeipam",))
    journal = AllocationJournal(paths.allocations)
    journal.load()
    await journal.put(
        AllocationRecord(
            container_id="c1",
            interface="net1",
            config="cfg",
            owner=ContainerOwnerMessage(namespace="ns", container_id="c1"),
            network="lan",
            netns="/var/run/netns/x",
            state=AllocationState.ADDED,
        )
    )
    arguments = [
        "--node-name=n1",
        "--ipam-only",
        f"--host-root={tmp_path}",
        f"--state-dir={paths.state}",
        f"--run-dir={paths.run}",
        "uninstall-node",
    ]
    refused = await asyncio.to_thread(CliRunner().invoke, program.main, arguments)
    assert refused.exit_code == program.InUseError.exit_code > 2
    assert "DanmNet ns/lan" in refused.output
    assert (tmp_path / "opt/cni/bin/fakeipam").exists()
    forced = await asyncio.to_thread(CliRunner().invoke, program.main, [*arguments, "--force"])
    assert forced.exit_code == 0, forced.output
    assert not (tmp_path / "opt/cni/bin/fakeipam").exists()


def _installation_of(root: Path, *, pod_uid: str = "") -> Installation:
    return Installation(config_for(root).paths, fallback=None, pod_uid=pod_uid)


def _flags(root: Path, url: str) -> list[str]:
    """Return how danmd is started on a node whose API server is at ``url``."""
    paths, kubeconfig = config_for(root).paths, root / "kubeconfig"
    kubeconfig.write_text(_kubeconfig(url))
    return [
        f"--kubeconfig={kubeconfig}",
        f"--host-root={root}",
        "--health-port=0",
        f"--state-dir={paths.state}",
        f"--run-dir={paths.run}",
        f"--executables-dir={paths.executables}",
        f"--started-file={root / 'started'}",
    ]


def _kubeconfig(url: str) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    return json.dumps(config)
