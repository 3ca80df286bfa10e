"""danmd as a process."""

import asyncio
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from danm_api.kube.api import DANMNETS
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.http_kube import HttpKube
from danm_cni import __main__ as program
from danm_cni.daemon import node_lock

_POLL_S: Final = 0.02


@asynccontextmanager
async def _danmd(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", program.__package__ or ""), "--node-name=n1", *arguments
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
    state, started, kubeconfig = (tmp_path / name for name in ("state", "started", "kubeconfig"))
    # Of a container that was started before in the same Pod.
    started.write_text("0")
    kube = FakeKube()
    gate = kube.hold_next("list", DANMNETS)
    async with (
        asyncio.timeout(60),
        HttpKube(kube).serving() as server,
        node_lock(state / "lock", asyncio.Event()),
    ):
        kubeconfig.write_text(_kubeconfig(server.url))
        async with _danmd(
            f"--kubeconfig={kubeconfig}", f"--state-dir={state}", f"--started-file={started}"
        ) as process:
            await _until(gate.reached.is_set, process)
            assert started.read_text() == "0"
            gate.open()
            await _until(lambda: started.read_text() == str(process.pid), process)
            process.terminate()
            assert await process.wait() == 0


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
