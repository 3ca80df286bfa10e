"""What people are shown of a run."""

from tests.lab.bench.cni.results import times
from tests.lab.bench.controllers.report import page, tables
from tests.lab.bench.controllers.results import ControllersRun, LinkFindings, Repair
from tests.lab.bench.controllers.targets import link_verdicts
from tests.lab.bench.results import Machine

_LINKS = LinkFindings(
    vlans=100,
    vxlans=100,
    made_s=2.5,
    repairs=[Repair(damage="deleted", single=times([10.0, 30.0]), all_s=1.25)],
    rest_s=300,
    rest_cpu=0.21,
    rss_mb=90,
)
_RUN = ControllersRun(
    began="2026-01-01T00:00:00+00:00",
    quick=False,
    machine=Machine(
        processor="cpu",
        cores=2,
        memory_gb=8,
        kernel="6.12",
        python="3.11",
        kubernetes="1.35",
        etcd="3.6",
        fsync_ms=1,
    ),
    links=_LINKS,
    verdicts=list(link_verdicts(_LINKS)),
)


def test_the_page_has_every_figure_and_every_verdict() -> None:
    """Whoever reads it needs nothing else."""
    text = page(_RUN)
    assert "| deleted | 2 |" in text
    assert "| 1.25 |" in text
    assert "| CPU over 300 s at rest, % | 0.21 |" in text
    assert all(verdict.target in text for verdict in _RUN.verdicts)


def test_a_terminal_shows_the_same_parts() -> None:
    """Repairs, costs and targets."""
    assert len(list(tables(_RUN))) == 3
