"""What an ADD was planned with, and what its DanmNet is by now."""

from dataclasses import replace
from typing import Any

import pytest

from danm_api.errors import NetworkNotReadyError
from danm_api.ipam_api import AttachmentAnswer
from danm_api.model.attachment import Attachment, Dynamic, NoAddress
from danm_api.model.danmnet import DanmNet
from danm_api.names import Namespace, NetworkName, PodName
from danm_api.testing.builders import NAMESPACE, a_danmnet, accepted
from danm_cni.as_planned import is_answer_as_planned, is_as_planned, not_as_planned
from danm_cni.plan import PlannedAttachment, plan_attachments
from danm_cni.request import PodIdentity

_OPTIONS: dict[str, Any] = {"host_device": "ens4", "vlan": 300, "cidr": "10.0.0.0/24"}


def _net(
    network_type: str | None = None, uid: str = "uid-1", **options: Any  # noqa: ANN401
) -> DanmNet:
    made = a_danmnet("net", network_type=network_type, uid=uid, **{**_OPTIONS, **options})
    return accepted(made)


def _planned() -> PlannedAttachment:
    pod = PodIdentity(namespace=Namespace(NAMESPACE), name=PodName("pod"), uid=None)
    asked = Attachment(index=0, network=NetworkName("net"), ip=Dynamic(), ip6=NoAddress())
    (planned,) = plan_attachments(pod, [asked], {"net": _net()}.get)
    return planned


@pytest.mark.parametrize(
    ("uid", "wire", "same"),
    [
        pytest.param("uid-1", "ens4/vlan/300", True, id="the same"),
        pytest.param("uid-1", None, True, id="of a release that does not tell the wire"),
        pytest.param("uid-1", "ens4/vlan/301", False, id="another wire"),
        pytest.param("uid-2", "ens4/vlan/300", False, id="made anew"),
        pytest.param("uid-2", None, False, id="made anew, by a release before"),
    ],
)
def test_an_answer_is_of_what_was_planned_with(uid: str, wire: str | None, *, same: bool) -> None:
    """ipam-svc says which DanmNet it was and, from this release on, which wire."""
    # DESIGN, P1
    answer = AttachmentAnswer(
        network="net", network_uid=uid, interface="eth0", mac="m", ip="10.0.0.1/24", wire=wire
    )
    assert same == is_answer_as_planned(_planned(), answer)


@pytest.mark.parametrize(
    ("net", "same"),
    [
        pytest.param(_net(), True, id="the same"),
        pytest.param(_net(routes={"10.9.0.0/16": "10.0.0.1"}), True, id="other routes"),
        pytest.param(_net(uid="uid-2"), False, id="made anew"),
        pytest.param(_net(vlan=301), False, id="another VLAN"),
        pytest.param(_net(host_device="ens5"), False, id="another device"),
        pytest.param(_net("macvlan"), False, id="another type"),
        pytest.param(replace(_net(), deleting=True), False, id="being deleted"),
    ],
)
def test_a_network_gives_the_wire_that_was_planned_with(net: DanmNet, *, same: bool) -> None:
    """What else of it has changed is no reason to make a Pod wait."""
    assert same == is_as_planned(_planned(), net)


def test_a_network_that_is_not_judged_is_none_that_was_planned_with() -> None:
    """Its own error says why."""
    with pytest.raises(NetworkNotReadyError):
        is_as_planned(_planned(), a_danmnet("net", uid="uid-1", **_OPTIONS))


def test_the_error_may_be_tried_again() -> None:
    """By then danmd has read what it did not know."""
    error = not_as_planned([_net(), _net()])
    assert error.transient
    assert f"DanmNet {NAMESPACE}/net, {NAMESPACE}/net was changed" in error.reason
