"""What counts as missed."""

import pytest

from tests.lab.bench.cni.results import times
from tests.lab.bench.controllers.results import LinkFindings, Repair
from tests.lab.bench.controllers.targets import link_verdicts


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
