"""Hypothesis strategies for the model: what its types allow, valid or not."""

from datetime import UTC, datetime, timedelta
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import Final

from hypothesis import strategies as st

from danm_api.codec.ip_block import block_cidr_of, block_name
from danm_api.model.addresses import IPAddress, IPv4Range, IPv4Route, IPv6Range, IPv6Route
from danm_api.model.attachment import (
    Attachment,
    Dynamic,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.model.cni import CniDns, CniInterface, CniIp, CniResult, CniRoute
from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.model.danmep import DanmEp, EndpointInterface
from danm_api.model.danmnet import (
    BuiltInType,
    Condition,
    NetworkSpec,
    NetworkStatus,
    NodeSum,
    Segment,
    StaticDelegate,
    Untagged,
    Usage,
    Vlan,
    Vxlan,
)
from danm_api.model.ip_block import (
    ContainerOwner,
    Cooling,
    Entry,
    ExternalOwner,
    Held,
    IPBlock,
    Owner,
    PodOwner,
)
from danm_api.model.limits import (
    MAX_COOLDOWN_S,
    MAX_MTU,
    MAX_ROUTING_TABLE,
    MAX_VID,
    MAX_VNI,
    MIN_MTU,
    MIN_VID,
    MIN_VNI,
)
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    NetworkName,
    NetworkUid,
    NodeName,
    PodName,
    PodUid,
)

_MAX_INT64: Final = 2**63 - 1
_YEAR_2000: Final = datetime(2000, 1, 1, tzinfo=UTC)

# Kubernetes names (DNS-1123 labels) and interfaces' names.
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
interface_names = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True).map(InterfaceName)
macs = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))

ipv4_addresses = st.ip_addresses(v=4)
ipv6_addresses = st.ip_addresses(v=6)
addresses: st.SearchStrategy[IPAddress] = st.one_of(ipv4_addresses, ipv6_addresses)
ipv4_interfaces = st.builds(
    lambda address, length: IPv4Interface((address, length)), ipv4_addresses, st.integers(0, 32)
)
ipv6_interfaces = st.builds(
    lambda address, length: IPv6Interface((address, length)), ipv6_addresses, st.integers(0, 128)
)
ipv4_networks: st.SearchStrategy[IPv4Network] = ipv4_interfaces.map(lambda each: each.network)
ipv6_networks: st.SearchStrategy[IPv6Network] = ipv6_interfaces.map(lambda each: each.network)

# Moments as objects have them: in UTC, to the microsecond, 2000 to 2222.
moments = st.integers(0, 7 * 10**15).map(
    lambda microseconds: _YEAR_2000 + timedelta(microseconds=microseconds)
)


def _ipv4_range(one: IPv4Address, other: IPv4Address) -> IPv4Range:
    return IPv4Range(start=min(one, other), end=max(one, other))


def _ipv6_range(one: IPv6Address, other: IPv6Address) -> IPv6Range:
    return IPv6Range(start=min(one, other), end=max(one, other))


ipv4_ranges = st.builds(_ipv4_range, ipv4_addresses, ipv4_addresses)
ipv6_ranges = st.builds(_ipv6_range, ipv6_addresses, ipv6_addresses)

ipv4_routes = st.lists(
    st.builds(IPv4Route, destination=ipv4_networks, gateway=ipv4_addresses),
    max_size=3,
    unique_by=lambda route: route.destination,
).map(lambda routes: tuple(sorted(routes, key=lambda route: route.destination)))
ipv6_routes = st.lists(
    st.builds(IPv6Route, destination=ipv6_networks, gateway=ipv6_addresses),
    max_size=3,
    unique_by=lambda route: route.destination,
).map(lambda routes: tuple(sorted(routes, key=lambda route: route.destination)))

segments: st.SearchStrategy[Segment] = st.one_of(
    st.builds(Untagged),
    st.builds(Vlan, vid=st.integers(MIN_VID, MAX_VID)),
    st.builds(Vxlan, vni=st.integers(MIN_VNI, MAX_VNI)),
)
network_types = st.one_of(
    st.sampled_from(BuiltInType),
    st.builds(StaticDelegate, name=st.sampled_from(["flannel", "calico", "Bridge", "../x"])),
)

