"""Each controller is asked for the same Pods."""

from danm_api.codec.danmep import decode_danmep
from danm_api.codec.service import decode_service
from danm_api.membership.selection import NotOurs, Selection, select
from tests.lab.bench.controllers.endpoints.cases import NETWORKS, Size, network_of, service_of
from tests.lab.bench.controllers.endpoints.objects import (
    NAMESPACE,
    interfaces,
    node_name,
    pod_object,
    running,
    service_of_danm,
    service_of_kubernetes,
)

_SIZE = Size(pods=300, services=31)


def _stored(raw: dict[str, object], uid: str) -> dict[str, object]:
    """Return an object as an API server would."""
    metadata = raw["metadata"]
    assert isinstance(metadata, dict)
    return raw | {"metadata": {"namespace": NAMESPACE, "uid": uid, **metadata}}


def test_both_kinds_of_services_find_the_same_pods() -> None:
    """DANM's by annotations, Kubernetes' by a selector; and neither controller the other's."""
    for name in _SIZE.names():
        danm = select(decode_service(_stored(service_of_danm(name), "s")))
        ordinary = service_of_kubernetes(name)
        assert isinstance(danm, Selection)
        assert danm.network == network_of(name)
        assert dict(danm.labels) == ordinary["spec"]["selector"] == {"app": name}
        assert isinstance(select(decode_service(_stored(ordinary, "s"))), NotOurs)
        assert "selector" not in service_of_danm(name)["spec"]


def test_pods_have_the_label_of_their_service() -> None:
    """What a run waits for is what Services select."""
    for pod in range(_SIZE.pods):
        app = pod_object(pod)["metadata"]["labels"]["app"]
        assert service_of(pod, _SIZE) in (app, None)


def test_each_pod_has_an_interface_on_each_network() -> None:
    """On its own node, which svcwatcher asks for, and at an address that nobody else has."""
    addresses = []
    for pod in range(_SIZE.pods):
        found = [decode_danmep(_stored(raw, "e")) for raw in interfaces(pod, f"uid-{pod}")]
        assert [ep.network for ep in found] == list(NETWORKS)
        assert {(ep.node, ep.pod_uid) for ep in found} == {(node_name(pod), f"uid-{pod}")}
        addresses += [ep.interface.address for ep in found]
        addresses.append(running(pod)["status"]["podIP"])
    assert len(set(map(str, addresses))) == 3 * _SIZE.pods
