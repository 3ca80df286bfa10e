"""`lab bench cni` measures: a very short run, whose figures say nothing."""

from pathlib import Path

import msgspec
import pytest

from tests.lab.bench.cni.cases import Pace
from tests.lab.bench.cni.report import page
from tests.lab.bench.cni.results import CniRun
from tests.lab.bench.cni.run import CniBench
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.progress import Progress

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

REPOSITORY = Path(__file__).parents[4]


def test_a_short_run_is_measured_judged_and_shown(tmp_path: Path) -> None:
    """Pods come and go on both sides, nothing of danm's is left, and all of it can be kept."""
    bench = CniBench(
        directory=tmp_path,
        repository=REPOSITORY,
        cache=Cache(directory=default_cache_directory()),
        progress=Progress(quiet=True),
        quiet=True,
    )
    run = bench.run(quick=True, only="bridge and 4", at_pace=Pace(starts=2, case_s=0.1, rest_s=0.1))
    (row,) = run.rows
    assert row.case.name == "bridge and 4 macvlan"
    assert row.danm.add.count == 3
    assert row.reference is not None
    assert row.steps_ms["making the interfaces"] > 0
    assert run.left == 0
    assert 20 < run.memory.rest <= run.memory.storm
    judged = {verdict.target for verdict in run.verdicts}
    assert "eth0 and 4 more: ADD, to bridge and macvlan" in judged
    assert msgspec.json.decode(msgspec.json.encode(run), type=CniRun) == run
    assert all(target in page(run) for target in judged)
    assert list(Path("/run/netns").glob("danm-bench-*")) == []
