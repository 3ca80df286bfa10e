"""Who has what, as readings come in."""

from dataclasses import replace

from danm_api.model.ip_block import ExternalOwner, Held, PodOwner, owner_key
from danm_api.names import InterfaceName, Namespace, NetworkUid
from danm_api.testing.builders import a_held_entry, a_pod_owner
from ipam_svc.owners import Owners, without_interface

_UID = NetworkUid("uid")
_OTHER = NetworkUid("other")


def _pod(interface: str = "eth0") -> PodOwner:
    return a_pod_owner(interface=InterfaceName(interface))


def _held(address: str, interface: str = "eth0") -> Held:
    return a_held_entry(address, owner=_pod(interface))


def test_interfaces_of_one_owner_belong_together() -> None:
    """Keys of one Pod's interfaces differ in the interface alone; external names stay whole."""
    assert without_interface(owner_key(_pod())) == without_interface(owner_key(_pod("eth1")))
    external = owner_key(ExternalOwner(namespace=Namespace("ns"), name="x", reason=""))
    assert without_interface(external) == external


def test_each_look_up_sees_its_interface_and_its_network() -> None:
    """In the order of addresses, whatever the order of the readings."""
    owners = Owners()
    first, second, third = _held("10.0.0.1"), _held("10.0.0.9"), _held("10.0.0.70", "eth1")
    owners.change(_UID, gone=[], added=[second, third])
    owners.change(_UID, gone=[], added=[first])
    assert owners.of(_UID, owner_key(_pod())) == [first, second]
    assert list(owners.of_all_interfaces(_UID, owner_key(_pod()))) == [first, second, third]
    assert owners.of(_OTHER, owner_key(_pod())) == []


def test_a_changed_entry_replaces_its_former_self() -> None:
    """A later attempt of the same owner is one entry; what is gone leaves nothing behind."""
    owners = Owners()
    before = _held("10.0.0.1")
    after = replace(before, attempt=before.attempt + 1)
    owners.change(_UID, gone=[], added=[before])
    owners.change(_UID, gone=[before], added=[after])
    assert owners.of(_UID, owner_key(_pod())) == [after]
    owners.change(_UID, gone=[after], added=[])
    assert list(owners.of_all_interfaces(_UID, owner_key(_pod()))) == []


def test_dead_doubles_are_known_without_looking_through_blocks() -> None:
    """Only owners with several entries are looked at, and the answer is the same."""
    # DESIGN, P6
    owners = Owners()
    single = a_held_entry("10.0.0.3", owner=a_pod_owner("other", uid="pod-uid-2"), attempt=7)
    old, new = a_held_entry("10.0.0.1", attempt=1), a_held_entry("10.0.0.65", attempt=2)
    owners.change(_UID, gone=[], added=[old, single])
    assert owners.dead_doubles(_UID) == []
    owners.change(_UID, gone=[], added=[new])
    assert owners.dead_doubles(_UID) == [old]
    assert owners.dead_doubles(_OTHER) == []
    later = replace(old, attempt=3)
    owners.change(_UID, gone=[old], added=[later])
    assert owners.dead_doubles(_UID) == [new]
    owners.change(_UID, gone=[new], added=[])
    assert owners.dead_doubles(_UID) == []
    owners.change(_UID, gone=[later, single], added=[])
    assert vars(owners) == vars(Owners())
