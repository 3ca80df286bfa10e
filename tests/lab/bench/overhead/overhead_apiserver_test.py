"""`lab bench overhead` measures: a very short run, whose figures say nothing."""

from pathlib import Path

import msgspec
import pytest

from tests.lab.bench.overhead.report import page
from tests.lab.bench.overhead.results import OverheadRun
from tests.lab.bench.overhead.run import Amount, run_overhead
from tests.lab.cache import Cache, default_cache_directory
from tests.lab.progress import Progress

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

REPOSITORY = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("only", "shown"),
    [
        ("1 macvlan", ["Pods: 1 macvlan: ADD, median", "Pods: 1 macvlan: DEL, median"]),
        ("1 caller", ["reservations: 1 caller: median"]),
    ],
)
def test_a_short_run_is_measured_judged_and_shown(
    tmp_path: Path, only: str, shown: list[str]
) -> None:
    """Both sides take turns, spans reach the collector, and all of it can be kept."""
    run = run_overhead(
        tmp_path,
        repository=REPOSITORY,
        cache=Cache(directory=default_cache_directory()),
        progress=Progress(quiet=True),
        amount=Amount(alone=8, many=8, pods=3, rounds=1),
        only=only,
        quiet=True,
    )
    assert [f"{each.load}: {each.of}" for each in run.comparisons] == shown
    for each in run.comparisons:
        assert each.traced_bytes > 0
        assert len(each.rounds) == 1
        assert each.middle().without.time_ms > 0
    assert msgspec.json.decode(msgspec.json.encode(run), type=OverheadRun) == run
    assert all(line in page(run) for line in shown)
    assert len(run.verdicts) == len(shown)