# Specs as the codec reads them: their parts parse, and need not go together.
network_specs = st.builds(
    NetworkSpec,
    network_id=names.map(NetworkName),
    network_type=network_types,
    host_device=st.none() | interface_names,
    segment=segments,
    cidr=st.none() | ipv4_networks,
    pool=st.none() | ipv4_ranges,
    net6=st.none() | ipv6_networks,
    pool6=st.none() | ipv6_ranges,
    exclude=st.lists(ipv4_networks | ipv6_networks, max_size=3).map(tuple),
    container_prefix=st.none() | interface_names,
    routing_table=st.none() | st.integers(0, MAX_ROUTING_TABLE),
    routes=ipv4_routes,
    routes6=ipv6_routes,
    mtu=st.none() | st.integers(MIN_MTU, MAX_MTU),
    cooldown_s=st.integers(0, MAX_COOLDOWN_S),
    dpdk=st.booleans(),
    device_pool=st.none() | st.just("example.com/sriov_a"),
    fakeipam=st.booleans(),
)

conditions = st.builds(
    Condition,
    type=st.sampled_from(["Valid", "Applied", "InUse"]),
    status=st.sampled_from([True, False, None]),
    reason=names,
    message=st.text(max_size=20),
    observed_generation=st.integers(0, _MAX_INT64),
    last_transition=moments,
)
# Far beyond what a JSON number of the API holds.
usages6 = st.builds(
    Usage,
    total=st.integers(0, 2**128),
    used=st.integers(0, 2**128),
    free=st.integers(0, 2**128),
    ranges=st.text(max_size=20),
)
usages = st.builds(
    Usage,
    total=st.integers(0, 2**32),
    used=st.integers(0, 2**32),
    free=st.integers(0, 2**32),
    ranges=st.text(max_size=20),
)
node_sums = st.builds(
    NodeSum, ready=st.integers(0, 5000), total=st.integers(0, 5000), why=st.text(max_size=20)
)

network_statuses = st.builds(
    NetworkStatus,
    applied=st.none() | network_specs,
    conditions=st.lists(conditions, max_size=3, unique_by=lambda each: each.type).map(tuple),
    ipv4=st.none() | usages,
    ipv6=st.none() | usages6,
    nodes=st.none() | node_sums,
    observed_generation=st.integers(0, _MAX_INT64),
)

danmeps = st.builds(
    DanmEp,
    namespace=names.map(Namespace),
    name=names,
    network=names.map(NetworkName),
    network_type=st.sampled_from(["ipvlan", "IPVLAN", "flannel", ""]),
    endpoint_id=st.uuids().map(str),
    interface=st.builds(
        EndpointInterface,
        name=interface_names,
        address=st.none() | ipv4_interfaces,
        address_ipv6=st.none() | ipv6_interfaces,
        mac_address=st.none() | macs,
        policy_routes=ipv4_routes,
        policy_routes6=ipv6_routes,
    ),
    node=names.map(NodeName),
    pod=names.map(PodName),
    pod_uid=st.uuids().map(str).map(PodUid),
    container_id=st.binary(min_size=32, max_size=32).map(bytes.hex).map(ContainerId),
    netns=st.just("/run/netns/x"),
    creator=st.just("danm"),
    expires=st.none() | moments,
    pod_labels=st.dictionaries(names, names, max_size=3),
    resource_version=st.sampled_from(["", "7"]),
)

owners: st.SearchStrategy[Owner] = st.one_of(
    st.builds(
        PodOwner,
        namespace=names.map(Namespace),
        name=names,
        uid=st.uuids().map(str).map(PodUid),
        interface=interface_names,
    ),
    st.builds(
        ContainerOwner,
        namespace=names.map(Namespace),
        container_id=names,
        interface=interface_names,
    ),
    st.builds(
        ExternalOwner,
        namespace=names.map(Namespace),
        name=names,
        reason=st.text(max_size=20),
        expires=st.none() | moments,
    ),
)
unknown_fields = st.dictionaries(
    st.sampled_from(["later", "laterStill"]), st.booleans() | names | st.just(""), max_size=2
)
unknown_marks = st.dictionaries(
    st.sampled_from(["later", "example.com/later"]), names | st.just(""), max_size=2
)


