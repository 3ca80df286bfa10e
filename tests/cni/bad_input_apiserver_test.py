"""What a tenant or an administrator can get wrong, rule by rule, from `danm` to the answer.

Each row is one error of docs/specification.md, B3, B4, D3, E2 and G: the answer names the object at
fault, the rule and the way out, and nothing is left. docs/bad-input.md lists them with the others.
It needs root and the reference plugins, as the tests with an API server do, and runs with them.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from danm_api.codec.danmnet import decode_danmnet, encode_status
from danm_api.errors import AddressTakenError, DanmError, PoolExhaustedError
from danm_api.kube.api import DANMNETS
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet, accepted
from danm_api.testing.clock import START
from netwatcher.verdict import Accepted, judge, status_after
from tests.cni.node import CniNode
from tests.cni.strict import read_error
from tests.cni.table import NEWEST, Backend, Kind, static_file
from tests.ipam.plugin_node import PARENT

# CniCode
_TRY_AGAIN, _CONFIG, _NO_NETWORK, _ATTACHMENT = 11, 7, 103, 105
_GOOD: Final = {"network": "macvlan", "ip": "dynamic"}
_ROUTE: Final = {"192.0.2.0/24": "198.18.0.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that is wrong.

    Attributes:
        asked: The annotation, as JSON or as it is.
        told: What the answer names: object, rule and way out.
        options: Of the DanmNet `it`, beside a device.
    """

    asked: object
    told: tuple[str, ...]
    code: int = _ATTACHMENT
    options: dict[str, Any] = field(default_factory=dict)


