"""``check``: the examination, with the rights of who asks."""

from danm_api.kube.api import NODES
from danm_api.testing.builders import NAMESPACE, NODE, a_block, a_danmep, a_held_entry, a_pod_owner
from kubectl_danm.testing.stage import Stage

UID = f"uid-{NAMESPACE}-internal"


def a_stage() -> Stage:
    """Return a cluster in which all fits."""
    stage = Stage()
    stage.network(cidr="10.240.1.0/24")
    stage.kube.add(NODES, {"metadata": {"name": NODE}})
    stage.pod(annotation='[{"network": "internal", "ip": "dynamic"}]')
    stage.endpoint(a_danmep())
    stage.block(a_block("10.240.1.100", a_held_entry("10.240.1.100"), network_uid=UID))
    return stage


def test_all_fits() -> None:
    """Two looks, as far apart as in-flight work takes, and status 0."""
    stage = a_stage()
    said = stage.ask("check").stdout
    assert "Examined 1 DanmNets, 1 blocks with 1 addresses, 1 DanmEps and 1 Pods" in said
    assert "All fits together." in said
    assert stage.waited_s == 15
    assert stage.kube.calls["list", "pods"] == 2


def test_what_does_not_fit() -> None:
    """Each finding with its way out, status 1, and nothing is changed."""
    stage = a_stage()
    gone = a_held_entry("10.240.1.200", owner=a_pod_owner("gone", uid="gone"), node="lost")
    stage.block(a_block("10.240.1.200", gone, network_uid=UID))
    before = stage.kube.backup()
    report = stage.document("check", status=1)
    assert {(each["kind"], each["address"]) for each in report["findings"]} == {
        ("AddressWithoutPod", "10.240.1.200"),
    }
    result = stage.ask("check", status=1)
    assert "fsck --repair" in result.stderr
    assert stage.ask("check", "-o", "name", status=1).stdout == (
        f"AddressWithoutPod/{NAMESPACE}/internal/10.240.1.200\n"
    )
    assert stage.kube.backup() == before


def test_a_tenant_may_not_look_at_nodes() -> None:
    """Without them nothing may be concluded; the right is named."""
    stage = a_stage()
    stage.refuse(NODES)
    said = stage.ask("check", status=2).stderr
    assert "jane lacks the right to list nodes in all namespaces" in said
