"""What an examination finds, what it leaves alone, and what it proposes to end."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Interface, ip_address, ip_network
from typing import Any

import pytest

from danm_api.codec.ip_block import block_cidr_of, block_name
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import ContainerOwner, ExternalOwner, Held, IPBlock, Owner, PodOwner
from danm_api.model.ipam_report import FindingKind, Outcome
from danm_api.model.node import Node
from danm_api.model.pod import Pod, PodPhase
from danm_api.names import (
    InterfaceName,
    Namespace,
    NetworkName,
    NetworkUid,
    NodeName,
    PodName,
    PodUid,
)
from danm_api.record.diagnosis import DeleteEndpoint, FreeEntry, RemoveBlock, in_both
from danm_api.record.entries import CLOCK_SKEW
from danm_api.record.examination import examine
from danm_api.record.reasons import EXPIRED, LOST_NODE
from danm_api.record.snapshot import Snapshot, Unreadable
from danm_api.testing.builders import a_danmep, a_danmnet, accepted

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_NS = Namespace("ns")


def _net(
    name: str = "net",
    *,
    network_type: str = "ipvlan",
    cidr: str | None = "10.0.0.0/24",
    host_device: str = "ens3",
    fakeipam: bool = False,
    **options: Any,  # noqa: ANN401  (of a_danmnet)
) -> DanmNet:
    return accepted(
        a_danmnet(
            name,
            namespace=_NS,
            uid=f"uid-{name}",
            network_type=network_type,
            cidr=cidr,
            host_device=host_device,
            fakeipam=fakeipam,
            **options,
        )
    )


def _pod_owner(name: str = "a", interface: str = "eth0") -> PodOwner:
    return PodOwner(
        namespace=_NS, name=name, uid=PodUid(f"uid-{name}"), interface=InterfaceName(interface)
    )


def _held(
    address: str = "10.0.0.1", owner: Owner | None = None, *, node: str = "n1", attempt: int = 1
) -> Held:
    return Held(
        address=ip_address(address),
        owner=owner or _pod_owner(),
        node=NodeName(node),
        attempt=attempt,
        since=_NOW,
        mac="fa:16:3e:00:00:01",
    )


def _block(*entries: Held, net: str = "net", cidr: str = "10.0.0.0/26") -> IPBlock:
    uid, network = NetworkUid(f"uid-{net}"), ip_network(cidr)
    return IPBlock(
        namespace=_NS,
        name=block_name(uid, block_cidr_of(network.network_address)),
        network=NetworkName(net),
        network_uid=uid,
        cidr=network,
        entries=entries,
        resource_version="1",
        uid=f"block-{net}-{cidr}",
    )


def _endpoint(name: str = "a", *, address: str | None = "10.0.0.1/24", node: str = "n1") -> DanmEp:
    return a_danmep(
        f"{name}-eth0",
        namespace=_NS,
        network="net",
        pod=name,
        pod_uid=f"uid-{name}",
        address=address,
        node=node,
    )


def _pod(name: str = "a", *, phase: PodPhase = PodPhase.RUNNING, node: str = "n1") -> Pod:
    return Pod(
        namespace=_NS,
        name=PodName(name),
        uid=PodUid(f"uid-{name}"),
        annotations={"danm.k8s.io/interfaces": '[{"network": "net", "ip": "dynamic"}]'},
        node=NodeName(node),
        phase=phase,
    )


# One Pod as it should be.
_SOUND = Snapshot(
    now=_NOW,
    networks=(_net(),),
    blocks=(_block(_held()),),
    endpoints=(_endpoint(),),
    nodes=(Node(name=NodeName("n1"), uid="n1"), Node(name=NodeName("n2"), uid="n2")),
    pods=(_pod(),),
)
_DEFAULT = _net("default")
_LOST_NODE = (Node(name=NodeName("n1"), uid="n1", out_of_service=True),)


def _kinds(snapshot: Snapshot) -> list[FindingKind]:
    return [each.finding.kind for each in examine(snapshot)]


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(_SOUND, id="a Pod with its address"),
        pytest.param(Snapshot(now=_NOW), id="nothing"),
        pytest.param(
            replace(_SOUND, pods=(_pod(phase=PodPhase.PENDING),), endpoints=()),
            id="a Pod that is being started",
        ),
        pytest.param(
            replace(_SOUND, pods=(replace(_pod(), deleting=True),), endpoints=()),
            id="a Pod that is being ended",
        ),
        pytest.param(
            replace(_SOUND, networks=(_net(fakeipam=True),), endpoints=()),
            id="fakeipam, which has no DanmEp",
        ),
        pytest.param(
            replace(
                _SOUND,
                blocks=(
                    _block(
                        _held(),
                        _held(
                            "10.0.0.2",
                            ExternalOwner(
                                namespace=_NS,
                                name="x",
                                reason="",
                                expires=_NOW + timedelta(seconds=1),
                            ),
                            node="",
                        ),
                    ),
                ),
            ),
            id="an external owner",
        ),
        pytest.param(
            replace(
                _SOUND,
                networks=(_net(), _net("other", host_device="ens4")),
                blocks=(
                    _block(_held()),
                    _block(
                        _held(owner=ExternalOwner(namespace=_NS, name="x", reason=""), node=""),
                        net="other",
                    ),
                ),
            ),
            id="one address on two wires",
        ),
    ],
)
def test_what_fits_is_no_finding(snapshot: Snapshot) -> None:
    """Nothing is said of what is as it should be, nor of Pods on their way in or out."""
    assert examine(snapshot) == ()


@pytest.mark.parametrize("pods", [(), (_pod(phase=PodPhase.FAILED),), (_pod(node="n2"),)])
def test_address_without_pod(pods: tuple[Pod, ...]) -> None:
    """Only on a lost node is it proposed for freeing: elsewhere danmd alone knows (DESIGN, P3)."""
    snapshot = replace(_SOUND, pods=pods, endpoints=())
    (found,) = examine(snapshot)
    assert found.finding.kind is FindingKind.ADDRESS_WITHOUT_POD
    assert (found.finding.outcome, found.action) == (Outcome.LEFT, None)
    assert "danmd of n1 frees it" in found.finding.remedy
    for nodes in (_LOST_NODE, ()):
        found = next(iter(examine(replace(snapshot, nodes=nodes))))
        assert isinstance(found.action, FreeEntry)
        assert found.action.lost_node == "n1"
        assert found.action.reason is LOST_NODE
        assert found.finding.outcome is Outcome.REPAIRABLE


def test_address_of_a_container_on_a_lost_node() -> None:
    """A container that is no Pod is known to be gone with its node only."""
    # SPEC F2
    owner = ContainerOwner(namespace=_NS, container_id="c", interface=InterfaceName("eth0"))
    snapshot = replace(_SOUND, blocks=(_block(_held(owner=owner)),), endpoints=(), pods=())
    assert examine(snapshot) == ()
    assert _kinds(replace(snapshot, nodes=())) == [FindingKind.ADDRESS_WITHOUT_POD]


def test_address_and_danmep_belong_together() -> None:
    """A running Pod with one of the two is found, whichever is missing; neither is freed."""
    (found,) = examine(replace(_SOUND, endpoints=()))
    assert found.finding.kind is FindingKind.ADDRESS_WITHOUT_ENDPOINT
    assert "danmd of n1 creates it within 10 s" in found.finding.remedy
    assert "delete the Pod" in found.finding.remedy
    both = examine(replace(_SOUND, blocks=()))
    assert [each.finding.kind for each in both] == [
        FindingKind.ENDPOINT_WITHOUT_ADDRESS,
        FindingKind.POD_WITHOUT_ADDRESS,
    ]
    assert both[0].finding.address == "10.0.0.1"
    assert [each.action for each in both] == [None, None]
    other = replace(_SOUND, blocks=(_block(_held("10.0.0.9")),))
    assert _kinds(other) == [FindingKind.ENDPOINT_WITHOUT_ADDRESS]


def _asks_for_nothing(annotation: str | None = None) -> Pod:
    """Return a Pod that runs with an address of the network ``default``."""
    return replace(
        _pod(),
        annotations={} if annotation is None else {"danm.k8s.io/interfaces": annotation},
        created=_DEFAULT.created + timedelta(seconds=1),
        ips=(ip_address("10.0.0.1"),),
    )


@pytest.mark.parametrize("annotation", [None, "", "[]"])
def test_pod_on_the_default_network_needs_an_address(annotation: str | None) -> None:
    """A Pod that asks for nothing is held against the DanmNet ``default`` of its namespace."""
    # SPEC B2
    pod = _asks_for_nothing(annotation)
    forgotten = Snapshot(now=_NOW, networks=(_DEFAULT,), nodes=_SOUND.nodes, pods=(pod,))
    (found,) = examine(forgotten)
    assert found.finding.kind is FindingKind.POD_WITHOUT_ADDRESS
    assert (found.finding.network, found.finding.subject) == ("default", "Pod ns/a")
    assert "has 10.0.0.1 of its namespace's default network" in found.finding.problem
    assert found.action is None
    endpoint = replace(_endpoint(), network=NetworkName("default"))
    sound = replace(forgotten, blocks=(_block(_held(), net="default"),), endpoints=(endpoint,))
    assert examine(sound) == ()


@pytest.mark.parametrize(
    ("pod", "net"),
    [
        pytest.param(_asks_for_nothing(), _net(), id="no default network"),
        pytest.param(
            replace(_asks_for_nothing(), created=_DEFAULT.created), _DEFAULT, id="not younger"
        ),
        pytest.param(replace(_asks_for_nothing(), created=None), _DEFAULT, id="of unknown age"),
        pytest.param(
            replace(_asks_for_nothing(), ips=(ip_address("10.0.1.1"), ip_address("fd00::1"))),
            _DEFAULT,
            id="on the fallback network",
        ),
        pytest.param(replace(_asks_for_nothing(), ips=()), _DEFAULT, id="without address"),
        pytest.param(
            replace(_asks_for_nothing(), host_network=True), _DEFAULT, id="on the host's network"
        ),
        pytest.param(_asks_for_nothing(), _net("default", cidr=None), id="network without subnet"),
        pytest.param(
            _asks_for_nothing(), _net("default", network_type="flannel"), id="static delegate"
        ),
        pytest.param(
            _asks_for_nothing(),
            replace(_DEFAULT, status=replace(_DEFAULT.status, applied=None)),
            id="never valid",
        ),
    ],
)
def test_pod_that_may_be_on_another_network_needs_none(pod: Pod, net: DanmNet) -> None:
    """Pods that use the fallback, or were there before the DanmNet, are no false alarm."""
    # SPEC B2
    assert examine(Snapshot(now=_NOW, networks=(net,), nodes=_SOUND.nodes, pods=(pod,))) == ()


def test_danmep_without_pod() -> None:
    """Danmd of its node removes it; of a lost node it may be deleted."""
    snapshot = replace(_SOUND, blocks=(), pods=())
    (found,) = examine(snapshot)
    assert (found.finding.kind, found.action) == (FindingKind.ENDPOINT_WITHOUT_POD, None)
    (found,) = examine(replace(snapshot, nodes=()))
    assert found.action == DeleteEndpoint(endpoint=_endpoint(), network_uid=NetworkUid("uid-net"))


def test_static_pods_are_known_by_their_mirror() -> None:
    """The owner of a static Pod's address is what its mirror stands for."""
    mirror = replace(_pod(), uid=PodUid("object"), mirror_of="uid-a")
    assert examine(replace(_SOUND, pods=(mirror,))) == ()