def _row(
    name: str,
    asked: object,
    *told: str,
    code: int = _ATTACHMENT,
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401  (pytest names no type)
    return pytest.param(Wrong(asked=asked, told=told, code=code, options=options), id=name)


_CIDR: Final[dict[str, Any]] = {"cidr": "198.18.0.0/24"}
_NET6: Final[dict[str, Any]] = {"net6": "2001:db8::/64"}
_B3: Final = [
    _row("B3 no JSON", "[{network: macvlan}]", "is not JSON", 'write a list such as [{"network"'),
    _row("B3 half a list", '[{"network": "macvlan"}', "is not JSON"),
    _row("B3 endless", "[" * 50_000, "is not JSON"),
    _row("B3 no list", {"network": "macvlan"}, "is not a list", "write [...] around"),
    _row("B3 a number", "7", "is not a list"),
    _row("B3 no object", [_GOOD, "macvlan"], "[1]", "expected object, got str"),
    _row("B3 no network", [{"ip": "dynamic"}], "[0]", "missing required field network"),
    _row("B3 empty network", [{"network": ""}], "[0].network", "name a DanmNet"),
    _row("B3 unknown key", [{**_GOOD, "ipv4": "x"}], "[0]", "unknown keys ipv4", "known are"),
    _row("B3 wrong type", [_GOOD, {**_GOOD, "ip": 7}], "[1].ip", "expected str | null, got int"),
    _row("B3 routes of a wrong type", [{**_GOOD, "proutes": []}], "[0].proutes", "expected object"),
    _row("B3 no address", [{**_GOOD, "ip": "some"}], "[0].ip", "10.0.0.7/24", '"dynamic"'),
    _row("B3 no prefix", [{**_GOOD, "ip": "198.18.0.7"}], "[0].ip", "lacks its prefix length"),
    _row("B3 long prefix", [{**_GOOD, "ip": "198.18.0.7/33"}], "[0].ip", "beyond 32"),
    _row("B3 other family", [{**_GOOD, "ip6": "198.18.0.7/24"}], "[0].ip6", "not an IPv6 address"),
    _row(
        "B3 unknown network",
        [_GOOD, {"network": "nowhere"}],
        *("entry 1", f"namespace {NAMESPACE} has no DanmNet 'nowhere'", "create it, or name one"),
        code=_NO_NETWORK,
    ),
    _row(
        "B3 outside of the CIDR",
        [_GOOD, {"network": "it", "ip": "192.0.2.7/24"}],
        *("[1].ip", "outside of cidr 198.18.0.0/24 of it", "choose one of 198.18.0.1 to"),
        **_CIDR,
    ),
]
_B4: Final = [
    _row(
        "B4 one name twice",
        [_GOOD, *[{"network": "it", "ip": "dynamic"}] * 2],
        *("entries 1 (it), 2 (it)", "'net0'", "different container_prefix"),
        **_CIDR,
        container_prefix="net0",
    ),
    _row(
        "B4 no eth0",
        [{"network": "it", "ip": "dynamic"}],
        *("no entry gives an interface named eth0", "there are: net0", "put a network"),
        **_CIDR,
        container_prefix="net0",
    ),
    _row(
        "B4 eth0 without address",
        [{"network": "macvlan"}],
        *("entry 0: eth0 has no address", "ask for an ip or ip6 there"),
    ),
]
_D3: Final = [
    _row(
        "D3 no table",
        [{**_GOOD, "proutes": _ROUTE}],
        *("[0].proutes", "macvlan has no rt_tables", "give the DanmNet rt_tables"),
    ),
    _row(
        "D3 no address to send from",
        [_GOOD, {"network": "it", "proutes": _ROUTE}],
        *("[1].proutes", "without an address to send from", "ask for one, or remove"),
        **_CIDR,
        rt_tables=9,
    ),
    _row(
        "D3 gateway elsewhere",
        [_GOOD, {"network": "it", "ip": "dynamic", "proutes": {"192.0.2.0/24": "203.0.113.1"}}],
        *("[1].proutes[192.0.2.0/24]", "203.0.113.1 lies outside of 198.18.0.0/24", "choose one"),
        **_CIDR,
        rt_tables=9,
    ),
    _row(
        "D3 gateway elsewhere, IPv6",
        [_GOOD, {"network": "it", "ip6": "dynamic", "proutes6": {"2001:db8:9::/48": "fd00::1"}}],
        *("[1].proutes6[2001:db8:9::/48]", "fd00::1 lies outside of 2001:db8::/64", "choose one"),
        **_NET6,
        rt_tables=9,
    ),
    _row(
        "D3 no destination",
        [{**_GOOD, "proutes": {"everywhere": "198.18.0.1"}}],
        *("[0].proutes[everywhere]", "lacks its prefix length", "write it like"),
    ),
    _row(
        "D3 no gateway",
        [{**_GOOD, "proutes": {"192.0.2.0/24": "gw"}}],
        *("[0].proutes[192.0.2.0/24]", "not an IPv4 address", "write one such as"),
    ),
    _row(
        "D3 two gateways",
        [{**_GOOD, "proutes": {"192.0.2.0/24": "198.18.0.1", "192.0.2.1/24": "198.18.0.2"}}],
        *("[0].proutes", "both by 198.18.0.1 and by 198.18.0.2", "keep one gateway"),
    ),
]
_G: Final = [
    _row(
        "G3 another prefix length",
        [_GOOD, {"network": "it", "ip": "198.18.0.7/25"}],
        *("[1].ip", "another prefix length than cidr 198.18.0.0/24 of it", "as /24"),
        **_CIDR,
    ),
    _row(
        "G3 network address",
        [_GOOD, {"network": "it", "ip": "198.18.0.0/24"}],
        *("[1].ip", "the network's or broadcast address of it", "choose one of"),
        **_CIDR,
    ),
    _row(
        "G3 broadcast address",
        [_GOOD, {"network": "it", "ip": "198.18.0.255/24"}],
        *("[1].ip", "the network's or broadcast address of it", "choose one of"),
        **_CIDR,
    ),
    _row(
        "G4 dynamic of an L2 network",
        [_GOOD, {"network": "it", "ip": "dynamic"}],
        *("[1].ip", "it, which has no cidr", 'ask for "none" or', "give the DanmNet a cidr"),
    ),
    _row(
        "G4 dynamic of an L2 network, IPv6",
        [_GOOD, {"network": "it", "ip6": "dynamic"}],
        *("[1].ip6", "it, which has no net6", 'ask for "none" or', "give the DanmNet a net6"),
    ),
    _row(
        "G5 no room for EUI-64",
        [_GOOD, {"network": "it", "ip6": "dynamic"}],
        *("[1].ip6", "needs a /64 or an allocation_pool6", "give the DanmNet an allocation_pool6"),
        net6="2001:db8::/48",
    ),
    _row(
        "G5 outside of net6",
        [_GOOD, {"network": "it", "ip6": "2001:db9::7/64"}],
        *("[1].ip6", "outside of net6 2001:db8::/64 of it", "choose one of"),
        **_NET6,
    ),
    _row(
        "G5 anycast address",
        [_GOOD, {"network": "it", "ip6": "2001:db8::/64"}],
        *("[1].ip6", "the routers' anycast address of it", "choose one of"),
        **_NET6,
    ),
]


@pytest.fixture()
def it(node: CniNode) -> Iterator[Callable[..., None]]:
    """Return what makes the DanmNet `it` as it is after its judgement by the real rules."""
    made: list[str] = []

    def body(
        *,
        network_type: str = "macvlan",
        judged: bool = True,
        **options: Any,  # noqa: ANN401
    ) -> None:
        raw = a_raw_danmnet("it", network_type=network_type, **options)
        net = decode_danmnet(raw)
        verdict = judge(net, ())
        if isinstance(verdict, Accepted):
            status = accepted(net).status
        else:
            status = status_after(net, verdict, None, generation=net.generation, now=START)
        content = {**raw, "status": encode_status(status)} if judged else raw
        node.on_daemon(lambda: node.kube.add(DANMNETS, content))
        made.append("it")

    yield body
    for name in made:
        node.remove_network(name)


@pytest.mark.parametrize("wrong", [*_B3, *_B4, *_D3, *_G])
def test_what_a_tenant_asks(node: CniNode, it: Callable[..., None], wrong: Wrong) -> None:
    """It is refused before anything is touched, and the Pod, the entry and what to do are told."""
    it(host_device=PARENT, **wrong.options)
    sandbox = node.pod(wrong.asked)
    outcome = node.call("ADD", sandbox, NEWEST)
    named = (f"Pod {NAMESPACE}/{sandbox.pod}", *wrong.told)
    read_error(outcome, NEWEST, code=wrong.code, names=named)
    assert node.leftovers(sandbox) == {}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(
            {"container_prefix": "x" * 16}, ("container_prefix", "16 bytes"), id="B4 long"
        ),
        pytest.param({"container_prefix": "a/b"}, ("container_prefix", "a/b"), id="B4 slash"),
        pytest.param(
            {"container_prefix": "lo"}, ("container_prefix", "taken in every"), id="B4 lo"
        ),
        pytest.param(
            {"cidr": "10.0.0.0/24", "routes": {"192.0.2.0/24": "10.1.0.1"}},
            ("routes[192.0.2.0/24]", "10.1.0.1 lies outside of cidr 10.0.0.0/24", "choose one"),
            id="D3 route by a gateway elsewhere",
        ),
        pytest.param(
            {"cidr": "10.0.0.0/24", "routes": {"everywhere": "10.0.0.1"}},
            ("routes[everywhere]", "lacks its prefix length", "write it like"),
            id="D3 route to nowhere",
        ),
        pytest.param(
            {"cidr": "10.0.0.0/24", "rt_tables": 254},
            ("rt_tables", "254 is not free", "choose a number from 1 to"),
            id="D3 the main table",
        ),
        pytest.param(
            {"cidr": "everything"},
            ("cidr", "lacks its prefix length", "write it"),
            id="G1 bad cidr",
        ),
        pytest.param(
            {"network_type": "../../evil"}, ("../../evil", "plain file name"), id="E2 path"
        ),
        pytest.param({"network_type": "/bin/sh"}, ("/bin/sh", "plain file name"), id="E2 absolute"),
        pytest.param({"network_type": ".."}, ('".."', "plain file name"), id="E2 parent"),
        pytest.param({"network_type": "a..b"}, ("a..b", "plain file name"), id="E2 two dots"),
        pytest.param({"network_type": ".x"}, ('".x"', "plain file name"), id="E2 hidden"),
        pytest.param({"network_type": "-x"}, ('"-x"', "plain file name"), id="E2 an option"),
        pytest.param({"network_type": "a b"}, ("a b", "plain file name"), id="E2 space"),
        pytest.param({"network_type": "a\nb"}, ("plain file name",), id="E2 newline"),
        pytest.param({"network_type": "flannel\0"}, ("plain file name",), id="E2 zero byte"),
        pytest.param({"network_type": "cal\u0456co"}, ("plain file name",), id="E2 Cyrillic"),
        pytest.param({"network_type": "x" * 300}, ("plain file name",), id="E2 long"),
        pytest.param(
            {"network_type": "danm"}, ("cannot delegate to itself", "another plugin"), id="E2 danm"
        ),
    ],
)
def test_networks_that_are_not_valid(
    node: CniNode, it: Callable[..., None], options: dict[str, Any], told: tuple[str, ...]
) -> None:
    """What the validator has refused is named with its reason, whoever marked it as valid."""
    # SPEC G1, A6
    it(**({"host_device": PARENT} | options))
    sandbox = node.pod([_GOOD, {"network": "it", "ip": "none"}])
    outcome = node.call("ADD", sandbox, NEWEST)
    named = (f"DanmNet {NAMESPACE}/it is not valid", *told)
    read_error(outcome, NEWEST, code=_CONFIG, names=named)
    assert node.leftovers(sandbox) == {}


