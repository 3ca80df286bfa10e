"""Merged results."""

from ipaddress import IPv4Interface, IPv6Interface

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.codec.cni import decode_result
from danm_api.errors import DelegateError, InvalidAttachmentError
from danm_api.model.cni import CniDns, CniInterface, CniIp, CniResult, CniVersion
from danm_api.names import InterfaceName
from danm_cni.cni_errors import CniCode
from danm_cni.request import CniRequest, decode_request
from danm_cni.result import InterfaceResult, answer_in_version, merge, require_primary_address

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


def _request(version: str) -> CniRequest:
    environment = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": NETNS,
        "CNI_IFNAME": "eth0",
    }
    return decode_request(environment, msgspec.json.encode({"cniVersion": version}))


def test_a_result_in_the_version_asked_for_is_left_alone() -> None:
    """What another plugin says beyond what DANM knows of is not lost."""
    output = b'{"cniVersion":"1.0.0","ips":[],"extra":true}'
    assert output == answer_in_version(output, _request("1.0.0"))


@pytest.mark.parametrize("version", [each for each in CniVersion if each.value >= "0.3.0"])
def test_a_result_of_an_old_version_gets_its_interface(version: CniVersion) -> None:
    """Results before 0.3.0 tell of CNI_IFNAME without naming it; later ones must name it."""
    flat = b'{"cniVersion":"0.2.0","ip4":{"ip":"192.0.2.7/24"},"dns":{}}'
    result = decode_result(answer_in_version(flat, _request(version)))
    assert (CniInterface(name="eth0", sandbox=NETNS),) == result.interfaces
    assert [0] == [ip.interface for ip in result.ips]


def test_what_is_no_result_is_the_plugins_fault() -> None:
    """Rubbish of another plugin is not handed on."""
    with pytest.raises(DelegateError) as caught:
        answer_in_version(b'{"cniVersion":"1.0.0","ips":7}', _request("1.0.0"))
    assert caught.value.code == CniCode.UNDECODABLE


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
