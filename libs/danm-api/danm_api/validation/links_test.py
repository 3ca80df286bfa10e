"""Names of links."""

import pytest

from danm_api.model.danmnet import NetworkSpec, Segment, Untagged, Vlan, Vxlan
from danm_api.names import NetworkName
from danm_api.validation.links import host_link_name, interface_name_fault, parent_link_name


@pytest.mark.parametrize(
    ("segment", "link", "parent"),
    [
        pytest.param(Untagged(), None, "ens4", id="untagged"),
        pytest.param(Vlan(vid=300), "external.300", "external.300", id="VLAN"),
        pytest.param(Vxlan(vni=600), "vx_external", "vx_external", id="VXLAN"),
    ],
)
def test_pods_hang_on_the_network_s_link(segment: Segment, link: str | None, parent: str) -> None:
    """Names are those of 2019, so that running nodes agree."""  # SPEC D1, N2
    spec = NetworkSpec(network_id=NetworkName("external"), host_device="ens4", segment=segment)
    assert (host_link_name(spec), parent_link_name(spec)) == (link, parent)


def test_a_network_may_have_no_link_at_all() -> None:
    """Such as one that only fakeipam uses."""  # SPEC F2
    assert parent_link_name(NetworkSpec(network_id=NetworkName("x"))) is None


@pytest.mark.parametrize("name", ["e", "eth0", "ens4.300", "x" * 15, "größe"])
def test_linux_takes_these_names(name: str) -> None:
    """15 bytes at most."""  # SPEC B4
    assert interface_name_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\x00b", "x" * 16, "ö" * 8),
        # What dev_alloc_name() reads as a pattern, and isspace(0xa0) of any letter's bytes.
        *("x%d", "a%s", "%", "à", "\u2020", "\u0820"),
    ],
)
def test_linux_refuses_these_names(name: str) -> None:
    """Whoever chose it learns why."""  # SPEC B4
    assert interface_name_fault(name) is not None
