"""What fakeipam forwards, and what it is to print."""

from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
import pytest

from danm_api.codec.cni import encode_result
from danm_api.codec.danmnet import decode_danmnet
from danm_api.errors import InvalidNetworkError
from danm_api.ipam_api import AttachmentAnswer, ContainerOwnerMessage, PodOwnerMessage
from danm_api.model.cni import CniVersion
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.names import PodUid
from danm_api.testing.builders import a_raw_danmnet
from danm_cni.cni_errors import CniRequestError
from danm_cni.ipam_request import (
    IpamRequest,
    decode_ipam_request,
    owner_message,
    result_of,
    wanted_addresses,
)

_POD_ARGS = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1"


def decoded(
    *,
    args: str = _POD_ARGS,
    verb: str = "ADD",
    config: dict[str, Any] | None = None,
    **ipam: Any,  # noqa: ANN401  (JSON values)
) -> IpamRequest:
    """Decode a request as fakeipam sends it."""
    environment = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/var/run/netns/x",
        "CNI_IFNAME": "net1",
        "CNI_ARGS": args,
    }
    section = {"type": "fakeipam", "network": "lan", **ipam}
    body = {"cniVersion": "1.0.0", "name": "cfg", "type": "bridge", "ipam": section}
    return decode_ipam_request(environment, msgspec.json.encode({**body, **(config or {})}))


def network(**options: Any) -> tuple[DanmNet, NetworkSpec]:  # noqa: ANN401  (JSON values)
    """Return a DanmNet and its spec."""
    net = decode_danmnet(a_raw_danmnet("lan", **options))
    assert isinstance(net.spec, NetworkSpec)
    return net, net.spec


def test_a_pod_is_the_owner() -> None:
    """Of a Pod's interface the Pod is the owner, and the DanmNet is of its namespace."""
    # SPEC F2, G7
    request = decoded()
    assert (request.network, request.namespace, request.call.config_name) == ("lan", "shop", "cfg")
    assert owner_message(request, PodUid("u1")) == PodOwnerMessage(
        namespace="shop", name="web", uid="u1"
    )
    assert request.subject == "Pod shop/web, interface net1"


@pytest.mark.parametrize(("ipam", "namespace"), [({}, "default"), ({"namespace": "lab"}, "lab")])
def test_another_container_is_its_own_owner(ipam: dict[str, Any], namespace: str) -> None:
    """Without a Pod the container is the owner, in the namespace that the configuration names."""
    # SPEC F2
    request = decoded(args="", **ipam)
    assert owner_message(request, None) == ContainerOwnerMessage(
        namespace=namespace, container_id="c1"
    )
    assert request.subject == "container c1, interface net1"


def test_a_pod_may_name_its_own_namespace() -> None:
    """One configuration for Pods and other containers names it for the others."""
    assert decoded(namespace="shop").namespace == "shop"


def test_a_pod_whose_uid_nobody_knows_is_no_owner() -> None:
    """ipam-svc tells Pods apart by nothing else, so the container is the owner."""
    # SPEC G7
    container = ContainerOwnerMessage(namespace="shop", container_id="c1")
    assert owner_message(decoded(), None) == container
    request = decoded(args="", namespace="shop")
    assert owner_message(request, PodUid("u1")) == container


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"network": ""}, "ipam.network", id="no network"),
        pytest.param({"network": 7}, "cannot be read", id="number"),
        pytest.param({"namespace": "other"}, "own namespace only", id="another namespace"),
        pytest.param({"routes": [{"dst": "x"}]}, "cannot be read", id="bad route"),
        pytest.param({"config": {"prevResult": {"ips": 7}}}, "cannot be read", id="bad result"),
    ],
)
def test_a_bad_configuration_is_refused(changes: dict[str, Any], words: str) -> None:
    """Error 7 that says what is wrong; a Pod never gets another namespace's addresses."""
    # SPEC F2; DESIGN P7
    with pytest.raises(CniRequestError, match=words) as caught:
        decoded(**changes)
    assert caught.value.code == 7


@pytest.mark.parametrize("section", ["", ',"ipam":{}', ',"ipam":{"type":"fakeipam"}'])
def test_a_configuration_that_names_no_network_says_what_is_missing(section: str) -> None:
    """Whether it has the section or not."""
    # SPEC F2; DESIGN P7
    stdin = b'{"cniVersion":"1.0.0","name":"cfg","type":"bridge"%s}' % section.encode()
    environment = dict(decoded().call.environment)
    with pytest.raises(CniRequestError, match=r"has no ipam\.network; name a DanmNet"):
        decode_ipam_request(environment, stdin)