def test_two_addresses_of_one_owner() -> None:
    """The older one is dead; two of one attempt, or on two nodes, only the nodes can judge."""
    # DESIGN, "Attempts fence"
    newer = replace(_SOUND, blocks=(_block(_held(), _held("10.0.0.2", attempt=2)),), endpoints=())
    found = [each for each in examine(newer) if each.finding.kind is FindingKind.TWO_ADDRESSES]
    assert [(each.finding.address, type(each.action)) for each in found] == [
        ("10.0.0.1", FreeEntry)
    ]
    for second in (_held("10.0.0.2"), _held("10.0.0.2", node="n2", attempt=2)):
        same = replace(_SOUND, blocks=(_block(_held(), second),))
        found = [each for each in examine(same) if each.finding.kind is FindingKind.TWO_ADDRESSES]
        assert [(each.finding.address, each.action) for each in found] == [("10.0.0.2", None)]


def test_two_owners_of_one_address() -> None:
    """One address on two networks of one wire, or left by a namesake that is gone, is found."""
    # DESIGN P1
    external = ExternalOwner(namespace=_NS, name="x", reason="")
    other = _block(_held(owner=external, node=""), net="other")
    wire = replace(_SOUND, networks=(_net(), _net("other")), blocks=(*_SOUND.blocks, other))
    (found,) = examine(wire)
    assert (found.finding.kind, found.action) == (FindingKind.TWO_OWNERS, None)
    assert "Pod ns/a (interface eth0) has it too, on DanmNet ns/net" in found.finding.problem
    old = replace(other, network=NetworkName("net"), network_uid=NetworkUid("gone"), name="gone-0")
    assert sorted(_kinds(replace(_SOUND, blocks=(*_SOUND.blocks, old)))) == [
        FindingKind.BLOCK_WITHOUT_NETWORK,
        FindingKind.TWO_OWNERS,
    ]


