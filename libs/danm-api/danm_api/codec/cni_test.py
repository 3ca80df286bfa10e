"""CNI results and errors of every version."""

from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.codec.cni import (
    decode_error,
    decode_result,
    encode_error,
    encode_result,
    stated_version,
)
from danm_api.errors import InvalidRequestError
from danm_api.model.cni import (
    CniDns,
    CniError,
    CniInterface,
    CniIp,
    CniResult,
    CniRoute,
    CniVersion,
)
from danm_api.testing.strategies import cni_results

RESULT = CniResult(
    interfaces=(
        CniInterface(
            name="eth0",
            mac="fa:16:3e:00:00:07",
            sandbox="/run/netns/x",
            mtu=1400,
            socket_path="/run/vhost/x.sock",
            pci_id="0000:00:1f.6",
        ),
    ),
    ips=(
        CniIp(address=IPv4Interface("10.0.0.7/24"), gateway=ip_address("10.0.0.1"), interface=0),
        CniIp(address=IPv6Interface("2001:db8::7/64"), interface=0),
    ),
    routes=(
        CniRoute(
            destination=ip_network("10.1.0.0/16"),
            gateway=ip_address("10.0.0.1"),
            mtu=1300,
            advmss=1260,
            priority=100,
            table=0,
            scope=0,
        ),
        CniRoute(destination=ip_network("2001:db8:1::/48")),
    ),
    dns=CniDns(nameservers=("10.0.0.2",)),
)


def _printed(version: CniVersion) -> Any:  # noqa: ANN401  (JSON)
    return msgspec.json.decode(encode_result(RESULT, version))


@given(cni_results)
def test_a_result_survives_the_round_trip(result: CniResult) -> None:
    """In the present version nothing is lost."""  # SPEC C2
    assert decode_result(encode_result(result, CniVersion.V1_1_0)) == result


@given(cni_results, st.sampled_from(CniVersion))
def test_every_version_can_be_printed_and_read(result: CniResult, version: CniVersion) -> None:
    """What is printed names its version, and is a result."""  # SPEC C2
    printed = encode_result(result, version)
    assert msgspec.json.decode(printed)["cniVersion"] == version.value
    decode_result(printed)


@pytest.mark.parametrize("version", [CniVersion.V0_1_0, CniVersion.V0_2_0])
def test_old_versions_have_one_address_of_each_family(version: CniVersion) -> None:
    """With the routes of its family."""  # SPEC C2
    assert _printed(version) == {
        "cniVersion": version.value,
        "ip4": {
            "ip": "10.0.0.7/24",
            "gateway": "10.0.0.1",
            "routes": [{"dst": "10.1.0.0/16", "gw": "10.0.0.1"}],
        },
        "ip6": {"ip": "2001:db8::7/64", "routes": [{"dst": "2001:db8:1::/48"}]},
        "dns": {"nameservers": ["10.0.0.2"]},
    }


@pytest.mark.parametrize(
    ("version", "says_family", "says_more"),
    [
        pytest.param(CniVersion.V0_3_0, True, False, id="0.3.0"),
        pytest.param(CniVersion.V0_3_1, True, False, id="0.3.1"),
        pytest.param(CniVersion.V0_4_0, True, False, id="0.4.0"),
        pytest.param(CniVersion.V1_0_0, False, False, id="1.0.0"),
        pytest.param(CniVersion.V1_1_0, False, True, id="1.1.0"),
    ],
)
def test_later_versions_differ_in_details(
    version: CniVersion, says_family: bool, says_more: bool
) -> None:
    """Family of an address up to 0.4.0; MTU, devices and details of routes from 1.1.0 on."""
    # SPEC C2
    printed = _printed(version)
    assert ("version" in printed["ips"][0]) == says_family
    more = {"mtu": 1400, "socketPath": "/run/vhost/x.sock", "pciID": "0000:00:1f.6"}
    own = {"name": "eth0", "mac": "fa:16:3e:00:00:07", "sandbox": "/run/netns/x"}
    assert printed["interfaces"] == [own | (more if says_more else {})]
    route = {"dst": "10.1.0.0/16", "gw": "10.0.0.1"}
    details = {"mtu": 1300, "advmss": 1260, "priority": 100, "table": 0, "scope": 0}
    assert printed["routes"][0] == route | (details if says_more else {})
    assert printed["ips"][1]["interface"] == 0


@pytest.mark.parametrize("version", CniVersion)
def test_a_result_of_an_ipam_plugin_has_no_interfaces(version: CniVersion) -> None:
    """An IPAM plugin knows no interfaces, and its result has not even an empty list of them."""
    # CNI 1.1.0, section 5
    result = CniResult(ips=(CniIp(address=IPv4Interface("192.0.2.7/24")),))
    assert "interfaces" not in msgspec.json.decode(encode_result(result, version))


def test_null_lists_of_go_programs_are_empty() -> None:
    """Delegates print such."""  # SPEC E3
    assert decode_result(b'{"cniVersion":"0.4.0","ips":null,"routes":null}') == CniResult()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"ips": ' * 100_000,
        b'{"ips": [{"address": "10.0.0.7"}]}',
        b'{"ips": [{"address": "\xff"}]}',
        b'{"routes": [{"dst": "x"}]}',
    ],
)
def test_what_is_no_result_is_refused(data: bytes) -> None:
    """A delegate that prints it has failed."""  # SPEC E3
    with pytest.raises(InvalidRequestError, match="unreadable CNI result"):
        decode_result(data)


@pytest.mark.parametrize("details", ["", "more"])
def test_an_error_survives_the_round_trip(details: str) -> None:
    """Code, message and details."""  # SPEC C2
    error = CniError(code=101, message="The pool is full", details=details)
    assert decode_error(encode_error(error, CniVersion.V1_0_0)) == error


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"panic: x",
        b'{"cniVersion":"1.0.0"}',
        b'{"code":"x"}',
        b'{"code":1,"msg":"\xff"}',
        b'{"code":' * 100_000,
        # Runtimes read a code as an unsigned number, and lose the message with any other.
        b'{"code":-1}',
        b'{"code":4294967296}',
    ],
)
def test_what_is_no_error_object_is_none(data: bytes) -> None:
    """A plugin that crashed printed something else."""
    assert decode_error(data) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'{"cniVersion":"1.0.0","x":1}', CniVersion.V1_0_0, id="stated"),
        pytest.param(b"{}", CniVersion.V0_1_0, id="none"),
        pytest.param(b'{"cniVersion":""}', CniVersion.V0_1_0, id="libcni's form of none"),
        pytest.param(b'{"cniVersion":null}', CniVersion.V0_1_0, id="null"),
        pytest.param(b'{"cniVersion":"9.9.9"}', None, id="not known"),
    ],
)
def test_the_version_that_is_stated(data: bytes, expected: CniVersion | None) -> None:
    """Of a configuration or a result; one without it is of the first version."""  # SPEC C2
    assert stated_version(data) is expected


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"[" * 100_000, b'{"cniVersion":1}', b'{"cniVersion":"\xff"}']
)
def test_what_states_no_version_is_refused(data: bytes) -> None:
    """Rubbish is an error and no version."""
    with pytest.raises(InvalidRequestError):
        stated_version(data)


def test_versions_have_what_came_before_them() -> None:
    """CHECK came with 0.4.0, so it is in that version and in later ones."""  # SPEC C2
    having = [version for version in CniVersion if version.has(CniVersion.V0_4_0)]
    assert having == [CniVersion.V0_4_0, CniVersion.V1_0_0, CniVersion.V1_1_0]
