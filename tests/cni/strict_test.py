"""What the strict reader takes, and what it must refuse."""

import json
from typing import Any

import pytest

from tests.cni.strict import (
    NotConformError,
    Outcome,
    read_error,
    read_ipam_result,
    read_nothing,
    read_result,
    read_versions,
)
from tests.cni.table import VERSIONS, at_least

NETNS = "/run/netns/x"
ROUTE: dict[str, Any] = {"dst": "0.0.0.0/0", "gw": "10.1.0.1"}
ETH0: dict[str, Any] = {"name": "eth0", "mac": "fa:16:3e:00:00:01", "sandbox": NETNS}
BRIDGE: dict[str, Any] = {"name": "br0", "mac": "fa:16:3e:00:00:02"}
IP: dict[str, Any] = {"address": "10.1.0.5/16", "gateway": "10.1.0.1", "interface": 1}
FLAT: dict[str, Any] = {
    "cniVersion": "0.2.0",
    "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [ROUTE]},
    "ip6": {"ip": "2001:db8::5/64"},
    "dns": {"nameservers": ["10.1.0.1"], "domain": "x", "search": ["x"], "options": ["rotate"]},
}


def full(version: str, **changes: object) -> dict[str, Any]:
    """Return a good result of a version with interfaces."""
    ip = IP if at_least(version, "1.0.0") else {"version": "4", **IP}
    return {
        "cniVersion": version,
        "interfaces": [BRIDGE, ETH0],
        "ips": [ip],
        "routes": [ROUTE],
        "dns": {},
        **changes,
    }


def printed(value: object, *, status: int = 0) -> Outcome:
    """Return how a plugin ends that prints a value."""
    return Outcome(status=status, output=json.dumps(value).encode())


def an_ip(form: str = "1.1.0", /, **changes: object) -> dict[str, Any]:
    """Return a result whose only address has these changes; None takes a key away."""
    result = full(form)
    ip = {**result["ips"][0], **changes}
    return {**result, "ips": [{key: value for key, value in ip.items() if value is not None}]}


def an_interface(form: str = "1.1.0", /, **changes: object) -> dict[str, Any]:
    """Return a result whose eth0 has these changes."""
    return full(form, interfaces=[BRIDGE, {**ETH0, **changes}])


@pytest.mark.parametrize("version", VERSIONS)
def test_good_results_are_read(version: str) -> None:
    """The form of each version is taken, and is that of no other form."""
    flat = {**FLAT, "cniVersion": version}
    good, bad = (full(version), flat) if at_least(version, "0.3.0") else (flat, full(version))
    assert read_result(printed(good), version, netns=NETNS) == good
    with pytest.raises(NotConformError):
        read_result(printed(bad), version, netns=NETNS)


