"""The Pod annotation."""

from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Interface
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.codec.attachment import (
    decode_annotation,
    decode_ipv4_request,
    decode_ipv6_request,
    encode_ip_request,
)
from danm_api.errors import InvalidAttachmentError
from danm_api.model.attachment import (
    Attachment,
    Dynamic,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.testing.strategies import attachments

POD = "example-vnf/loadbalancer-1"


def _refusal(text: str) -> InvalidAttachmentError:
    with pytest.raises(InvalidAttachmentError) as caught:
        decode_annotation(text, pod=POD)
    return caught.value


def _entry(attachment: Attachment) -> dict[str, Any]:
    return {
        "network": attachment.network,
        "ip": encode_ip_request(attachment.ip),
        "ip6": encode_ip_request(attachment.ip6),
        "proutes": {str(r.destination): str(r.gateway) for r in attachment.policy_routes},
        "proutes6": {str(r.destination): str(r.gateway) for r in attachment.policy_routes6},
    }


@given(st.lists(attachments, max_size=3))
def test_an_annotation_survives_the_round_trip(given: list[Attachment]) -> None:
    """Whatever Pods may ask is read as it is meant."""  # SPEC B1
    text = msgspec.json.encode([_entry(each) for each in given]).decode()
    found = decode_annotation(text, pod=POD)
    assert [_entry(each) for each in found] == [_entry(each) for each in given]
    assert [each.index for each in found] == list(range(len(given)))


@pytest.mark.parametrize("text", [None, "", "  \n", "[]"])
def test_nothing_asked_is_no_attachment(text: str | None) -> None:
    """The Pod gets its namespace's default network then."""  # SPEC B2
    assert decode_annotation(text, pod=POD) == ()


def test_the_demo_s_annotation_is_read() -> None:
    """Three networks, each dynamic."""  # SPEC B1
    text = """[
      {"network": "management", "ip": "dynamic"},
      {"network": "external", "ip": "dynamic"},
      {"network": "internal", "ip": "dynamic", "ip6": "none"}
    ]"""
    found = decode_annotation(text, pod=POD)
    assert [(each.index, each.network) for each in found] == [
        (0, "management"),
        (1, "external"),
        (2, "internal"),
    ]
    assert all((each.ip, each.ip6) == (Dynamic(), NoAddress()) for each in found)


def test_one_network_may_be_asked_twice() -> None:
    """Each entry is an interface of its own."""  # SPEC B5
    text = '[{"network": "a", "ip": "dynamic"}, {"network": "a", "ip": "none"}]'
    assert len(decode_annotation(text, pod=POD)) == 2


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        pytest.param("[{", "", "is not JSON", id="broken JSON"),
        pytest.param("[" * 100_000, "", "is not JSON", id="endless nesting"),
        pytest.param("{}", "", "is not a list", id="no list"),
        pytest.param("null", "", "is not a list", id="null"),
        pytest.param('["a"]', "[0]", "expected object, got str", id="no object"),
        pytest.param('[{"ip": "none"}]', "[0]", "missing required field network", id="no network"),
        pytest.param('[{"network": ""}]', "[0].network", "name a DanmNet", id="empty network"),
        pytest.param('[{"network": 5}]', "[0].network", "expected str, got int", id="type"),
        pytest.param('[{"network": "a", "ip4": "none"}]', "[0]", "unknown keys ip4", id="key"),
        pytest.param(
            '[{"network": "a", "ip": "10.0.0.7"}]', "[0].ip", "lacks its prefix", id="no prefix"
        ),
        pytest.param('[{"network": "a", "ip": "Dynamic"}]', "[0].ip", '"dynamic"', id="case"),
        pytest.param(
            '[{"network": "a", "ip6": "10.0.0.7/24"}]', "[0].ip6", "not an IPv6", id="family"
        ),
        pytest.param(
            '[{"network": "a", "proutes": {"x": "10.0.0.1"}}]',
            "[0].proutes[x]",
            "lacks its prefix",
            id="route",
        ),
        pytest.param(
            '[{"network": "a"}, {"network": "a", "proutes": ["x"]}]',
            "[1].proutes",
            "expected object | null, got array",
            id="type of routes",
        ),
    ],
)
def test_bad_annotations_are_refused(text: str, field: str, message: str) -> None:
    """With the Pod, the entry's index and the reason. The old program swallowed bad JSON."""
    error = _refusal(text)  # SPEC B3
    assert POD in error.reason
    assert field in error.reason
    assert [each.field for each in error.violations] == [field]
    assert message in error.violations[0].message


def test_all_entries_at_fault_are_named_at_once() -> None:
    """A user mends the annotation in one go."""  # SPEC B3
    error = _refusal('[{"network": "a", "ip": "x"}, {"network": "a"}, {"network": 1}]')
    assert [each.field for each in error.violations] == ["[0].ip", "[2].network"]


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a tenant writes is read or refused."""  # SPEC B3
    with suppress(InvalidAttachmentError):
        decode_annotation(text, pod=POD)


def test_requests_of_ipam_s_messages_are_read() -> None:
    """They have the annotation's forms."""
    assert decode_ipv4_request("10.0.0.7/24", field="ip") == StaticIPv4(
        interface=IPv4Interface("10.0.0.7/24")
    )
    assert decode_ipv6_request("2001:db8::7/64", field="ip6") == StaticIPv6(
        interface=IPv6Interface("2001:db8::7/64")
    )
    assert decode_ipv4_request("dynamic", field="ip") == Dynamic()
    assert decode_ipv6_request("none", field="ip6") == NoAddress()


def test_bad_requests_are_refused_with_their_field() -> None:
    """So that the problem document can name it."""
    with pytest.raises(InvalidAttachmentError) as caught:
        decode_ipv4_request("x", field="attachments[1].ip")
    assert caught.value.violations[0].field == "attachments[1].ip"