def test_expired_owner() -> None:
    """An external owner whose time is over has nothing any more."""
    # SPEC I3
    owner = ExternalOwner(namespace=_NS, name="x", reason="", expires=_NOW - CLOCK_SKEW)
    held = _held("10.0.0.2", owner, node="")
    (found,) = examine(replace(_SOUND, blocks=(_block(_held(), held),)))
    assert found.finding.kind is FindingKind.OWNER_EXPIRED
    assert isinstance(found.action, FreeEntry)
    assert (found.action.held, found.action.lost_node) == (held, None)
    assert found.action.reason is EXPIRED


def test_blocks_of_a_network_that_is_gone() -> None:
    """An empty one may be removed; one with entries stays until they are free."""
    empty = replace(_SOUND, blocks=(*_SOUND.blocks, _block(net="gone")))
    (found,) = examine(empty)
    assert found.finding.kind is FindingKind.BLOCK_WITHOUT_NETWORK
    assert isinstance(found.action, RemoveBlock)
    (found,) = examine(replace(_SOUND, networks=()))
    assert (found.finding.kind, found.action) == (FindingKind.BLOCK_WITHOUT_NETWORK, None)
    assert "10.0.0.1 of Pod ns/a" in found.finding.problem


def test_what_cannot_be_read_is_told() -> None:
    """An object that does not decode is a finding: nothing may be concluded from it."""
    odd = Unreadable(kind="DanmIPBlock", namespace="ns", name="odd", reason="no cidr")
    (found,) = examine(replace(_SOUND, unreadable=(odd,)))
    assert found.finding.subject == "DanmIPBlock ns/odd"
    assert found.action is None