def test_networks_that_nobody_has_judged(node: CniNode, it: Callable[..., None]) -> None:
    """The mark in spec counts for nothing; another try may find the verdict."""
    # SPEC G1, A6
    it(judged=False, host_device=PARENT, cidr="198.18.0.0/24")
    sandbox = node.pod([{"network": "it", "ip": "dynamic"}])
    outcome = node.call("ADD", sandbox, NEWEST)
    named = (f"DanmNet {NAMESPACE}/it has not been validated yet", "validator running?")
    read_error(outcome, NEWEST, code=_TRY_AGAIN, names=named)
    assert node.leftovers(sandbox) == {}


@pytest.mark.parametrize(
    "name", ["../evil", "{directory}/evil", "sub/evil", "..", "danm", "x" * 300, "evil.conf\0"]
)
def test_hostile_types_that_a_validator_has_let_pass(node: CniNode, name: str) -> None:
    """The node judges them again: no other directory is read, and DANM does not call itself."""
    # SPEC E2
    _, good = static_file(Backend(kind=Kind.CONF, families="v4"), node.directory / "plugins")
    (node.configurations / "sub").mkdir(exist_ok=True)
    for directory in (node.configurations.parent, node.configurations / "sub"):
        (directory / "evil.conf").write_text(json.dumps(good))
    node.write_configuration("danm.conf", {**good, "type": "danm"})
    network_type = name.format(directory=node.configurations.parent)
    raw = a_raw_danmnet("passed", network_type=network_type)
    content = {**raw, "status": encode_status(accepted(decode_danmnet(raw)).status)}
    node.on_daemon(lambda: node.kube.add(DANMNETS, content))
    try:
        sandbox = node.pod([_GOOD, {"network": "passed"}])
        read_error(node.call("ADD", sandbox, NEWEST), NEWEST, code=_CONFIG)
        assert node.leftovers(sandbox) == {}
    finally:
        node.remove_network("passed")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(PoolExhaustedError("macvlan has no free IPv4 address"), 101, id="G2 full"),
        pytest.param(AddressTakenError("held by Pod x/y on node z"), 102, id="G3 taken"),
    ],
)
def test_what_ipam_svc_refuses(node: CniNode, error: DanmError, code: int) -> None:
    """Its sentence comes through under a code of its own; services/ipam-svc has its contents."""
    # SPEC G2, G3
    node.on_daemon(lambda: node.addresses.failures.fail("reserve", error, times=1000))
    try:
        sandbox = node.pod([_GOOD])
        outcome = node.call("ADD", sandbox, NEWEST)
    finally:
        node.on_daemon(node.addresses.failures.heal)
    read_error(outcome, NEWEST, code=code, names=(error.reason,))
    assert node.leftovers(sandbox) == {}
