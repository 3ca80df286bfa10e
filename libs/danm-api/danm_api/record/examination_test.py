"""What an examination finds, what it leaves alone, and what it proposes to end."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Interface
from typing import Any

import pytest

from danm_api.model.ip_block import ContainerOwner, ExternalOwner
from danm_api.model.ipam_report import FindingKind, Outcome
from danm_api.model.node import Node
from danm_api.model.pod import Pod, PodPhase
from danm_api.names import InterfaceName, NetworkName, NetworkUid, NodeName
from danm_api.record.diagnosis import DeleteEndpoint, FreeEntry, RemoveBlock, in_both
from danm_api.record.entries import CLOCK_SKEW
from danm_api.record.examination import examine
from danm_api.record.reasons import EXPIRED, LOST_NODE
from danm_api.record.snapshot import Snapshot, Unreadable
from danm_api.testing.snapshots import (
    NOW,
    NS,
    SOUND,
    a_block,
    a_net,
    a_pod,
    an_endpoint,
    an_entry,
    an_owner,
    kinds_of,
)

_LOST_NODE = (Node(name=NodeName("n1"), uid="n1", out_of_service=True),)


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(SOUND, id="a Pod with its address"),
        pytest.param(Snapshot(now=NOW), id="nothing"),
        pytest.param(
            replace(SOUND, pods=(a_pod(phase=PodPhase.PENDING),), endpoints=()),
            id="a Pod that is being started",
        ),
        pytest.param(
            replace(SOUND, pods=(replace(a_pod(), deleting=True),), endpoints=()),
            id="a Pod that is being ended",
        ),
        pytest.param(
            replace(SOUND, networks=(a_net(fakeipam=True),), endpoints=()),
            id="fakeipam, which has no DanmEp",
        ),
        pytest.param(
            replace(
                SOUND,
                blocks=(
                    a_block(
                        an_entry(),
                        an_entry(
                            "10.0.0.2",
                            ExternalOwner(
                                namespace=NS,
                                name="x",
                                reason="",
                                expires=NOW + timedelta(seconds=1),
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
                SOUND,
                networks=(a_net(), a_net("other", host_device="ens4")),
                blocks=(
                    a_block(an_entry()),
                    a_block(
                        an_entry(owner=ExternalOwner(namespace=NS, name="x", reason=""), node=""),
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


@pytest.mark.parametrize("pods", [(), (a_pod(phase=PodPhase.FAILED),), (a_pod(node="n2"),)])
def test_address_without_pod(pods: tuple[Pod, ...]) -> None:
    """Only on a lost node is it proposed for freeing: elsewhere danmd alone knows (DESIGN, P3)."""
    snapshot = replace(SOUND, pods=pods, endpoints=())
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
    owner = ContainerOwner(namespace=NS, container_id="c", interface=InterfaceName("eth0"))
    snapshot = replace(SOUND, blocks=(a_block(an_entry(owner=owner)),), endpoints=(), pods=())
    assert examine(snapshot) == ()
    assert kinds_of(replace(snapshot, nodes=())) == [FindingKind.ADDRESS_WITHOUT_POD]


def test_address_and_danmep_belong_together() -> None:
    """A running Pod with one of the two is found, whichever is missing; neither is freed."""
    (found,) = examine(replace(SOUND, endpoints=()))
    assert found.finding.kind is FindingKind.ADDRESS_WITHOUT_ENDPOINT
    assert "danmd of n1 creates it within 10 s" in found.finding.remedy
    assert "delete the Pod" in found.finding.remedy
    both = examine(replace(SOUND, blocks=()))
    assert [each.finding.kind for each in both] == [
        FindingKind.ENDPOINT_WITHOUT_ADDRESS,
        FindingKind.POD_WITHOUT_ADDRESS,
    ]
    assert both[0].finding.address == "10.0.0.1"
    assert [each.action for each in both] == [None, None]
    other = replace(SOUND, blocks=(a_block(an_entry("10.0.0.9")),))
    assert kinds_of(other) == [FindingKind.ENDPOINT_WITHOUT_ADDRESS]


def test_danmep_without_pod() -> None:
    """Danmd of its node removes it; of a lost node it may be deleted."""
    snapshot = replace(SOUND, blocks=(), pods=())
    (found,) = examine(snapshot)
    assert (found.finding.kind, found.action) == (FindingKind.ENDPOINT_WITHOUT_POD, None)
    (found,) = examine(replace(snapshot, nodes=()))
    assert found.action == DeleteEndpoint(endpoint=an_endpoint(), network_uid=NetworkUid("uid-net"))


def test_two_addresses_of_one_owner() -> None:
    """The older one is dead; two of one attempt, or on two nodes, only the nodes can judge."""
    # DESIGN, "Attempts fence"
    newer = replace(
        SOUND, blocks=(a_block(an_entry(), an_entry("10.0.0.2", attempt=2)),), endpoints=()
    )
    found = [each for each in examine(newer) if each.finding.kind is FindingKind.TWO_ADDRESSES]
    assert [(each.finding.address, type(each.action)) for each in found] == [
        ("10.0.0.1", FreeEntry)
    ]
    for second in (an_entry("10.0.0.2"), an_entry("10.0.0.2", node="n2", attempt=2)):
        same = replace(SOUND, blocks=(a_block(an_entry(), second),))
        found = [each for each in examine(same) if each.finding.kind is FindingKind.TWO_ADDRESSES]
        assert [(each.finding.address, each.action) for each in found] == [("10.0.0.2", None)]


def test_address_of_a_request_that_has_not_ended() -> None:
    """It is left to the Lease holder, which knows whether the request ends well."""
    held = replace(an_entry("10.0.0.2", attempt=2), pending=2)
    snapshot = replace(SOUND, blocks=(a_block(an_entry(), held),))
    found = [each for each in examine(snapshot) if each.finding.kind is FindingKind.TWO_ADDRESSES]
    assert [(each.finding.address, each.action) for each in found] == [("10.0.0.2", None)]
    assert "has not ended" in found[0].finding.problem


def test_two_owners_of_one_address() -> None:
    """One address on two networks of one wire, or left by a namesake that is gone, is found."""
    # DESIGN P1
    external = ExternalOwner(namespace=NS, name="x", reason="")
    other = a_block(an_entry(owner=external, node=""), net="other")
    wire = replace(SOUND, networks=(a_net(), a_net("other")), blocks=(*SOUND.blocks, other))
    (found,) = examine(wire)
    assert (found.finding.kind, found.action) == (FindingKind.TWO_OWNERS, None)
    assert "Pod ns/a (interface eth0) has it too, on DanmNet ns/net" in found.finding.problem
    old = replace(other, network=NetworkName("net"), network_uid=NetworkUid("gone"), name="gone-0")
    assert sorted(kinds_of(replace(SOUND, blocks=(*SOUND.blocks, old)))) == [
        FindingKind.BLOCK_WITHOUT_NETWORK,
        FindingKind.TWO_OWNERS,
    ]


class CountedName(str):
    """A name that counts how often it is compared with another one."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other: object) -> bool:
        """Compare, and count."""
        CountedName.comparisons += 1
        return super().__eq__(other)

    def __hash__(self) -> int:
        """Be in one place with those that are equal."""
        return super().__hash__()


