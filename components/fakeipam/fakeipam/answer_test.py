"""The result for an address that the configuration names."""

import pytest

from fakeipam.answer import SUPPORTED_VERSIONS, RefusedError, add_answer


def config(version: str, **ipam: object) -> dict[str, object]:
    """Return a configuration as a delegate hands it on."""
    return {
        "cniVersion": version,
        "name": "n",
        "type": "macvlan",
        "ipam": {"type": "fakeipam", **ipam},
    }


V4 = {
    "ip": "10.1.2.3",
    "subnet": "10.1.2.0/24",
    "gateway": "10.1.2.1",
    "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.2.1"}],
}
V6 = {"ip": "2001:db8::3", "subnet": "2001:db8::/64"}


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_old_versions_have_an_object_for_each_family(version: str) -> None:
    """0.1.0 and 0.2.0 print ip4 and ip6."""  # SPEC F1
    assert add_answer(config(version, **V4)) == {
        "cniVersion": version,
        "ip4": {
            "ip": "10.1.2.3/24",
            "gateway": "10.1.2.1",
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.2.1"}],
        },
        "dns": {},
    }
    assert add_answer(config(version, **V6)) == {
        "cniVersion": version,
        "ip6": {"ip": "2001:db8::3/64"},
        "dns": {},
    }


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0"])
def test_middle_versions_tag_the_family(version: str) -> None:
    """0.3.0 to 0.4.0 print ips with a version."""  # SPEC F1
    answer = add_answer(config(version, **V4))
    assert answer["ips"] == [{"address": "10.1.2.3/24", "gateway": "10.1.2.1", "version": "4"}]
    assert answer["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.1.2.1"}]
    assert add_answer(config(version, **V6))["ips"] == [
        {"address": "2001:db8::3/64", "version": "6"}
    ]


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
def test_dns_is_there(version: str) -> None:
    """Versions before 0.4.0 do not call dns optional."""
    assert add_answer(config(version, **V4))["dns"] == {}


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
def test_new_versions_do_not_tag_it(version: str) -> None:
    """From 1.0.0 on an entry of ips has no version."""  # SPEC F1
    assert add_answer(config(version, **V6))["ips"] == [{"address": "2001:db8::3/64"}]


def test_a_prefix_length_beside_the_address_is_harmless() -> None:
    """The subnet's prefix length counts."""
    answer = add_answer(config("1.0.0", ip="10.1.2.3/32", subnet="10.1.2.0/24"))
    assert answer["ips"] == [{"address": "10.1.2.3/24"}]


@pytest.mark.parametrize(
    ("ipam", "words"),
    [
        pytest.param({}, "are needed", id="no address"),  # SPEC F1
        pytest.param({"ip": "", "subnet": "10.0.0.0/24"}, "are needed", id="empty address"),
        pytest.param({"ip": "10.0.0.1"}, "are needed", id="no subnet"),
        pytest.param({"ip": "x", "subnet": "10.0.0.0/24"}, "ipam.ip", id="no address at all"),
        pytest.param({"ip": "10.0.0.1", "subnet": "y"}, "ipam.subnet", id="no subnet at all"),
        pytest.param({"ip": "10.0.1.1", "subnet": "10.0.0.0/24"}, "not in", id="outside"),
        pytest.param({"ip": "::1", "subnet": "10.0.0.0/24"}, "not in", id="other family"),
        pytest.param({"ip": 7, "subnet": "10.0.0.0/24"}, "a string", id="number"),
        pytest.param({**V4, "routes": {"a": "b"}}, "ipam.routes", id="routes no list"),
        pytest.param({**V4, "routes": [{"gw": "10.1.2.1"}]}, "routes[0]", id="route without dst"),
        pytest.param({**V4, "gateway": "z"}, "ipam.gateway", id="bad gateway"),
    ],
)
def test_what_cannot_be_answered_is_refused(ipam: dict[str, object], words: str) -> None:
    """A bad configuration is error 7 with the field at fault, never an empty result."""
    with pytest.raises(RefusedError) as caught:
        add_answer(config("1.0.0", **ipam))
    assert caught.value.code == 7
    assert words in caught.value.reason


def test_an_unknown_version_is_refused() -> None:
    """Error 1 for a version that nobody knows."""
    with pytest.raises(RefusedError) as caught:
        add_answer(config("2.0.0", **V4))
    assert caught.value.code == 1


def test_all_versions_of_the_specification_are_supported() -> None:
    """The versions are those of SPEC C2."""
    assert SUPPORTED_VERSIONS[0] == "0.1.0"
    assert SUPPORTED_VERSIONS[-1] == "1.1.0"
