"""What counts as missed."""

import msgspec
import pytest

from tests.lab.bench.cni.results import times
from tests.lab.bench.controllers.damage import DAMAGES
from tests.lab.bench.controllers.endpoints.cases import QUICK, USUAL, Amounts, Size, loads
from tests.lab.bench.controllers.results import (
    KUBERNETES,
    SVCWATCHER,
    ControllerFindings,
    LinkFindings,
    LoadFindings,
    Repair,
)
from tests.lab.bench.controllers.targets import endpoint_verdicts, link_verdicts
from tests.lab.bench.expected import absent, controllers_targets


def _found(
    *, single_ms: float = 20, all_s: float = 1, rest_cpu: float = 0.2, rest_s: float = 300
) -> LinkFindings:
    repair = Repair(damage="deleted", single=times([10, single_ms]), all_s=all_s)
    return LinkFindings(
        vlans=100,
        vxlans=100,
        made_s=2,
        repairs=[repair],
        rest_s=rest_s,
        rest_cpu=rest_cpu,
        rss_mb=90,
    )


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        pytest.param(_found(), [], id="all met"),
        pytest.param(_found(single_ms=1001), ["one of 200 links deleted, p99"], id="one is slow"),
        pytest.param(_found(all_s=3.1), ["all 200 links deleted"], id="all are slow"),
        pytest.param(
            _found(rest_cpu=0.51), ["netwatcher's CPU over 300 s at rest"], id="busy at rest"
        ),
        pytest.param(_found(rest_cpu=9, rest_s=0), [], id="not measured"),
    ],
)
def test_each_target_can_be_missed(found: LinkFindings, missed: list[str]) -> None:
    """Issue 6, "Show"."""
    assert [each.target for each in link_verdicts(found) if not each.met] == missed


def _controller(
    name: str = SVCWATCHER,
    *,
    size: Size = USUAL.sizes[-1],
    seen_ms: float = 20,
    cpu_ms: float = 3,
    slice_writes: float = 1,
    started_s: float = 5,
    rss_mb: float = 100,
    peak_mb: float = 110,
    at_once: bool = False,
) -> ControllerFindings:
    load = LoadFindings(
        name="some",
        at_once=at_once,
        seen=times([5, seen_ms]),
        accepted_ms=3,
        rate=15,
        cpu_ms=cpu_ms,
        slice_writes=slice_writes,
        endpoints_writes=1,
    )
    return ControllerFindings(
        controller=name,
        size=size,
        started_s=started_s,
        rss_mb=rss_mb,
        peak_mb=peak_mb,
        others_cpu=0,
        loads=[load],
    )


_TENTH = _controller(size=USUAL.sizes[0])
_THEIRS = _controller(KUBERNETES)


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        pytest.param([_TENTH, _controller(), _THEIRS], [], id="all met"),
        pytest.param(
            [_controller(seen_ms=1001), _controller(KUBERNETES, seen_ms=2000)],
            ["some: p99"],
            id="slow",
        ),
        pytest.param([_controller(seen_ms=2000, at_once=True)], [], id="many at once"),
        pytest.param(
            [_controller(seen_ms=2001, at_once=True)], ["some: p99"], id="too slow for many at once"
        ),
        pytest.param(
            [_controller(seen_ms=26), _THEIRS],
            ["some: p99, to Kubernetes'"],
            id="slower than Kubernetes",
        ),
        pytest.param(
            [_controller(started_s=6), _THEIRS],
            ["start to all slices, to Kubernetes'"],
            id="late at its start",
        ),
        pytest.param(
            [_controller(slice_writes=1.1), _THEIRS],
            ["some: writes of slices, to Kubernetes'"],
            id="writes more",
        ),
        pytest.param(
            [_controller(rss_mb=251, peak_mb=251), _THEIRS],
            ["memory at rest, to Kubernetes'"],
            id="large",
        ),
        pytest.param(
            [_controller(peak_mb=276), _THEIRS],
            ["memory at most, to Kubernetes'"],
            id="large for a moment",
        ),
        pytest.param(
            [_TENTH, _controller(cpu_ms=4.6)],
            ["some: CPU per change, to that in a cluster of 1,000 Pods"],
            id="grows",
        ),
        pytest.param(
            [_TENTH, _controller(cpu_ms=4.6, at_once=True)], [], id="changes share what they cost"
        ),
        pytest.param([_controller(cpu_ms=9)], [], id="nothing to compare with"),
        pytest.param([_THEIRS], [], id="not measured at all"),
    ],
)
def test_each_target_of_svcwatcher_can_be_missed(
    found: list[ControllerFindings], missed: list[str]
) -> None:
    """Issue 6, "Reach"; only svcwatcher is judged."""
    assert [each.target for each in endpoint_verdicts(found) if not each.met] == missed


@pytest.mark.parametrize(
    ("quick", "amounts", "rest_s"),
    [pytest.param(True, QUICK, 20, id="quick"), pytest.param(False, USUAL, 300, id="whole")],
)
def test_all_that_is_measured_is_judged(quick: bool, amounts: Amounts, rest_s: float) -> None:
    """A run of all damages and loads gives exactly the targets that are asked."""
    links = msgspec.structs.replace(
        _found(rest_s=rest_s),
        repairs=[Repair(damage=each, single=times([10, 20]), all_s=1) for each in DAMAGES],
    )
    found = []
    for size in amounts.sizes:
        for name in (SVCWATCHER, KUBERNETES):
            controller = _controller(name, size=size)
            (one,) = controller.loads
            named = [
                msgspec.structs.replace(one, name=load.name, at_once=load.at_once)
                for load in loads(size, amounts)
            ]
            found.append(msgspec.structs.replace(controller, loads=named))
    judged = [*link_verdicts(links), *endpoint_verdicts(found)]
    expected = controllers_targets(quick=quick)
    assert sorted(each.target for each in judged) == sorted(expected)
    assert absent(expected, judged[1:]) == [judged[0].target]