def test_no_danmep_is_missing_where_one_cannot_be_read() -> None:
    """A DanmEp that does not decode may be the one that an address seems to lack."""
    odd = Unreadable(kind="DanmEp", namespace="ns", name="odd", reason="no address")
    assert _kinds(replace(_SOUND, endpoints=(), unreadable=(odd,))) == [FindingKind.UNREADABLE]
    elsewhere = replace(odd, namespace="other")
    assert _kinds(replace(_SOUND, endpoints=(), unreadable=(elsewhere,))) == [
        FindingKind.UNREADABLE,
        FindingKind.ADDRESS_WITHOUT_ENDPOINT,
    ]


def test_what_one_look_saw_alone_is_in_flight() -> None:
    """A finding counts when both looks have it, of the same attempt."""
    first = examine(replace(_SOUND, pods=(), endpoints=()))
    retaken = replace(_SOUND, pods=(), endpoints=(), blocks=(_block(_held(attempt=2)),))
    assert in_both(first, examine(_SOUND)) == ()
    assert in_both(first, examine(retaken)) == ()
    assert in_both(first, first) == first


def test_a_network_without_subnet_needs_no_entries() -> None:
    """Untracked addresses, and networks of static delegates, have no record to be missing."""
    # SPEC G3, E2
    untracked = replace(_SOUND, networks=(_net(cidr=None),), blocks=())
    assert examine(untracked) == ()
    static = replace(
        _SOUND,
        networks=(_net(network_type="flannel", cidr=None),),
        blocks=(),
        endpoints=(replace(_endpoint(), network_type="flannel"),),
    )
    assert examine(static) == ()
    second = replace(
        _endpoint().interface, address=IPv4Interface("10.0.0.1/24"), name=InterfaceName("eth9")
    )
    wrong = replace(_SOUND, endpoints=(_endpoint(), replace(_endpoint(), interface=second)))
    assert _kinds(wrong) == [FindingKind.ENDPOINT_WITHOUT_ADDRESS]