@st.composite
def ip_blocks(draw: st.DrawFn) -> IPBlock:
    """Draw a block with up to ten entries, in the order of addresses."""
    cidr = block_cidr_of(draw(addresses))
    uid = NetworkUid(str(draw(st.uuids())))
    offsets = draw(st.sets(st.integers(0, cidr.num_addresses - 1), max_size=10))
    return IPBlock(
        namespace=Namespace(draw(names)),
        name=block_name(uid, cidr),
        network=NetworkName(draw(names)),
        network_uid=uid,
        cidr=cidr,
        entries=tuple(draw(_entries(cidr[offset])) for offset in sorted(offsets)),
        sealed=draw(st.booleans()),
        fence=draw(st.integers(0, 3)),
        resource_version=draw(st.sampled_from(["", "7"])),
        unknown=draw(unknown_fields),
        unknown_labels=draw(unknown_marks),
        annotations=draw(unknown_marks),
    )


def _entries(address: IPAddress) -> st.SearchStrategy[Entry]:
    return st.one_of(
        st.builds(
            Held,
            address=st.just(address),
            owner=owners,
            node=(names | st.just("")).map(NodeName),
            attempt=st.integers(0, _MAX_INT64),
            born=st.none() | st.integers(0, _MAX_INT64),
            pending=st.none() | st.integers(0, _MAX_INT64),
            since=moments,
            mac=macs,
            unknown=unknown_fields,
        ),
        st.builds(Cooling, address=st.just(address), free_at=moments, unknown=unknown_fields),
    )


attachments = st.builds(
    Attachment,
    index=st.integers(0, 10),
    network=names.map(NetworkName),
    ip=st.builds(Dynamic) | st.builds(NoAddress) | st.builds(StaticIPv4, interface=ipv4_interfaces),
    ip6=st.builds(Dynamic)
    | st.builds(NoAddress)
    | st.builds(StaticIPv6, interface=ipv6_interfaces),
    policy_routes=ipv4_routes,
    policy_routes6=ipv6_routes,
)

danm_nodes = st.builds(
    DanmNode,
    name=names.map(NodeName),
    networks=st.lists(
        st.builds(
            NodeNetwork,
            namespace=names.map(Namespace),
            network=names.map(NetworkName),
            link=interface_names | st.just(""),
            up=st.booleans(),
            reason=st.text(max_size=20),
        ),
        max_size=3,
    ).map(tuple),
    updated=st.none() | moments,
    resource_version=st.sampled_from(["", "7"]),
)

cni_results = st.builds(
    CniResult,
    interfaces=st.lists(
        st.builds(
            CniInterface,
            name=interface_names,
            mac=st.none() | macs,
            sandbox=st.none() | st.just("/run/netns/x"),
            mtu=st.none() | st.integers(MIN_MTU, MAX_MTU),
            socket_path=st.none() | st.just("/run/vhost/x.sock"),
            pci_id=st.none() | st.just("0000:00:1f.6"),
        ),
        max_size=3,
    ).map(tuple),
    ips=st.lists(
        st.builds(
            CniIp,
            address=ipv4_interfaces | ipv6_interfaces,
            gateway=st.none() | addresses,
            interface=st.none() | st.integers(0, 2),
        ),
        max_size=3,
    ).map(tuple),
    routes=st.lists(
        st.builds(
            CniRoute,
            destination=ipv4_networks | ipv6_networks,
            gateway=st.none() | addresses,
            mtu=st.none() | st.integers(MIN_MTU, MAX_MTU),
            advmss=st.none() | st.integers(1, MAX_MTU),
            priority=st.none() | st.integers(1, 2**32 - 1),
            table=st.none() | st.integers(0, 2**32 - 1),
            scope=st.none() | st.integers(0, 255),
        ),
        max_size=3,
    ).map(tuple),
    dns=st.builds(
        CniDns,
        nameservers=st.lists(addresses.map(str), max_size=2).map(tuple),
        domain=st.none() | names,
        search=st.lists(names, max_size=2).map(tuple),
        options=st.lists(names, max_size=2).map(tuple),
    ),
)
