"""DanmEp on the wire."""

import re

import pytest
from hypothesis import given

from danm_api import labels
from danm_api.codec.danmep import (
    decode_danmep,
    decode_endpoint_identity,
    encode_danmep,
    endpoint_object_name,
)
from danm_api.errors import InvalidObjectError
from danm_api.model.danmep import DanmEp, EndpointIdentity
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NodeName,
    PodName,
    PodUid,
)
from danm_api.testing.builders import a_danmep
from danm_api.testing.strategies import danmeps


@given(danmeps)
def test_a_danmep_survives_the_round_trip(ep: DanmEp) -> None:
    """What danmd writes is what svcwatcher reads."""  # SPEC A2
    assert decode_danmep(encode_danmep(ep)) == ep


def test_the_fields_have_their_names_of_2019() -> None:
    """Tools that read DanmEps go on working."""  # SPEC A2
    spec = encode_danmep(a_danmep())["spec"]
    assert set(spec) == {
        "NetworkID",
        "NetworkType",
        "EndpointID",
        "Interface",
        "Host",
        "Pod",
        "CID",
        "netns",
        "Creator",
    }
    assert spec["Interface"] == {"Name": "eth0", "Address": "10.240.1.100/24"}


def test_every_look_up_is_a_selector() -> None:
    """Container, node, network and Pod are labels, of at most 63 characters."""  # SPEC A2
    ep = a_danmep(container_id="c" * 64, node="n" * 200)
    written = encode_danmep(ep)["metadata"]["labels"]
    assert set(written) == {labels.CONTAINER_ID, labels.NODE, labels.NETWORK, labels.POD_UID}
    assert all(len(value) <= 63 for value in written.values())
    assert written[labels.CONTAINER_ID] == labels.container_id_label(ep.container_id)


def test_a_tenant_cannot_forge_our_labels() -> None:
    """A Pod's labels under our prefix are not taken over."""  # SPEC A2
    ep = a_danmep(**{"app": "lb", labels.NODE: "elsewhere", f"{labels.PREFIX}other": "x"})
    written = encode_danmep(ep)["metadata"]["labels"]
    assert (written[labels.NODE], written["app"]) == ("node-1", "lb")
    assert f"{labels.PREFIX}other" not in written


def test_names_are_deterministic_and_distinct() -> None:
    """So a repeated ADD meets its own object, and two interfaces never share one."""  # SPEC C5
    given = [("u", "c", "eth0"), ("u", "c", "eth1"), ("u", "c2", "eth0"), ("u2", "c", "eth0")]
    names = [
        endpoint_object_name(PodUid(uid), ContainerId(container), InterfaceName(interface))
        for uid, container, interface in given + given
    ]
    assert len(set(names)) == 4
    assert names[:4] == names[4:]
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name) for name in names)


def test_an_unreadable_danmep_is_refused_with_its_fields() -> None:
    """The error names the object."""
    raw = encode_danmep(a_danmep())
    raw["spec"]["Interface"]["Address"] = "10.240.1.100"
    raw["spec"]["Expires"] = "soon"
    with pytest.raises(InvalidObjectError, match="DanmEp example-vnf/ep-1") as caught:
        decode_danmep(raw)
    fields = [each.field for each in caught.value.violations]
    assert fields == ["spec.Interface.Address", "spec.Expires"]


def test_a_danmep_without_spec_is_refused() -> None:
    """It is none."""
    with pytest.raises(InvalidObjectError):
        decode_danmep({"metadata": {"name": "x"}})


@given(danmeps)
def test_the_identity_is_that_of_the_danmep(ep: DanmEp) -> None:
    """What counts and deletes DanmEps sees the same objects as what reads them whole."""
    assert decode_endpoint_identity(encode_danmep(ep)) == ep.identity


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(None, id="no spec"),
        pytest.param(["x"], id="a list"),
        pytest.param({"Host": 7, "Pod": None, "Interface": "eth0"}, id="wrong types"),
    ],
)
def test_an_identity_is_read_from_whatever_is_there(spec: object) -> None:
    """No content of a DanmEp hides the object from whoever counts or deletes it."""
    metadata = {"namespace": "ns", "name": "ep", "uid": "u", "resourceVersion": "7"}
    assert decode_endpoint_identity({"metadata": metadata, "spec": spec}) == EndpointIdentity(
        namespace=Namespace("ns"),
        name="ep",
        uid="u",
        resource_version="7",
        network=NetworkName(""),
        node=NodeName(""),
        pod=PodName(""),
        interface=InterfaceName(""),
    )
