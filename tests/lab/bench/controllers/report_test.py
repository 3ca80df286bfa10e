"""What people are shown of a run."""

import msgspec

from tests.lab.bench.cni.results import times
from tests.lab.bench.controllers.endpoints.cases import KUBERNETES_FLAGS, USUAL
from tests.lab.bench.controllers.report import page, tables
from tests.lab.bench.controllers.results import (
    KUBERNETES,
    SVCWATCHER,
    ControllerFindings,
    ControllersRun,
    LinkFindings,
    LoadFindings,
    Repair,
)
from tests.lab.bench.controllers.targets import endpoint_verdicts, link_verdicts
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
_LOAD = LoadFindings(
    name="one at a time",
    at_once=False,
    seen=times([12.0, 34.5]),
    accepted_ms=5.5,
    rate=15.0,
    cpu_ms=3.21,
    slice_writes=1.0,
    endpoints_writes=0.25,
)
_ENDPOINTS = [
    ControllerFindings(
        controller=controller,
        size=size,
        started_s=4.5,
        rss_mb=98.7,
        peak_mb=123.4,
        others_cpu=0.07,
        loads=[_LOAD],
    )
    for size in USUAL.sizes
    for controller in (SVCWATCHER, KUBERNETES)
]
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
    endpoints=_ENDPOINTS,
    verdicts=[*link_verdicts(_LINKS), *endpoint_verdicts(_ENDPOINTS)],
)


def test_the_page_has_every_figure_and_every_verdict() -> None:
    """Whoever reads it needs nothing else."""
    text = page(_RUN)
    assert "| deleted | 2 |" in text
    assert "| 1.25 |" in text
    assert "| CPU over 300 s at rest, % | 0.21 |" in text
    for controller in (SVCWATCHER, KUBERNETES):
        of_load = "2 | 12.0 | 34.5 | 34.5 | 5.5 | 15 | 3.21 | 1.00 | 0.25"
        assert f"| one at a time | {controller} | 10,000 | {of_load} |" in text
        assert f"| {controller} | 10,000 | 1,000 | 9,995 | 5,000 | 4.5 | 99 | 123 | 0.07 |" in text
    assert all(verdict.target in text for verdict in _RUN.verdicts)


def test_the_page_says_how_kubernetes_controller_was_run() -> None:
    """A comparison is worth what is known of the other side."""
    assert all(flag in page(_RUN) for flag in KUBERNETES_FLAGS)


def test_a_terminal_shows_the_same_parts() -> None:
    """Repairs and costs of netwatcher, changes and costs of svcwatcher, targets."""
    assert len(list(tables(_RUN))) == 5


def test_half_a_run_shows_its_half() -> None:
    """`--only svcwatcher` says nothing of links, and the other way round."""
    of_links = msgspec.structs.replace(_RUN, endpoints=[], verdicts=[])
    of_endpoints = msgspec.structs.replace(_RUN, links=None, verdicts=[])
    assert "# svcwatcher" not in page(of_links)
    assert "# netwatcher" not in page(of_endpoints)
    assert [len(list(tables(run))) for run in (of_links, of_endpoints)] == [2, 2]


def test_a_run_can_be_kept() -> None:
    """In JSON it is what it was."""
    assert msgspec.json.decode(msgspec.json.encode(_RUN), type=ControllersRun) == _RUN
