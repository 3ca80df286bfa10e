"""What an examination says of Pods that run: which addresses must be in the record for them."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from danm_api.model.danmnet import DanmNet
from danm_api.model.ipam_report import FindingKind
from danm_api.model.pod import Pod
from danm_api.names import NetworkName, PodUid
from danm_api.record.examination import examine
from danm_api.record.snapshot import Snapshot
from danm_api.testing.snapshots import (
    NOW,
    SOUND,
    a_block,
    a_net,
    a_pod,
    an_endpoint,
    an_entry,
    kinds_of,
)

_DEFAULT = a_net("default")


def _asks_for_nothing(annotation: str | None = None) -> Pod:
    """Return a Pod that runs with an address of the network ``default``."""
    return replace(
        a_pod(),
        annotations={} if annotation is None else {"danm.k8s.io/interfaces": annotation},
        created=_DEFAULT.created + timedelta(seconds=1),
        ips=(ip_address("10.0.0.1"),),
    )


@pytest.mark.parametrize("annotation", [None, "", "[]"])
def test_pod_on_the_default_network_needs_an_address(annotation: str | None) -> None:
    """A Pod that asks for nothing is held against the DanmNet ``default`` of its namespace."""
    # SPEC B2
    pod = _asks_for_nothing(annotation)
    forgotten = Snapshot(now=NOW, networks=(_DEFAULT,), nodes=SOUND.nodes, pods=(pod,))
    (found,) = examine(forgotten)
    assert found.finding.kind is FindingKind.POD_WITHOUT_ADDRESS
    assert (found.finding.network, found.finding.subject) == ("default", "Pod ns/a")
    assert "has 10.0.0.1 of its namespace's default network" in found.finding.problem
    assert found.action is None
    endpoint = replace(an_endpoint(), network=NetworkName("default"))
    sound = replace(forgotten, blocks=(a_block(an_entry(), net="default"),), endpoints=(endpoint,))
    assert examine(sound) == ()


@pytest.mark.parametrize(
    ("pod", "net"),
    [
        pytest.param(_asks_for_nothing(), a_net(), id="no default network"),
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
        pytest.param(_asks_for_nothing(), a_net("default", cidr=None), id="network without subnet"),
        pytest.param(
            _asks_for_nothing(), a_net("default", network_type="flannel"), id="static delegate"
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
    assert examine(Snapshot(now=NOW, networks=(net,), nodes=SOUND.nodes, pods=(pod,))) == ()


def test_static_pods_are_known_by_their_mirror() -> None:
    """The owner of a static Pod's address is what its mirror stands for."""
    mirror = replace(a_pod(), uid=PodUid("object"), mirror_of="uid-a")
    assert examine(replace(SOUND, pods=(mirror,))) == ()


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
    pod = replace(a_pod(), annotations={"danm.k8s.io/interfaces": f"[{attachment}]"})
    dual = a_net(net6="2001:db8::/64")
    empty = Snapshot(now=NOW, networks=(dual,), nodes=SOUND.nodes, pods=(pod,))
    assert kinds_of(empty) == ([FindingKind.POD_WITHOUT_ADDRESS] if needs else [])
