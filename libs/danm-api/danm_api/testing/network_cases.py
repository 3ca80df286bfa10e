"""DanmNets that keep all rules, and such that break one: for all who judge them (SPEC N1).

The validator's rules, and the policy by which the API server itself refuses most mistakes, are both
tried with this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from danm_api.codec.meta import RawObject
from danm_api.testing.builders import NAMESPACE, a_raw_danmnet


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCase:
    """One DanmNet.

    Attributes:
        title: What it is about.
        name: Of the object.
        network_id: The name if None.
        network_type: Left out if None.
        options: Of the manifest.
        field: Below ``spec``, the one that breaks a rule; empty if none does.
        message: A part of what the validator says.
        at_admission: Whether the API server can tell by itself.
        rule: In SPEC.
    """

    title: str
    name: str = "external"
    network_id: str | None = None
    network_type: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    field: str = ""
    message: str = ""
    at_admission: bool = True
    rule: str = "N1"

    def raw(self, namespace: str = NAMESPACE) -> RawObject:
        """Return the object as a user has it."""
        return a_raw_danmnet(
            self.name,
            namespace=namespace,
            network_id=self.network_id,
            network_type=self.network_type,
            **self.options,
        )


_CIDR: Final[dict[str, Any]] = {"cidr": "10.0.0.0/24"}
_NET6: Final[dict[str, Any]] = {"net6": "2001:db8::/64"}


def _pool(start: str, end: str) -> dict[str, Any]:
    return {"allocation_pool": {"start": start, "end": end}}


def _pool6(start: str, end: str) -> dict[str, Any]:
    return {"allocation_pool6": {"start": start, "end": end}}


def _valid(title: str, options: Mapping[str, Any], **rest: Any) -> NetworkCase:  # noqa: ANN401
    return NetworkCase(title=title, options=options, **rest)


def _option(
    title: str,
    options: Mapping[str, Any],
    name: str,
    message: str,
    *,
    at_admission: bool = True,
    rule: str = "N1",
) -> NetworkCase:
    """Return a DanmNet of which one option is wrong."""
    return NetworkCase(
        title=title,
        options=options,
        field=f"Options.{name}",
        message=message,
        at_admission=at_admission,
        rule=rule,
    )


def _type(network_type: str, *, rule: str = "N1", message: str = "plain file") -> NetworkCase:
    return NetworkCase(
        title=f"type {network_type[:16]}",
        network_type=network_type,
        field="NetworkType",
        message=message,
        rule=rule,
    )


def _device_pool(title: str, network_type: str, pool: str, message: str) -> NetworkCase:
    return NetworkCase(
        title=title,
        network_type=network_type,
        options={"device_pool": pool},
        field="Options.device_pool",
        message=message,
        rule="E1",
    )


VALID: Final = (
    _valid("nothing", {}),
    _valid("L2", {"host_device": "ens4"}),
    _valid("pool", {**_CIDR, **_pool("10.0.0.10", "10.0.0.30")}),
    _valid("pool of one address", {**_CIDR, **_pool("10.0.0.10", "10.0.0.10")}),
    _valid("pool whose ends differ in length", {**_CIDR, **_pool("10.0.0.9", "10.0.0.10")}),
    _valid("pool with one end", {**_CIDR, "allocation_pool": {"start": "10.0.0.10"}}),
    _valid("high pool", {"cidr": "203.0.0.0/8", **_pool("203.0.0.1", "203.255.0.1")}),
    _valid("empty pool of an exported manifest", _pool("", "")),
    _valid("keys without values", {"cidr": None, "allocation_pool": None, "routes": None}),
    _valid("cidr with host bits", {"cidr": "10.0.0.7/24", **_pool("10.0.0.1", "10.0.0.2")}),
    _valid("net6", _NET6),
    _valid("net6 for static addresses", {"net6": "2001:db8::/56"}),
    *(
        _valid(f"net6 {net6}", {"net6": net6})
        for net6 in (
            "fd00::/64",
            "fe80::/64",
            "::ffff:0:10.0.0.0/96",
            "64:ff9b::/96",
            "2001:db8::ffff:10.0.0.0/120",
            "2001:db8::ffff:a00:0/120",
        )
    ),
    *(
        _valid(f"cidr {cidr}", {"cidr": cidr})
        for cidr in ("1.0.0.0/8", "126.0.0.0/8", "223.255.255.0/24", "240.0.0.0/24")
    ),
    _valid("leading zero", {"cidr": "10.0.0.0/024"}),
    _valid("pool6", {"net6": "2001:db8::/56", **_pool6("2001:db8::1", "2001:db8::9")}),
    _valid("VLAN", {"host_device": "ens4", "vlan": 4094}),
    _valid("VXLAN", {"host_device": "ens4", "vxlan": 16_777_214}),
    _valid("longest name, VLAN", {"host_device": "ens4", "vlan": 1000}, name="ten-chars0"),
    _valid("longest name, VXLAN", {"host_device": "ens4", "vxlan": 1}, name="twelve-chars"),
    _valid("longest device", {"host_device": "x" * 15}),
    _valid("device with dots and letters", {"host_device": "größe.300"}),
    _valid("lowest table", {"rt_tables": 1}),
    _valid("table before the reserved ones", {"rt_tables": 252}),
    _valid("highest table", {"rt_tables": 2**32 - 1}),
    _valid("default route", {**_CIDR, "routes": {"0.0.0.0/0": "10.0.0.1"}}),
    _valid("default route, 6", {**_NET6, "routes6": {"::/0": "2001:db8::1"}}),
    *(
        _valid(f"gateway {via} of {cidr}", {"cidr": cidr, "routes": {"0.0.0.0/0": via}})
        for cidr, via in (
            ("10.0.0.0/30", "10.0.0.2"),
            ("10.0.0.0/31", "10.0.0.0"),
            ("10.0.0.0/31", "10.0.0.1"),
            ("10.0.0.7/32", "10.0.0.7"),
            ("10.0.0.0/16", "10.0.0.255"),
            ("10.0.0.7/16", "10.0.1.0"),
        )
    ),
    *(
        _valid(f"gateway {via} of {net6}", {"net6": net6, "routes6": {"::/0": via}})
        for net6, via in (
            ("2001:db8::/127", "2001:db8::"),
            ("2001:db8::/127", "2001:db8::1"),
            # The routers' anycast address is there for that.
            ("2001:db8::/64", "2001:db8::"),
            ("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff"),
        )
    ),
    _valid("longest interface name", {"container_prefix": "x" * 15}),
    _valid("exclusions", {**_CIDR, "exclude": ["10.0.0.7", "10.0.0.16/28", "2001:db8::7"]}),
    _valid("smallest mtu for IPv6", {**_NET6, "mtu": 1280}),
    _valid("alloc of an exported manifest", {"alloc": "AAAA"}),
    *(
        NetworkCase(title=f"type {network_type}", network_type=network_type)
        for network_type in ("flannel", "Calico", "my_cni-2.0", "10-flannel", "IPVLAN", "MacVlan")
    ),
    _valid("static routes", {"routes": {"10.1.0.0/16": "10.244.0.1"}}, network_type="flannel"),
    *(
        _valid(f"devices {pool[:12]}", {"device_pool": pool}, network_type="sriov")
        for pool in ("example.com/sriov_a", "a/b", "x.example/" + "y" * 63)
    ),
    _valid(
        "sriov VLAN",
        {"host_device": "ens4", "vlan": 1000},
        network_type="sriov",
        name="a-long-network-name",
    ),
    _valid(
        "devices with a VLAN", {"device_pool": "example.com/a", "vlan": 5}, network_type="SRIOV"
    ),
)

BROKEN: Final = (
    _option("no cidr", _pool("10.0.0.1", "10.0.0.2"), "allocation_pool", "stands without cidr"),
    _option(
        "no cidr, one end",
        {"allocation_pool": {"end": "10.0.0.2"}},
        "allocation_pool",
        "stands without its subnet",
    ),
    _option(
        "start after end",
        {**_CIDR, **_pool("10.0.0.10", "10.0.0.9")},
        "allocation_pool",
        "start 10.0.0.10 lies after end 10.0.0.9",
    ),
    _option(
        "start after end, high",
        {"cidr": "203.0.0.0/8", **_pool("203.1.0.0", "203.0.255.255")},
        "allocation_pool",
        "lies after end",
    ),
    _option(
        "pool outside cidr",
        {**_CIDR, **_pool("10.0.0.9", "10.0.1.8")},
        "allocation_pool",
        "10.0.1.8 outside of cidr 10.0.0.0/24",
    ),
    _option(
        "pool without hosts",
        {**_CIDR, **_pool("10.0.0.255", "10.0.0.255")},
        "allocation_pool",
        "choose host addresses",
        at_admission=False,
    ),
    _option(
        "bad start",
        {**_CIDR, **_pool("10.0.0.1/24", "10.0.0.8")},
        "allocation_pool.start",
        "not an IPv4 address",
    ),
    _option(
        "no net6", _pool6("2001:db8::1", "2001:db8::2"), "allocation_pool6", "stands without net6"
    ),
    _option(
        "start after end, 6",
        {**_NET6, **_pool6("2001:db8::9", "2001:db8::8")},
        "allocation_pool6",
        "lies after end",
        # Addresses have no order in CEL, and IPv6 has too many forms to bring it about.
        at_admission=False,
    ),
    _option(
        "pool outside net6",
        {**_NET6, **_pool6("2001:db8::1", "2001:db9::1")},
        "allocation_pool6",
        "outside of net6",
    ),
    _option(
        "bad end, 6",
        {**_NET6, **_pool6("2001:db8::1", "10.0.0.1")},
        "allocation_pool6.end",
        "not an IPv6 address",
    ),
    _option(
        "pool6 without hosts",
        {**_NET6, **_pool6("2001:db8::", "2001:db8::")},
        "allocation_pool6",
        "choose host addresses",
        at_admission=False,
    ),
    _option("bad cidr", {"cidr": "10.0.0.0/33"}, "cidr", "beyond 32"),
    _option("cidr without length", {"cidr": "10.0.0.0"}, "cidr", "lacks its prefix length"),
    _option("cidr of IPv6", {"cidr": "2001:db8::/64"}, "cidr", "not an IPv4 address"),
    *(
        _option(f"cidr {cidr}", {"cidr": cidr}, "cidr", f"has addresses of {part}, which no Pod")
        for cidr, part in (
            ("127.0.0.0/24", "127.0.0.0/8 (loopback)"),
            ("224.0.0.0/24", "224.0.0.0/4 (multicast)"),
            ("239.255.0.7/16", "224.0.0.0/4 (multicast)"),
            ("0.0.0.0/8", "0.0.0.0/8 (this network)"),
            ("0.1.0.0/16", "0.0.0.0/8 (this network)"),
            ("0.0.0.0/0", "0.0.0.0/8 (this network)"),
            ("126.0.0.0/7", "127.0.0.0/8 (loopback)"),
            ("255.255.255.0/24", "255.255.255.255/32 (broadcast)"),
        )
    ),
    *(
        _option(f"net6 {net6}", {"net6": net6}, "net6", f"has addresses of {part}, which no Pod")
        for net6, part in (
            ("ff05::/64", "ff00::/8 (multicast)"),
            ("::1/128", "::1/128 (loopback)"),
            ("::/127", "::/128 (no address)"),
            ("::ffff:10.0.0.0/120", "::ffff:0:0/96 (IPv4 in IPv6)"),
            ("::FFFF:10.0.0.7/120", "::ffff:0:0/96 (IPv4 in IPv6)"),
            ("::ffff:a00:0/104", "::ffff:0:0/96 (IPv4 in IPv6)"),
            ("0:0:0:0:0:ffff:0a00:0000/120", "::ffff:0:0/96 (IPv4 in IPv6)"),
            ("0:0:0:0:0:ffff::/96", "::ffff:0:0/96 (IPv4 in IPv6)"),
            ("::/64", "::ffff:0:0/96 (IPv4 in IPv6)"),
        )
    ),
    _option(
        "net6 around IPv4",
        {"net6": "::ffc0:0:0/90"},
        "net6",
        "::ffff:0:0/96 (IPv4 in IPv6)",
        at_admission=False,
    ),
    _option("bad net6", {"net6": "10.0.0.0/24"}, "net6", "not an IPv6 address"),
    _option(
        "gateway outside cidr",
        {**_CIDR, "routes": {"10.1.0.0/16": "10.0.1.1"}},
        "routes[10.1.0.0/16]",
        "gateway 10.0.1.1 lies outside of cidr",
    ),
    *(
        _option(
            f"gateway {via} of {cidr}",
            {"cidr": cidr, "routes": {"10.9.0.0/16": via}},
            "routes[10.9.0.0/16]",
            f"gateway {via} is the network's or broadcast address of cidr",
        )
        for cidr, via in (
            ("10.0.0.0/24", "10.0.0.0"),
            ("10.0.0.0/24", "10.0.0.255"),
            ("10.0.0.7/30", "10.0.0.7"),
            ("10.0.0.0/16", "10.0.255.255"),
            ("203.0.0.0/8", "203.255.255.255"),
        )
    ),
    _option(
        "gateway outside net6",
        {**_NET6, "routes6": {"2001:db8:1::/48": "fe80::1"}},
        "routes6[2001:db8:1::/48]",
        "lies outside of net6",
    ),
    _option("L2 routes", {"routes": {"10.1.0.0/16": "10.0.0.1"}}, "routes", "stand without cidr"),
    _option("L2 routes, 6", {"routes6": {"::/0": "2001:db8::1"}}, "routes6", "stand without net6"),
    _option(
        "bad destination",
        {**_CIDR, "routes": {"everywhere": "10.0.0.1"}},
        "routes[everywhere]",
        "lacks its prefix length",
    ),
    _option(
        "bad gateway",
        {**_CIDR, "routes": {"10.1.0.0/16": "10.0.0.1/24"}},
        "routes[10.1.0.0/16]",
        "not an IPv4 address",
    ),
    _option(
        "two gateways",
        {**_CIDR, "routes": {"10.1.0.0/16": "10.0.0.1", "10.1.0.7/16": "10.0.0.2"}},
        "routes",
        "keep one gateway",
        at_admission=False,
    ),
    _option(
        "vlan and vxlan",
        {"host_device": "ens4", "vlan": 1, "vxlan": 1},
        "vlan",
        "exclude each other",
    ),
    _option("vlan on nothing", {"vlan": 1}, "host_device", "vlan and vxlan need it"),
    _option("vxlan on nothing", {"vxlan": 1}, "host_device", "vlan and vxlan need it"),
    _option("long device", {"host_device": "x" * 16}, "host_device", "Linux allows 15"),
    _option("device of long letters", {"host_device": "ö" * 8}, "host_device", "16 bytes"),
    _option("device with a slash", {"host_device": "a/b"}, "host_device", "no name"),
    _option("device with a tab", {"host_device": "a\tb"}, "host_device", "no name"),
    *(
        _option(f"device {name}", {"host_device": name}, "host_device", "no name")
        for name in ("x%d", "a%s", "50%")
    ),
    _option(
        "device with a byte that Linux takes for a space",
        {"host_device": "déjà"},
        "host_device",
        "no name",
        at_admission=False,
    ),
    _option(
        "unprintable device",
        {"host_device": "a\x01b"},
        "host_device",
        "no name",
        at_admission=False,
    ),
    _option("prefix", {"container_prefix": "x" * 16}, "container_prefix", "16 bytes", rule="B4"),
    _option("number", {"container_prefix": "x%d"}, "container_prefix", "no name", rule="B4"),
    _option("parent", {"container_prefix": ".."}, "container_prefix", "no name", rule="B4"),
    _option("loopback", {"container_prefix": "lo"}, "container_prefix", "taken", rule="B4"),
    *(
        _option(f"table {table}", {"rt_tables": table}, "rt_tables", f"{table} is not free")
        for table in (0, 253, 254, 255)
    ),
    _option("table too high", {"rt_tables": 2**32}, "rt_tables", "choose a number"),
    _option("negative table", {"rt_tables": -1}, "rt_tables", "choose a number"),
    _option("mtu for IPv6", {**_NET6, "mtu": 1000}, "mtu", "at least 1280", rule="A7"),
    _option(
        "exclusion with host bits",
        {"exclude": ["10.0.0.7/24"]},
        "exclude[0]",
        "host bits",
        rule="A7",
    ),
    _option(
        "exclusion of words",
        {"exclude": ["10.0.0.7", "router"]},
        "exclude[1]",
        "not an IPv4 address",
        rule="A7",
    ),
    NetworkCase(
        title="another id", network_id="internal", field="NetworkID", message='set it to "external"'
    ),
    NetworkCase(
        title="long name with VLAN",
        name="eleven-char",
        options={"host_device": "ens4", "vlan": 1000},
        field="NetworkID",
        message="choose a name of at most 10 bytes",
    ),
    NetworkCase(
        title="long name with VXLAN",
        name="thirteen-char",
        options={"host_device": "ens4", "vxlan": 1},
        field="NetworkID",
        message="choose a name of at most 12 bytes",
    ),
    *(
        _type(network_type)
        for network_type in (
            "../flannel",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "..",
            ".",
            ".hidden",
            "a..b",
            "a b",
            "a\n",
            "x" * 64,
        )
    ),
    _type("danm", rule="E2", message="cannot delegate to itself"),
    *(
        NetworkCase(
            title=f"VXLAN of sriov, {' and '.join(options)}",
            network_type="sriov",
            options={**options, "vxlan": 5},
            field="Options.vxlan",
            message="cannot be had with sriov",
            rule="E1",
        )
        for options in ({"host_device": "ens4"}, {"device_pool": "example.com/a"})
    ),
    _device_pool("devices without sriov", "macvlan", "example.com/sriov_a", "is of sriov networks"),
    _device_pool("devices without domain", "sriov", "sriov_a", "not the name of a device plugin"),
    _device_pool(
        "devices without name", "sriov", "example.com/", "not the name of a device plugin"
    ),
    _device_pool("devices with two slashes", "sriov", "a/b/c", "not the name of a device plugin"),
)
