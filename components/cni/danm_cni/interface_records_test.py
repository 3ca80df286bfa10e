"""What the journal keeps of an interface, and what is read back from it."""

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import Any, Final

import msgspec
import pytest

from danm_api.model.attachment import Attachment, Dynamic
from danm_api.model.danmnet import BuiltInType, NetworkSpec, StaticDelegate
from danm_api.names import InterfaceName, NetworkName
from danm_api.testing.builders import a_danmnet
from danm_cni.interface_records import given_capabilities, interface_record, recorded_setup
from danm_cni.interface_setup import InterfaceSetup, LinkFacts, PolicyRule
from danm_cni.journal import InterfaceKind, InterfaceRecord, PluginCall, RouteRecord
from danm_cni.plan import PlannedAttachment, PlannedRoute

_PARENT: Final = LinkFacts(mac="02:00:00:00:00:01", mtu=1500)
_ASKED: Final = "02:00:00:00:00:99"
_ROUTES: Final = (
    PlannedRoute(destination=ip_network("0.0.0.0/0"), gateway=ip_address("10.0.0.1"), metric=100),
    PlannedRoute(destination=ip_network("192.0.2.0/24"), gateway=ip_address("10.0.0.2"), table=250),
    PlannedRoute(destination=ip_network("::/0"), gateway=ip_address("2001:db8::1"), table=251),
)
_RECORDED: Final = (
    RouteRecord(destination="0.0.0.0/0", gateway="10.0.0.1", metric=100),
    RouteRecord(destination="192.0.2.0/24", gateway="10.0.0.2", table=250),
    RouteRecord(destination="::/0", gateway="2001:db8::1", table=251),
)


def _planned(
    network_type: BuiltInType | StaticDelegate = BuiltInType.IPVLAN, *, asks: bool = True
) -> PlannedAttachment:
    name = NetworkName("ext")
    return PlannedAttachment(
        attachment=Attachment(index=0, network=name, ip=Dynamic(), ip6=Dynamic()),
        network=a_danmnet(name, uid="net-uid"),
        spec=NetworkSpec(network_id=NetworkName("ext-id"), network_type=network_type),
        interface=InterfaceName("ext0"),
        parent="ext.300",
        routes=_ROUTES,
        asks_for_addresses=asks,
        mac=_ASKED,
    )


def test_the_intent_of_an_interface_is_all_that_an_undo_needs() -> None:
    """Who makes it, of which DanmNet, with which routes; what comes later is not there yet."""
    # DESIGN, step 5
    assert interface_record(
        _planned(), endpoint="ep-1", parent=_PARENT, device=""
    ) == InterfaceRecord(
        interface="ext0",
        kind=InterfaceKind.OWN,
        network="ext",
        network_uid="net-uid",
        network_type="ipvlan",
        endpoint="ep-1",
        mac=_PARENT.mac,
        routes=_RECORDED,
        reserved=True,
    )


@pytest.mark.parametrize(
    ("network_type", "kind", "told"),
    [
        pytest.param(BuiltInType.IPVLAN, InterfaceKind.OWN, "ipvlan", id="ipvlan"),
        pytest.param(BuiltInType.MACVLAN, InterfaceKind.OWN, "macvlan", id="macvlan"),
        pytest.param(BuiltInType.SRIOV, InterfaceKind.DELEGATE, "sriov", id="sriov"),
        pytest.param(
            StaticDelegate(name="flannel"), InterfaceKind.DELEGATE, "flannel", id="static"
        ),
    ],
)
def test_a_networks_type_says_who_makes_its_interfaces(
    network_type: BuiltInType | StaticDelegate, kind: InterfaceKind, told: str
) -> None:
    """A delegate's DEL is called for what a delegate was to make, and for nothing else."""
    # SPEC E
    made = interface_record(_planned(network_type), endpoint="", parent=None, device="0000:01:02.3")
    assert (made.kind, made.network_type, made.device) == (kind, told, "0000:01:02.3")


@pytest.mark.parametrize(
    ("network_type", "asks", "reserved"),
    [
        pytest.param(BuiltInType.IPVLAN, True, True, id="ipvlan"),
        pytest.param(BuiltInType.IPVLAN, False, False, id="ipvlan without addresses"),
        pytest.param(BuiltInType.SRIOV, True, True, id="sriov"),
        pytest.param(BuiltInType.SRIOV, False, False, id="sriov without addresses"),
        pytest.param(StaticDelegate(name="flannel"), True, False, id="static"),
    ],
)
def test_only_ipam_svcs_addresses_are_ever_given_back(
    network_type: BuiltInType | StaticDelegate, *, asks: bool, reserved: bool
) -> None:
    """A static delegate's are its own IPAM plugin's."""
    # SPEC E2
    planned = _planned(network_type, asks=asks)
    assert reserved == interface_record(planned, endpoint="", parent=None, device="").reserved


@pytest.mark.parametrize(
    ("network_type", "parent", "mac"),
    [
        pytest.param(BuiltInType.IPVLAN, _PARENT, _PARENT.mac, id="ipvlan has its parent's"),
        pytest.param(BuiltInType.IPVLAN, None, _ASKED, id="ipvlan on a parent that was not read"),
        pytest.param(BuiltInType.MACVLAN, _PARENT, _ASKED, id="macvlan"),
        pytest.param(BuiltInType.SRIOV, _PARENT, _ASKED, id="sriov"),
        pytest.param(StaticDelegate(name="flannel"), None, _ASKED, id="static"),
    ],
)
def test_a_mac_is_known_before_the_interface_is_there(
    network_type: BuiltInType | StaticDelegate, parent: LinkFacts | None, mac: str
) -> None:
    """Only IPVLAN has none of its own."""
    # SPEC G6
    made = interface_record(_planned(network_type), endpoint="", parent=parent, device="")
    assert made.mac == mac


