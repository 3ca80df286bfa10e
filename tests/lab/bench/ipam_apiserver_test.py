"""`lab bench ipam` measures: a short run, whose figures say nothing."""

import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tests.lab.bench.report import page, tables
from tests.lab.bench.results import Run
from tests.lab.bench.run import run_bench
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.progress import Progress

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

REPOSITORY = Path(__file__).parents[3]


async def test_a_short_run_is_measured_judged_and_shown(tmp_path: Path) -> None:
    """Every reservation succeeds, the raw figures stand beside, and all of it can be kept."""
    progress = Progress(quiet=True)
    binaries = Binaries(Cache(directory=default_cache_directory()), progress)
    run = await run_bench(
        tmp_path,
        repository=REPOSITORY,
        binaries=binaries,
        progress=progress,
        quick=True,
        only="1 caller",
    )
    assert [row.case.name for row in run.rows] == ["1 caller", "1 caller, 60,000 used"]
    for row in run.rows:
        assert (row.figures.failed, row.cost.block_writes >= 1) == (0, True)
    judged = {verdict.target for verdict in run.verdicts}
    assert "one caller: median, to a raw PUT's" in judged
    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    for table in tables(run):
        console.print(table)
    for text in (shown.getvalue(), page(run)):
        assert "raw: one caller PUTs" in text
        assert all(target in text for target in judged)