def test_one_address_of_many_tenants_costs_what_they_are() -> None:
    """Each on a wire of its own: not every two of them are compared."""
    names = [f"net{number}" for number in range(200)]
    many = Snapshot(
        now=NOW,
        nodes=SOUND.nodes,
        networks=tuple(a_net(name, host_device=CountedName(f"ens-{name}")) for name in names),
        blocks=tuple(a_block(an_entry(owner=external_owner(name)), net=name) for name in names),
    )
    CountedName.comparisons = 0
    assert kinds_of(many) == []
    assert CountedName.comparisons < 10 * len(names)


def external_owner(name: str) -> ExternalOwner:
    """Return one that nothing else has to fit to."""
    return ExternalOwner(namespace=NS, name=name, reason="", expires=None)


@pytest.mark.parametrize(
    ("other", "meet"),
    [
        pytest.param({"vlan": 5}, True, id="one link and VLAN"),
        pytest.param({"vlan": 6}, False, id="another VLAN"),
        pytest.param({"vlan": 5, "host_device": "ens4"}, False, id="another link"),
        pytest.param({"host_device": "net.5"}, True, id="its VLAN's link"),
        pytest.param({}, False, id="the link without its VLAN"),
        pytest.param({"vlan": 5, "network_type": "flannel"}, False, id="another plugin's"),
    ],
)
def test_two_owners_meet_on_one_wire(other: dict[str, Any], meet: bool) -> None:
    """By the rules by which networks share one."""
    # DESIGN P1
    snapshot = Snapshot(
        now=NOW,
        nodes=SOUND.nodes,
        networks=(a_net(vlan=5), a_net("other", **other)),
        blocks=tuple(
            a_block(an_entry(owner=external_owner(net)), net=net) for net in ("net", "other")
        ),
    )
    assert kinds_of(snapshot) == [FindingKind.TWO_OWNERS] * meet


