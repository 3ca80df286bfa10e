"""Builders build what is valid."""

import pytest

from danm_api.codec.danmep import decode_danmep, encode_danmep
from danm_api.codec.ip_block import decode_ip_block, encode_ip_block
from danm_api.model.danmnet import UnreadableSpec
from danm_api.testing.builders import (
    a_block,
    a_danmep,
    a_danmnet,
    a_held_entry,
    accepted,
)
from danm_api.validation import validate_network


def test_a_danmnet_is_valid_as_it_comes() -> None:
    """A test names only what matters to it."""
    assert validate_network(a_danmnet()) == ()


def test_an_accepted_danmnet_is_in_force() -> None:
    """By its present spec."""
    net = accepted(a_danmnet(cidr="10.0.0.0/24"))
    assert net.spec_in_force() == net.spec


def test_an_unreadable_danmnet_was_never_accepted() -> None:
    """A test that says so is mistaken."""
    net = a_danmnet(cidr="x")
    assert isinstance(net.spec, UnreadableSpec)
    with pytest.raises(TypeError):
        accepted(net)


def test_objects_are_what_the_codecs_read() -> None:
    """Whatever is built could be stored."""
    ep = a_danmep(app="x")
    block = a_block("10.240.1.100", a_held_entry())
    assert decode_danmep(encode_danmep(ep)) == ep
    assert decode_ip_block(encode_ip_block(block)) == block
