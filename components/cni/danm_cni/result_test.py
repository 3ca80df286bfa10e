"""Merged results."""

from ipaddress import IPv4Interface, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.errors import InvalidAttachmentError
from danm_api.model.cni import CniDns, CniInterface, CniIp, CniResult
from danm_api.names import InterfaceName
from danm_cni.result import InterfaceResult, merge, require_primary_address

NETNS = "/run/netns/x"
BRIDGE = CniInterface(name="br0", mac="02:00:00:00:00:09")


def _part(name: str, address: str | None, *host: CniInterface) -> InterfaceResult:
    own = CniInterface(name=name, sandbox=NETNS)
    ips = () if address is None else (CniIp(address=IPv4Interface(address), interface=len(host)),)
    result = CniResult(interfaces=(*host, own), ips=ips, dns=CniDns(nameservers=("192.0.2.53",)))
    return InterfaceResult(interface=InterfaceName(name), result=result)


def test_eth0_comes_first() -> None:
    """The runtime reports the first address, so it is eth0's; the rest keeps its order."""
    merged = merge([_part("ext", "10.0.0.1/24"), _part("eth0", "10.0.1.1/24", BRIDGE)], netns=NETNS)
    # SPEC C3
    assert ["10.0.1.1/24", "10.0.0.1/24"] == [str(ip.address) for ip in merged.ips]
    assert ["br0", "eth0", "ext"] == [each.name for each in merged.interfaces]
    assert merged.dns.nameservers == ("192.0.2.53",)


def test_results_of_old_plugins_are_completed() -> None:
    """A result without interfaces, as of CNI 0.2.0, gets its interface and the index of it."""
    old = CniResult(ips=(CniIp(address=IPv6Interface("2001:db8::1/64")),))
    part = InterfaceResult(interface=InterfaceName("eth0"), result=old)
    merged = merge([part], netns=NETNS)
    assert (CniInterface(name="eth0", sandbox=NETNS),) == merged.interfaces
    assert [0] == [ip.interface for ip in merged.ips]


@given(st.permutations(["eth0", "ext", "int", "net1"]), st.data())
def test_every_address_keeps_its_interface(names: list[str], data: st.DataObject) -> None:
    """Whatever the order and the host interfaces, an address points at the interface it had."""
    parts = [
        _part(name, f"10.0.{number}.1/24", *data.draw(st.sampled_from([(), (BRIDGE,)])))
        for number, name in enumerate(names)
    ]
    merged = merge(parts, netns=NETNS)
    got = {
        str(ip.address): merged.interfaces[ip.interface].name
        for ip in merged.ips
        if ip.interface is not None
    }
    assert {f"10.0.{number}.1/24": name for number, name in enumerate(names)} == got
    assert got[str(merged.ips[0].address)] == "eth0"


def test_eth0_without_address_is_refused() -> None:
    """A delegate that gives eth0 no address fails the ADD, with the reason."""
    merged = merge([_part("eth0", None), _part("ext", "10.0.0.1/24")], netns=NETNS)
    # SPEC B4
    with pytest.raises(InvalidAttachmentError, match="eth0 got no address"):
        require_primary_address("Pod a/b", merged)