def _called_with(*runtime_configs: object, **keys: Any) -> InterfaceRecord:  # noqa: ANN401  (JSON)
    return InterfaceRecord(
        interface="ext0",
        kind=InterfaceKind.DELEGATE,
        calls=tuple(
            PluginCall(type="p", config=msgspec.json.encode({"runtimeConfig": each, **keys}))
            for each in runtime_configs
        ),
    )


@pytest.mark.parametrize(
    ("interfaces", "given"),
    [
        pytest.param([], set(), id="no interface"),
        pytest.param([_called_with()], set(), id="no plugin"),
        pytest.param([_called_with({"mac": "x", "ips": []})], {"mac", "ips"}, id="one call"),
        pytest.param(
            [_called_with({"mac": "x"}, {"bandwidth": {}}), _called_with({"portMappings": []})],
            {"mac", "bandwidth", "portMappings"},
            id="several plugins of several interfaces",
        ),
        pytest.param([_called_with(None), _called_with({})], set(), id="nothing given"),
        pytest.param([_called_with(["mac"], "mac", 7)], set(), id="no object"),
    ],
)
def test_what_plugins_were_given_is_read_from_their_configurations(
    interfaces: list[InterfaceRecord], given: set[str]
) -> None:
    """Whatever the administrator's file has there; the values do not matter."""
    # SPEC C7
    assert given == given_capabilities(interfaces)


def test_a_call_without_runtime_config_was_given_nothing() -> None:
    """Most plugins declare no capability."""
    record = InterfaceRecord(
        interface="ext0",
        kind=InterfaceKind.DELEGATE,
        calls=(PluginCall(type="p", config=b'{"type":"p","mac":"x"}'),),
    )
    assert given_capabilities([record]) == frozenset()


_RECORD: Final = InterfaceRecord(
    interface="ext0",
    kind=InterfaceKind.OWN,
    network_type="ipvlan",
    ip="10.0.0.7/24",
    ip6="2001:db8::7/64",
    mac=_PARENT.mac,
    routes=_RECORDED,
    reserved=True,
)
_IP, _IP6 = IPv4Interface("10.0.0.7/24"), IPv6Interface("2001:db8::7/64")


def test_a_setup_comes_back_from_the_journal() -> None:
    """CHECK and DEL know addresses, routes of all tables and the rules for them."""
    # SPEC C6, D3
    assert recorded_setup(_RECORD) == InterfaceSetup(
        name="ext0",
        addresses=(_IP, _IP6),
        routes=_ROUTES,
        rules=(
            PolicyRule(source=_IP.ip, table=250),
            PolicyRule(source=_IP6.ip, table=251),
        ),
    )


@pytest.mark.parametrize(
    ("change", "addresses", "routes"),
    [
        pytest.param({"ip6": None}, (_IP,), _ROUTES[:2], id="IPv4 alone"),
        pytest.param({"ip": None}, (_IP6,), _ROUTES[2:], id="IPv6 alone"),
        pytest.param({"ip": None, "ip6": None}, (), (), id="no address"),
    ],
)
def test_routes_without_an_address_of_their_family_were_never_made(
    change: dict[str, Any],
    addresses: tuple[IPv4Interface | IPv6Interface, ...],
    routes: tuple[PlannedRoute, ...],
) -> None:
    """A static delegate decides which families there are: CHECK misses nothing of the other."""
    # SPEC E2, C6
    setup = recorded_setup(msgspec.structs.replace(_RECORD, **change))
    assert (setup.addresses, setup.routes) == (addresses, routes)
    assert {rule.source for rule in setup.rules} == {each.ip for each in addresses}


@pytest.mark.parametrize(
    ("kind", "network_type", "mac"),
    [
        pytest.param(InterfaceKind.OWN, "macvlan", _PARENT.mac, id="macvlan of danmd's"),
        pytest.param(InterfaceKind.OWN, "ipvlan", None, id="ipvlan follows its parent"),
        pytest.param(
            InterfaceKind.DELEGATE, "macvlan", None, id="a static type with macvlan's name"
        ),
        pytest.param(InterfaceKind.DELEGATE, "sriov", None, id="a device"),
    ],
)
def test_a_mac_is_compared_where_danmd_has_set_it(
    kind: InterfaceKind, network_type: str, mac: str | None
) -> None:
    """Others may change later, as an IPVLAN link's does with its parent's."""
    # SPEC G6, C6
    record = msgspec.structs.replace(_RECORD, kind=kind, network_type=network_type)
    assert recorded_setup(record).mac == mac


def test_what_was_planned_is_what_is_read_back() -> None:
    """The text in the journal loses nothing of routes, whichever table and metric they have."""
    planned = replace(_planned(BuiltInType.MACVLAN), mac=_ASKED)
    record = interface_record(planned, endpoint="", parent=_PARENT, device="")
    setup = recorded_setup(msgspec.structs.replace(record, ip=str(_IP), ip6=str(_IP6)))
    assert (setup.routes, setup.mac) == (planned.routes, planned.mac)
