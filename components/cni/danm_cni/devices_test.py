"""Who gets which device."""

from collections.abc import Mapping, Sequence

import pytest

from danm_api.errors import SeveralErrors
from danm_api.model.attachment import Attachment, NoAddress
from danm_api.names import Namespace, NetworkName, PodName
from danm_api.testing.builders import a_danmnet, accepted
from danm_cni.devices import assign_devices, wants_devices
from danm_cni.plan import PlannedAttachment, plan_attachments
from danm_cni.request import PodIdentity

POD = PodIdentity(namespace=Namespace("example-vnf"), name=PodName("vnf"), uid=None)
A, B = "example.com/a", "example.com/b"
NETWORKS = {
    "eth": accepted(a_danmnet("eth", network_type="flannel")),
    "red": accepted(a_danmnet("red", network_type="sriov", device_pool=A, container_prefix="red")),
    "blue": accepted(a_danmnet("blue", network_type="sriov", device_pool=B, container_prefix="bl")),
    "any": accepted(a_danmnet("any", network_type="sriov", device_pool=A)),
}


def _planned(*names: str) -> Sequence[PlannedAttachment]:
    attachments = [
        Attachment(index=index, network=NetworkName(name), ip=NoAddress(), ip6=NoAddress())
        for index, name in enumerate(names)
    ]
    return plan_attachments(POD, attachments, NETWORKS.get)


def test_devices_go_in_the_order_of_the_annotation() -> None:
    """Each attachment gets the next device of its own pool; networks without a pool get none."""
    # SPEC E1
    planned = _planned("eth", "red", "any", "blue")
    assert wants_devices(planned)
    given: Mapping[str, Sequence[str]] = {A: ["a1", "a2", "a3"], B: ["b1"]}
    assert assign_devices(POD, planned, given) == {"red": "a1", "eth2": "a2", "bl": "b1"}


def test_a_pod_without_such_networks_asks_for_nothing() -> None:
    """The kubelet is not asked where no network has a pool."""
    assert not wants_devices(_planned("eth"))


@pytest.mark.parametrize("given", [{}, {A: ["a1"]}])
def test_too_few_devices_are_told_with_the_way_out(given: Mapping[str, Sequence[str]]) -> None:
    """Every pool that is short is named, with its entries and what to request."""
    with pytest.raises(SeveralErrors) as caught:
        assign_devices(POD, _planned("eth", "red", "any", "blue"), given)
    first, second = (error.reason for error in caught.value.errors)
    assert "entries 1 (red), 2 (any) take a device of example.com/a" in first
    assert "request 2 in a container's resources.limits['example.com/a']" in first
    assert "entries 3 (blue)" in second
