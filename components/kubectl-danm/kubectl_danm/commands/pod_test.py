"""``pod``: what is said of a Pod's networks."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from danm_api.kube.api import DANMNETS, EVENTS
from danm_api.model.addresses import IPv4Route
from danm_api.testing.builders import NAMESPACE, a_danmep
from kubectl_danm.testing.stage import Stage

POLICY = IPv4Route(destination=IPv4Network("10.9.0.0/16"), gateway=IPv4Address("10.240.1.1"))
TWO = '[{"network": "internal", "ip": "dynamic"}, {"network": "external", "ip": "10.0.0.7/24"}]'


def a_stage() -> Stage:
    """Return a Pod on two networks, one of them a delegate's."""
    stage = Stage()
    stage.network(
        host_device="ens3",
        vlan=5,
        cidr="10.240.1.0/24",
        routes={"10.8.0.0/16": "10.240.1.1"},
        routes6={"2001:db8::/64": "2001:db8:1::1"},
        net6="2001:db8:1::/64",
        rt_tables=200,
    )
    stage.network("external", network_type="macvlan", host_device="ens4", cidr="10.0.0.0/24")
    stage.pod(annotation=TWO)
    first = a_danmep("ep-1")
    stage.endpoint(replace(first, interface=replace(first.interface, policy_routes=(POLICY,))))
    stage.endpoint(
        a_danmep(
            "ep-2",
            network="external",
            network_type="macvlan",
            interface="eth1",
            address="10.0.0.7/24",
        )
    )
    return stage


def test_interfaces_addresses_routes_and_delegates() -> None:
    """Each interface with what it hangs on and who made it, and the routes of its families."""
    # SPEC D3, E
    found = a_stage().document("pod", "processor-1")
    first, second = found["interfaces"]
    assert (first["name"], first["ipv4"], first["link"], first["made_by"]) == (
        "eth0",
        "10.240.1.100/24",
        "internal.5",
        "danmd",
    )
    assert first["routes"] == [
        {"to": "10.8.0.0/16", "via": "10.240.1.1", "table": "main"},
        {"to": "10.9.0.0/16", "via": "10.240.1.1", "table": "200"},
    ]
    assert (second["made_by"], second["link"]) == ("CNI plugin macvlan", "ens4")
    assert [(each["network"], each["ip"], each["ip6"]) for each in found["asks"]] == [
        ("internal", "dynamic", "none"),
        ("external", "10.0.0.7/24", "none"),
    ]
    assert found["problems"] == []
    said = a_stage().ask("pod", "processor-1").stdout
    assert f"Pod {NAMESPACE}/processor-1 on node-1, Running, ready" in said


def test_the_latest_errors_of_the_pod_and_its_networks() -> None:
    """Warnings about this very Pod and its DanmNets; not those of a predecessor of the name."""
    stage = a_stage()
    net = stage.kube.stored(DANMNETS, "internal", namespace=NAMESPACE)
    assert net is not None
    pod = {"metadata": {"namespace": NAMESPACE, "name": "processor-1", "uid": "pod-uid-1"}}
    before = {"metadata": pod["metadata"] | {"uid": "pod-uid-0"}}
    stage.event(pod, "FailedCreatePodSandBox", "the pool is exhausted", kind="Pod")
    stage.event(before, "FailedCreatePodSandBox", "long ago", kind="Pod")
    stage.event(net, "FreedDeadAddress", "freed 10.240.1.9", kind="DanmNet")
    found = stage.document("pod", "processor-1")
    assert [(each["about"], each["count"], each["note"]) for each in found["errors"]] == [
        ("Pod processor-1", 2, "the pool is exhausted"),
        ("DanmNet internal", 2, "freed 10.240.1.9"),
    ]


def test_the_errors_of_a_static_pod() -> None:
    """Kubelet's about what it runs, and others' about the object that mirrors it."""
    stage = Stage()
    annotations = {"kubernetes.io/config.mirror": "hash-of-its-file"}
    mirror = stage.pod("etcd-node-1", uid="mirror-uid", annotations=annotations)
    runs = {"metadata": mirror["metadata"] | {"uid": "hash-of-its-file"}}
    before = {"metadata": mirror["metadata"] | {"uid": "hash-of-an-older-file"}}
    stage.event(runs, "FailedCreatePodSandBox", "the pool is exhausted", kind="Pod")
    stage.event(mirror, "Odd", "of the mirror", kind="Pod")
    stage.event(before, "FailedCreatePodSandBox", "long ago", kind="Pod")
    errors = stage.document("pod", "etcd-node-1")["errors"]
    assert {each["note"] for each in errors} == {"the pool is exhausted", "of the mirror"}


def test_what_is_asked_for_and_not_there() -> None:
    """A missing network, one that is not valid yet, and an interface that is not made yet."""
    stage = Stage()
    stage.network()
    stage.pod(annotation=TWO)
    absent, missing = reversed(stage.document("pod", "processor-1")["problems"])
    assert "entry [0] of its annotation asks for DanmNet internal" in missing
    assert "the log of danmd on node-1" in missing
    assert "asks for DanmNet external, which is not to be seen" in absent


def test_an_annotation_that_cannot_be_read_is_the_problem() -> None:
    """By the words with which the ADD fails."""
    # SPEC B3
    stage = Stage()
    stage.pod(annotation="{")
    (problem,) = stage.document("pod", "processor-1")["problems"]
    assert f"{NAMESPACE}/processor-1" in problem


def test_an_interface_of_another_node_is_none_of_the_pod_s() -> None:
    """A node that lies writes itself no interface into another node's Pod."""
    # DESIGN, "A rooted node must stay one node"
    stage = Stage()
    stage.pod()
    stage.endpoint(a_danmep(node="node-2"))
    assert stage.document("pod", "processor-1")["interfaces"] == []


def test_a_pod_that_is_not_there() -> None:
    """The sentence says how to find those that are."""
    said = Stage().ask("pod", "nobody", status=2).stderr
    assert f"There is no Pod nobody in namespace {NAMESPACE}; kubectl -n {NAMESPACE}" in said


def test_events_need_not_be_readable() -> None:
    """The rest is shown, and what is missing is said."""
    stage = a_stage()
    stage.refuse(EVENTS, where=NAMESPACE, times=3)
    result = stage.ask("pod", "processor-1")
    assert "10.240.1.100/24" in result.stdout
    assert "Events (the last errors) could not be looked at. jane lacks" in result.stderr