def test_what_came_with_1_1_0_is_read() -> None:
    """MTU, socket and device of interfaces, and the details of routes."""
    details = {"mtu": 1400, "socketPath": "/run/s", "pciID": "0000:00:1f.6"}
    route = {**ROUTE, "mtu": 1400, "advmss": 1360, "priority": 100, "table": 1, "scope": 253}
    good = an_interface(**details) | {"routes": [route]}
    assert read_result(printed(good), "1.1.0", netns=NETNS) == good


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(full("1.0.0"), id="another version"),
        pytest.param({**full("1.1.0"), "extra": 1}, id="unknown key"),
        pytest.param({**full("1.1.0"), "ip4": FLAT["ip4"]}, id="key of an old version"),
        pytest.param({**full("1.1.0"), "ips": None}, id="null for a list"),
        pytest.param({**full("1.1.0"), "ips": {}}, id="object for a list"),
        pytest.param({k: v for k, v in full("1.1.0").items() if k != "ips"}, id="no ips"),
        pytest.param(
            {k: v for k, v in full("1.1.0").items() if k != "interfaces"}, id="no interfaces"
        ),
        pytest.param([full("1.1.0")], id="no object"),
        pytest.param(an_ip(version="4"), id="family after 0.4.0"),
        pytest.param(an_ip(address="10.1.0.5"), id="address without prefix length"),
        pytest.param(an_ip(address="10.1.0.5/33"), id="prefix too long"),
        pytest.param(an_ip(gateway="10.1.0.1/16"), id="gateway with prefix length"),
        pytest.param(an_ip(gateway="2001:db8::1"), id="gateway of the other family"),
        pytest.param(an_ip(interface=2), id="index behind the last interface"),
        pytest.param(an_ip(interface=-1), id="negative index"),
        pytest.param(an_ip(interface="1"), id="index in quotes"),
        pytest.param(an_ip(interface=True), id="truth for a number"),
        pytest.param(an_ip(interface=None), id="no index"),
        pytest.param(an_interface(sandbox="/run/netns/y"), id="another sandbox"),
        pytest.param(an_interface(sandbox=""), id="the Pod's interface without sandbox"),
        pytest.param(an_interface(name="net1"), id="no interface of the name asked for"),
        pytest.param(an_interface(name=""), id="no name"),
        pytest.param(an_interface(name="x" * 16), id="name too long"),
        pytest.param(an_interface(mac="FA-16-3E-00-00-01"), id="another form of MAC"),
        pytest.param(an_interface(mac=""), id="empty MAC"),
        pytest.param(an_interface(mtu="1400"), id="MTU in quotes"),
        pytest.param(an_interface(socketPath="run/s"), id="relative socket"),
        pytest.param(an_interface(pciID="1f.6"), id="half a device"),
        pytest.param(full("1.1.0", interfaces=[ETH0, ETH0]), id="the same interface twice"),
        pytest.param(full("1.1.0", routes=[{"gw": "10.1.0.1"}]), id="route to nowhere"),
        pytest.param(full("1.1.0", routes=[{"dst": "10.1.0.5/16"}]), id="host bits in a subnet"),
        pytest.param(full("1.1.0", routes=[{"dst": "::/0", "gw": "10.1.0.1"}]), id="mixed route"),
        pytest.param(full("1.1.0", routes=[{**ROUTE, "scope": 200}]), id="unknown scope"),
        pytest.param(full("1.1.0", routes=[{**ROUTE, "via": "10.1.0.1"}]), id="route with more"),
        pytest.param(full("1.1.0", dns={"nameservers": "10.1.0.1"}), id="one name server"),
        pytest.param(full("1.1.0", dns={"nameservers": ["a.example"]}), id="name of a server"),
        pytest.param(full("1.1.0", dns={"ttl": 1}), id="unknown key of dns"),
        pytest.param(full("1.1.0", dns={"domain": 1}), id="number for a domain"),
    ],
)
def test_bad_results_are_refused(result: Any) -> None:  # noqa: ANN401  (JSON)
    """Every way to break a result is found."""
    with pytest.raises(NotConformError):
        read_result(printed(result), "1.1.0", netns=NETNS)


@pytest.mark.parametrize(
    ("version", "result"),
    [
        pytest.param("0.4.0", an_ip("0.4.0", version=None), id="no family before 1.0.0"),
        pytest.param("0.4.0", an_ip("0.4.0", version="6"), id="wrong family"),
        pytest.param("0.4.0", an_ip("0.4.0", version=4), id="family as a number"),
        pytest.param("1.0.0", an_interface("1.0.0", mtu=1400), id="MTU before 1.1.0"),
        pytest.param("1.0.0", an_interface("1.0.0", pciID="0000:00:1f.6"), id="device too early"),
        pytest.param("1.0.0", an_interface("1.0.0", socketPath="/s"), id="socket too early"),
        pytest.param("1.0.0", full("1.0.0", routes=[{**ROUTE, "mtu": 1}]), id="details too early"),
        pytest.param("0.2.0", {**FLAT, "ip4": {"ip": "2001:db8::5/64"}}, id="IPv6 in ip4"),
        pytest.param("0.2.0", {**FLAT, "routes": [ROUTE]}, id="routes beside ip4"),
        pytest.param(
            "0.2.0", {**FLAT, "ip6": {**FLAT["ip6"], "routes": [ROUTE]}}, id="IPv4 route of ip6"
        ),
        pytest.param("0.2.0", {"cniVersion": "0.2.0"}, id="no dns where it is not optional"),
    ],
)
def test_what_a_version_does_not_know_is_refused(version: str, result: Any) -> None:  # noqa: ANN401
    """Each version has its own keys, no more and no less."""
    with pytest.raises(NotConformError):
        read_result(printed(result), version, netns=NETNS)


