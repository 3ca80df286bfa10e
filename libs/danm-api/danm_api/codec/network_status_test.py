"""Conditions and usage on the wire."""

import pytest
from hypothesis import given

from danm_api.codec.network_status import (
    decode_conditions,
    decode_node_sum,
    decode_usage,
    encode_condition,
    encode_node_sum,
    encode_usage,
    encode_usage6,
)
from danm_api.errors import InvalidObjectError
from danm_api.model.danmnet import Condition, NodeSum, Usage
from danm_api.testing.strategies import conditions, usages, usages6


@given(conditions)
def test_a_condition_survives_the_round_trip(condition: Condition) -> None:
    """True, False and unknown alike."""
    assert decode_conditions([encode_condition(condition)], where="x") == (condition,)


def test_a_sum_of_nodes_survives_the_round_trip() -> None:
    """People read one text, programs two numbers; what was missing is cleared when it came."""
    # SPEC N6
    nodes = NodeSum(ready=2, total=3, why="node-1: no ens4")
    assert decode_node_sum(encode_node_sum(nodes), where="x") == nodes
    wire = encode_node_sum(NodeSum(ready=3, total=3))
    assert (wire["summary"], wire["why"]) == ("3/3", "")
    assert decode_node_sum(None, where="x") is None
    with pytest.raises(InvalidObjectError, match="x has an unreadable sum"):
        decode_node_sum({"ready": "many"}, where="x")


@given(usages)
def test_usage_survives_the_round_trip(usage: Usage) -> None:
    """With numbers."""  # SPEC A4
    assert decode_usage(encode_usage(usage), where="x") == usage


@given(usages6)
def test_usage_of_ipv6_survives_the_round_trip(usage: Usage) -> None:
    """With texts, since counts exceed 64 bits."""  # SPEC A4
    assert decode_usage(encode_usage6(usage), where="x") == usage


def test_nothing_is_nothing() -> None:
    """An object without status has no conditions and was not counted."""
    assert (decode_conditions(None, where="x"), decode_usage(None, where="x")) == ((), None)


def test_what_is_no_condition_is_refused() -> None:
    """The error names the object."""
    with pytest.raises(InvalidObjectError, match="DanmNet a/b has unreadable conditions"):
        decode_conditions([{"status": "True"}], where="DanmNet a/b")


@pytest.mark.parametrize("raw", [{"total": "many"}, {"total": []}])
def test_what_is_no_usage_is_refused(raw: dict[str, object]) -> None:
    """The error names the object."""
    with pytest.raises(InvalidObjectError, match="DanmNet a/b has an unreadable usage"):
        decode_usage(raw, where="DanmNet a/b")
