"""The rules of one DanmNet."""

import pytest

from danm_api.codec.danmnet import decode_danmnet
from danm_api.testing.builders import a_danmnet
from danm_api.testing.network_cases import BROKEN, VALID, NetworkCase
from danm_api.validation.network import validate_network


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.title)
def test_valid_networks_are_valid(case: NetworkCase) -> None:
    """No rule is stricter than it says."""  # SPEC N1, E1, E2
    assert validate_network(decode_danmnet(case.raw())) == ()


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.title)
def test_a_broken_rule_is_named_with_the_way_out(case: NetworkCase) -> None:
    """The field, what is wrong and what to do; and nothing else is found."""  # SPEC N1, E1, E2
    (found,) = validate_network(decode_danmnet(case.raw()))
    assert (found.field, found.rule) == (f"spec.{case.field}", case.rule)
    assert case.message in found.message


def test_all_broken_rules_are_named_at_once() -> None:
    """A user mends the manifest in one go."""  # SPEC N1
    pool = {"start": "10.0.0.9", "end": "10.0.0.8"}
    net = a_danmnet("external", rt_tables=254, container_prefix="lo", allocation_pool=pool)
    assert [each.field for each in validate_network(net)] == [
        "spec.Options.allocation_pool",
        "spec.Options.allocation_pool",
        "spec.Options.rt_tables",
        "spec.Options.container_prefix",
    ]