def test_an_address_that_is_freed_cools_as_its_network_says() -> None:
    """Whoever frees it, nobody gets it before."""
    # SPEC A7
    gone = replace(_SOUND, networks=(_net(cooldown=60),), pods=(), endpoints=(), nodes=())
    (found,) = examine(gone)
    assert isinstance(found.action, FreeEntry)
    assert found.action.cooldown_s == 60


@pytest.mark.parametrize(("count", "more"), [(3, ""), (4, " and 1 more"), (9, " and 6 more")])
def test_three_owners_of_a_block_are_named(count: int, more: str) -> None:
    """And how many more there are."""
    held = [_held(f"10.0.0.{number}", _pod_owner(f"p{number}")) for number in range(1, count + 1)]
    snapshot = replace(_SOUND, networks=(), blocks=(_block(*held),), endpoints=(), pods=())
    (problem,) = (
        each.finding.problem
        for each in examine(snapshot)
        if each.finding.kind is FindingKind.BLOCK_WITHOUT_NETWORK
    )
    assert problem.endswith(f"10.0.0.3 of Pod ns/p3 (interface eth0){more}")


@pytest.mark.parametrize("network_type", ["ipvlan", "IPVLAN", "macvlan"])
def test_a_type_is_built_in_however_it_is_written(network_type: str) -> None:
    """Its addresses are in the record."""
    # SPEC A1
    endpoint = replace(_endpoint(), network_type=network_type)
    forgotten = replace(_SOUND, endpoints=(endpoint,), blocks=())
    assert FindingKind.ENDPOINT_WITHOUT_ADDRESS in _kinds(forgotten)


@pytest.mark.parametrize(
    ("attachment", "needs"),
    [
        ('{"network": "net", "ip": "none", "ip6": "none"}', False),
        ('{"network": "net", "ip": "dynamic", "ip6": "none"}', True),
        ('{"network": "net", "ip": "none", "ip6": "dynamic"}', True),
    ],
)
def test_who_asks_for_no_address_needs_none(attachment: str, *, needs: bool) -> None:
    """Of either family, on a network that has both."""
    # SPEC B1, E6
    pod = replace(_pod(), annotations={"danm.k8s.io/interfaces": f"[{attachment}]"})
    dual = _net(net6="2001:db8::/64")
    empty = Snapshot(now=_NOW, networks=(dual,), nodes=_SOUND.nodes, pods=(pod,))
    assert _kinds(empty) == ([FindingKind.POD_WITHOUT_ADDRESS] if needs else [])