def test_check_brings_the_addresses_of_the_result() -> None:
    """CHECK compares with prevResult, of whatever version."""
    # SPEC C6
    ips = [{"address": "10.0.0.4/24"}, {"address": "2001:db8::4/64"}]
    expected = frozenset({ip_address("10.0.0.4"), ip_address("2001:db8::4")})
    assert decoded(verb="CHECK", config={"prevResult": {"ips": ips}}).previous == expected
    assert decoded(verb="CHECK").previous is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"cidr": "10.0.0.0/24"}, ("dynamic", "none"), id="IPv4"),
        pytest.param({"net6": "2001:db8::/64"}, ("none", "dynamic"), id="IPv6"),
        pytest.param(
            {"cidr": "10.0.0.0/24", "net6": "2001:db8::/64"}, ("dynamic", "dynamic"), id="dual"
        ),
    ],
)
def test_an_address_of_each_family_is_asked_for(
    options: dict[str, str], expected: tuple[str, str]
) -> None:
    """What the DanmNet has decides."""
    # SPEC F2
    wanted = wanted_addresses(decoded(), *network(**options))
    assert ((wanted.ip, wanted.ip6), wanted.interface) == (expected, "net1")
    assert wanted.network == "lan"


def test_a_network_without_addresses_is_refused() -> None:
    """An L2 network has nothing to give, and the sentence says what to set."""
    # SPEC G4
    with pytest.raises(InvalidNetworkError, match="Options.cidr"):
        wanted_addresses(decoded(), *network(host_device="ens3"))


def test_the_result_has_addresses_gateways_and_routes() -> None:
    """The DanmNet's routes come along, the configuration's own ones beat them."""
    # SPEC F1, F2
    _, spec = network(
        cidr="10.0.0.0/24",
        net6="2001:db8::/64",
        routes={"0.0.0.0/0": "10.0.0.254", "192.0.2.0/24": "10.0.0.253"},
        routes6={"2001:db8:1::/48": "2001:db8::fe"},
    )
    answer = AttachmentAnswer(
        network="lan",
        network_uid="u",
        interface="net1",
        mac="",
        ip="10.0.0.4/24",
        ip6="2001:db8::4/64",
    )
    own = decoded(routes=[{"dst": "192.0.2.0/24", "gw": "10.0.0.1"}]).routes
    result = result_of(answer, spec, own)
    assert [(str(each.address), str(each.gateway)) for each in result.ips] == [
        ("10.0.0.4/24", "10.0.0.254"),
        ("2001:db8::4/64", "2001:db8::fe"),
    ]
    assert {(each.destination, str(each.gateway)) for each in result.routes} == {
        (ip_network("0.0.0.0/0"), "10.0.0.254"),
        (ip_network("192.0.2.0/24"), "10.0.0.1"),
        (ip_network("2001:db8:1::/48"), "2001:db8::fe"),
    }
    flat = msgspec.json.decode(encode_result(result, CniVersion.V0_2_0))
    assert (flat["ip4"]["ip"], flat["ip6"]["ip"]) == ("10.0.0.4/24", "2001:db8::4/64")
    assert flat["ip6"]["routes"] == [{"dst": "2001:db8:1::/48", "gw": "2001:db8::fe"}]


_DEFAULT: dict[str, str] = {"dst": "0.0.0.0/0", "gw": "10.0.0.1"}
_NEAR: dict[str, str] = {"dst": "192.0.2.0/24", "gw": "10.0.0.2"}


@pytest.mark.parametrize(
    ("routes", "own", "gateway"),
    [
        pytest.param({}, [], None, id="no route"),
        pytest.param({"192.0.2.0/24": "10.0.0.3"}, [], "10.0.0.3", id="the first that has one"),
        pytest.param({}, [_NEAR, _DEFAULT], "10.0.0.1", id="the default route's, wherever it is"),
        pytest.param({"192.0.2.0/24": "10.0.0.3"}, [_DEFAULT], "10.0.0.1", id="of both"),
        pytest.param({"0.0.0.0/0": "10.0.0.3"}, [_DEFAULT], "10.0.0.1", id="the own default"),
        pytest.param({"0.0.0.0/0": "10.0.0.3"}, [_NEAR], "10.0.0.3", id="the network's default"),
        pytest.param(
            {"192.0.2.0/24": "10.0.0.3"}, [{"dst": "0.0.0.0/0"}], "10.0.0.3", id="one has none"
        ),
        pytest.param({}, [{"dst": "::/0", "gw": "2001:db8::1"}], None, id="another family's"),
    ],
)
def test_an_address_has_the_gateway_of_its_family(
    routes: dict[str, str], own: list[dict[str, str]], gateway: str | None
) -> None:
    """Plugins make their default route of it."""
    # SPEC F1
    _, spec = network(cidr="10.0.0.0/24", routes=routes)
    answer = AttachmentAnswer(
        network="lan", network_uid="u", interface="net1", mac="", ip="10.0.0.4/24"
    )
    (found,) = result_of(answer, spec, decoded(routes=own).routes).ips
    assert found.gateway == (None if gateway is None else ip_address(gateway))


def test_routes_of_a_family_without_address_are_left_out() -> None:
    """A route that no address could use would make the plugin fail."""
    _, spec = network(
        cidr="10.0.0.0/24",
        net6="2001:db8::/64",
        routes={"0.0.0.0/0": "10.0.0.254"},
        routes6={"::/0": "2001:db8::fe"},
    )
    for address, left in ((("10.0.0.4/24", None), "0.0.0.0/0"), ((None, "2001:db8::4/64"), "::/0")):
        answer = AttachmentAnswer(
            network="lan", network_uid="u", interface="n", mac="", ip=address[0], ip6=address[1]
        )
        routes = result_of(answer, spec, ()).routes
        assert [str(each.destination) for each in routes] == [left]
