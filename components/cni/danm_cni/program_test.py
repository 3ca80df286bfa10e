"""danmd as a process."""

import asyncio
import sys
from pathlib import Path

from danm_cni import __main__ as program
from danm_cni.daemon import node_lock


async def test_a_danmd_that_waits_for_another_one_has_started(tmp_path: Path) -> None:
    """A startup probe finds its file, so an update goes on; it ends when it is told to."""
    # docs/decisions/0021
    started = tmp_path / "started"
    # Of a container that was started before in the same Pod.
    started.write_text("0")
    async with node_lock(tmp_path / "state" / "lock", asyncio.Event()), asyncio.timeout(60):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", program.__package__ or ""),
            *("--node-name=n1", f"--state-dir={tmp_path / 'state'}", f"--started-file={started}"),
        )
        try:
            while not started.exists() or started.read_text() != str(process.pid):
                assert process.returncode is None
                await asyncio.sleep(0.02)
            process.terminate()
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