def test_expired_owner() -> None:
    """An external owner whose time is over has nothing any more."""
    # SPEC I3
    owner = ExternalOwner(namespace=NS, name="x", reason="", expires=NOW - CLOCK_SKEW)
    held = an_entry("10.0.0.2", owner, node="")
    (found,) = examine(replace(SOUND, blocks=(a_block(an_entry(), held),)))
    assert found.finding.kind is FindingKind.OWNER_EXPIRED
    assert isinstance(found.action, FreeEntry)
    assert (found.action.held, found.action.lost_node) == (held, None)
    assert found.action.reason is EXPIRED


def test_blocks_of_a_network_that_is_gone() -> None:
    """An empty one may be removed; one with entries stays until they are free."""
    empty = replace(SOUND, blocks=(*SOUND.blocks, a_block(net="gone")))
    (found,) = examine(empty)
    assert found.finding.kind is FindingKind.BLOCK_WITHOUT_NETWORK
    assert isinstance(found.action, RemoveBlock)
    (found,) = examine(replace(SOUND, networks=()))
    assert (found.finding.kind, found.action) == (FindingKind.BLOCK_WITHOUT_NETWORK, None)
    assert "10.0.0.1 of Pod ns/a" in found.finding.problem


def test_what_cannot_be_read_is_told() -> None:
    """An object that does not decode is a finding: nothing may be concluded from it."""
    odd = Unreadable(kind="DanmIPBlock", namespace="ns", name="odd", reason="no cidr")
    (found,) = examine(replace(SOUND, unreadable=(odd,)))
    assert found.finding.subject == "DanmIPBlock ns/odd"
    assert found.action is None


def test_no_danmep_is_missing_where_one_cannot_be_read() -> None:
    """A DanmEp that does not decode may be the one that an address seems to lack."""
    odd = Unreadable(kind="DanmEp", namespace="ns", name="odd", reason="no address")
    assert kinds_of(replace(SOUND, endpoints=(), unreadable=(odd,))) == [FindingKind.UNREADABLE]
    elsewhere = replace(odd, namespace="other")
    assert kinds_of(replace(SOUND, endpoints=(), unreadable=(elsewhere,))) == [
        FindingKind.UNREADABLE,
        FindingKind.ADDRESS_WITHOUT_ENDPOINT,
    ]


def test_what_one_look_saw_alone_is_in_flight() -> None:
    """A finding counts when both looks have it, of the same attempt."""
    first = examine(replace(SOUND, pods=(), endpoints=()))
    retaken = replace(SOUND, pods=(), endpoints=(), blocks=(a_block(an_entry(attempt=2)),))
    assert in_both(first, examine(SOUND)) == ()
    assert in_both(first, examine(retaken)) == ()
    assert in_both(first, first) == first


def test_a_network_without_subnet_needs_no_entries() -> None:
    """Untracked addresses, and networks of static delegates, have no record to be missing."""
    # SPEC G3, E2
    untracked = replace(SOUND, networks=(a_net(cidr=None),), blocks=())
    assert examine(untracked) == ()
    static = replace(
        SOUND,
        networks=(a_net(network_type="flannel", cidr=None),),
        blocks=(),
        endpoints=(replace(an_endpoint(), network_type="flannel"),),
    )
    assert examine(static) == ()
    second = replace(
        an_endpoint().interface, address=IPv4Interface("10.0.0.1/24"), name=InterfaceName("eth9")
    )
    wrong = replace(SOUND, endpoints=(an_endpoint(), replace(an_endpoint(), interface=second)))
    assert kinds_of(wrong) == [FindingKind.ENDPOINT_WITHOUT_ADDRESS]


def test_an_address_that_is_freed_cools_as_its_network_says() -> None:
    """Whoever frees it, nobody gets it before."""
    # SPEC A7
    gone = replace(SOUND, networks=(a_net(cooldown=60),), pods=(), endpoints=(), nodes=())
    (found,) = examine(gone)
    assert isinstance(found.action, FreeEntry)
    assert found.action.cooldown_s == 60


@pytest.mark.parametrize(("count", "more"), [(3, ""), (4, " and 1 more"), (9, " and 6 more")])
def test_three_owners_of_a_block_are_named(count: int, more: str) -> None:
    """And how many more there are."""
    held = [an_entry(f"10.0.0.{number}", an_owner(f"p{number}")) for number in range(1, count + 1)]
    snapshot = replace(SOUND, networks=(), blocks=(a_block(*held),), endpoints=(), pods=())
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
    endpoint = replace(an_endpoint(), network_type=network_type)
    forgotten = replace(SOUND, endpoints=(endpoint,), blocks=())
    assert FindingKind.ENDPOINT_WITHOUT_ADDRESS in kinds_of(forgotten)
