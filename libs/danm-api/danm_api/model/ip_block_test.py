"""What makes an owner the same owner."""

from dataclasses import replace

from danm_api.model.ip_block import ContainerOwner, ExternalOwner, owner_key
from danm_api.names import InterfaceName, Namespace
from danm_api.testing.builders import a_pod_owner
from danm_api.testing.clock import START


def test_a_pod_s_owner_is_its_uid_and_interface() -> None:
    """Another Pod of the same name is another owner."""  # SPEC G7
    owner = a_pod_owner()
    assert owner_key(replace(owner, name="renamed")) == owner_key(owner)
    assert owner_key(a_pod_owner(uid="other")) != owner_key(owner)
    assert owner_key(a_pod_owner(interface="eth1")) != owner_key(owner)


def test_an_external_owner_is_its_name() -> None:
    """Reason and expiry may change."""  # SPEC I3
    owner = ExternalOwner(namespace=Namespace("a"), name="router", reason="uplink")
    assert owner_key(replace(owner, reason="x", expires=START)) == owner_key(owner)
    assert owner_key(replace(owner, namespace=Namespace("b"))) != owner_key(owner)


def test_kinds_never_meet() -> None:
    """Whatever their names are."""
    container = ContainerOwner(
        namespace=Namespace("example-vnf"),
        container_id="pod-uid-1",
        interface=InterfaceName("eth0"),
    )
    assert owner_key(container) != owner_key(a_pod_owner())