@pytest.mark.parametrize(
    "output",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half an object"),
        pytest.param(b'{"cniVersion":"0.2.0","dns":{}} {}', id="two objects"),
        pytest.param(b'{"cniVersion":"0.2.0","dns":{},"dns":{}}', id="a key twice"),
        pytest.param(b'{"cniVersion":"0.2.0","dns":{"domain":NaN}}', id="no JSON value"),
        pytest.param(b'{"cniVersion":"0.2.0","dns":{"domain":"\xff"}}', id="no UTF-8"),
        pytest.param(b'log line\n{"cniVersion":"0.2.0","dns":{}}', id="a log line before"),
    ],
)
def test_only_one_json_text_is_taken(output: bytes) -> None:
    """Standard output is one JSON object and nothing else."""
    with pytest.raises(NotConformError):
        read_result(Outcome(status=0, output=output), "0.2.0", netns=NETNS)


def test_an_ipam_result_knows_no_interfaces() -> None:
    """An IPAM plugin's result has neither interfaces nor indices."""
    good = full("1.1.0", ips=[{"address": "10.1.0.5/16"}])
    del good["interfaces"]
    assert read_ipam_result(printed(good), "1.1.0") == good
    for bad in ({**good, "interfaces": []}, {**good, "ips": [IP]}):
        with pytest.raises(NotConformError):
            read_ipam_result(printed(bad), "1.1.0")


ERROR = {"cniVersion": "1.1.0", "code": 4, "msg": "the variable CNI_IFNAME is missing"}


def test_good_errors_are_read() -> None:
    """Codes are the specification's or the plugin's own; unknown versions get the newest."""
    for version, code in (("1.1.0", 4), ("9.9.9", 1), ("1.1.0", 50), ("1.1.0", 101)):
        outcome = printed({**ERROR, "code": code, "details": "more"}, status=1)
        assert read_error(outcome, version, code=code, names=["CNI_IFNAME"])["code"] == code


@pytest.mark.parametrize(
    "error",
    [
        pytest.param({**ERROR, "cniVersion": "1.0.0"}, id="another version"),
        pytest.param({**ERROR, "code": 7}, id="another code"),
        pytest.param({**ERROR, "code": "4"}, id="code in quotes"),
        pytest.param({**ERROR, "code": 0}, id="no code"),
        pytest.param({**ERROR, "code": 8}, id="reserved code"),
        pytest.param({**ERROR, "msg": ""}, id="no sentence"),
        pytest.param({**ERROR, "msg": "a variable is missing"}, id="the variable is not named"),
        pytest.param({**ERROR, "details": ""}, id="empty details"),
        pytest.param({**ERROR, "reason": "x"}, id="unknown key"),
        pytest.param({"code": 4, "msg": "CNI_IFNAME"}, id="no version"),
    ],
)
def test_bad_errors_are_refused(error: Any) -> None:  # noqa: ANN401
    """Every way to break an error object is found."""
    with pytest.raises(NotConformError):
        read_error(printed(error, status=1), "1.1.0", code=4, names=["CNI_IFNAME"])


def test_success_and_failure_are_told_apart() -> None:
    """The exit status counts, whatever is printed."""
    with pytest.raises(NotConformError):
        read_error(printed(ERROR), "1.1.0", code=4)
    with pytest.raises(NotConformError):
        read_result(printed(full("1.1.0"), status=1), "1.1.0", netns=NETNS)


def test_nothing_is_nothing() -> None:
    """A verb without a result prints not even an empty object."""
    read_nothing(Outcome(status=0, output=b""))
    for outcome in (Outcome(status=1, output=b""), printed({})):
        with pytest.raises(NotConformError):
            read_nothing(outcome)


@pytest.mark.parametrize("version", VERSIONS)
def test_all_versions_must_be_supported(version: str) -> None:
    """VERSION's answer lists all seven, in the version of the question."""
    good = {"cniVersion": version, "supportedVersions": list(VERSIONS)}
    assert read_versions(printed(good), version) == good
    for bad in (
        {**good, "supportedVersions": list(VERSIONS[:-1])},
        {**good, "cniVersion": "0.5.0"},
        {**good, "extra": 1},
        {"supportedVersions": list(VERSIONS)},
    ):
        with pytest.raises(NotConformError):
            read_versions(printed(bad), version)
