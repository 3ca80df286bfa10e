"""What deploy/ promises of rolling updates, drained nodes and lost ones."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from chart.kustomization import read
from danm_api import labels
from danm_api.codec.endpoint_slice import MANAGED_BY_LABEL
from danm_api.kube.api import ENDPOINTS, LEASES, SERVICES
from danm_api.membership.endpoints import MANAGED_BY, SLICES_MANAGED_BY
from danm_api.node_call import PATIENCE_NS
from danm_api.testing.fake_kube import FakeKube
from danm_cni import __main__ as danmd
from ipam_svc.config import API_PORT, HEALTH_PORT, LINGER_S
from svcwatcher.config import Config, EndpointsMode
from svcwatcher.process import Process

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
_WORKLOADS: Final = frozenset({"Deployment", "DaemonSet"})
# With all of DANM, and with --ipam-only.
_DANMD_ROLES: Final = ("danm-cni/rbac.yaml", "ipam-only/rbac.yaml")


def _objects(*kinds: str) -> list[dict[str, Any]]:
    return [
        raw
        for path in sorted(DEPLOY.glob("*/*.yaml"))
        for raw in yaml.safe_load_all(path.read_text())
        if raw is not None and raw.get("kind") in kinds
    ]


def _named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (raw for raw in _objects(kind) if raw["metadata"]["name"] == name)
    return found


def _pod(workload: dict[str, Any]) -> dict[str, Any]:
    return dict(workload["spec"]["template"]["spec"])


def _tolerates(pod: dict[str, Any], key: str, effect: str) -> bool:
    return any(
        each.get("key", key) == key and each.get("effect", effect) == effect
        for each in pod["tolerations"]
    )


_DEPLOYMENTS: Final = [
    pytest.param(_pod(raw), id=raw["metadata"]["name"]) for raw in _objects("Deployment")
]


def test_no_two_parts_want_one_port_of_a_node() -> None:
    """On the host's network every port is the node's, and all parts may be on one node."""
    ports = Counter(
        port["containerPort"]
        for workload in _objects(*_WORKLOADS)
        if _pod(workload).get("hostNetwork")
        for container in _pod(workload)["containers"]
        for port in container.get("ports", ())
    )
    assert {API_PORT, HEALTH_PORT} <= set(ports)
    assert [port for port, count in ports.items() if count > 1] == []


@pytest.mark.parametrize("pod", _DEPLOYMENTS)
def test_replicas_start_before_the_nodes_are_ready(pod: dict[str, Any]) -> None:
    """A node becomes ready when Pods get networks, which these parts are needed for."""
    # DESIGN, "Parts"
    for effect in ("NoSchedule", "NoExecute"):
        assert _tolerates(pod, "node.kubernetes.io/not-ready", effect)
    assert pod["hostNetwork"]


@pytest.mark.parametrize("pod", _DEPLOYMENTS)
def test_replicas_leave_drained_and_lost_nodes(pod: dict[str, Any]) -> None:
    """A drained node gets no replica back, and one on a lost node is replaced elsewhere."""
    for taint in ("node.kubernetes.io/unschedulable", "node.kubernetes.io/out-of-service"):
        assert not _tolerates(pod, taint, "NoSchedule")
    assert not _tolerates(pod, "node.kubernetes.io/out-of-service", "NoExecute")
    (unreachable,) = (
        each for each in pod["tolerations"] if each["key"] == "node.kubernetes.io/unreachable"
    )
    assert unreachable["tolerationSeconds"] < 300  # what Kubernetes would add


@pytest.mark.parametrize("raw", _objects("Deployment"), ids=lambda raw: raw["metadata"]["name"])
def test_a_rolling_update_never_takes_all_replicas(raw: dict[str, Any]) -> None:
    """One replica at a time goes, and its successor takes its place on the host's ports."""
    spec = raw["spec"]
    assert spec["replicas"] > 1
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize("raw", _objects("DaemonSet"), ids=lambda raw: raw["metadata"]["name"])
def test_an_update_of_many_nodes_takes_no_longer_than_of_ten(raw: dict[str, Any]) -> None:
    """A tenth of the nodes is updated at once; one after the other, 500 would take hours."""
    update = raw["spec"]["updateStrategy"]["rollingUpdate"]
    assert sorted({"maxSurge": 0} | update) == ["maxSurge", "maxUnavailable"]
    assert {str(each) for each in ({"maxSurge": 0} | update).values()} == {"0", "10%"}
    ports = [port for each in _pod(raw)["containers"] for port in each.get("ports", ())]
    # Two Pods that declare a port of the node cannot be beside each other.
    assert not ports or update.get("maxSurge", 0) == 0


def test_an_update_of_danmd_goes_on_by_itself(tmp_path: Path) -> None:
    """A danmd that has started may take over; Kubernetes need not look a second time for that."""
    # docs/decisions/0021
    spec = _named("DaemonSet", "danm-cni")["spec"]
    assert "minReadySeconds" not in spec
    (container,) = spec["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    (option,) = (each for each in danmd.main.params if each.name == "started_file")
    assert option.name is not None
    started = environment[f"DANM_{option.name.upper()}"]
    # Not the port: the other danmd has it.
    *_, how, code = container["startupProbe"]["exec"]["command"]
    assert repr(started) in code
    file = tmp_path / "started"
    probe = [sys.executable, how, code.replace(started, str(file))]
    with subprocess.Popen(["true"]) as ended:
        pass
    # A disk that was full takes the name alone.
    for content in (None, str(ended.pid), ""):
        if content is not None:
            file.write_text(content)
        refused = subprocess.run(probe, check=False, capture_output=True, text=True)
        assert (refused.returncode, refused.stderr) == (1, "danmd is starting\n")
    file.write_text(str(os.getpid()))
    subprocess.run(probe, check=True)
    assert Path(started).parent.as_posix() in {
        each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")
    }


def test_an_add_waits_longer_than_the_end_of_a_danmd_takes() -> None:
    """And as long again as a slow machine needs to begin the next one."""
    # docs/decisions/0021
    grace_s = _pod(_named("DaemonSet", "danm-cni"))["terminationGracePeriodSeconds"]
    assert PATIENCE_NS / 1e9 - grace_s >= 15


def test_replicas_of_ipam_svc_have_the_time_to_take_leave() -> None:
    """The grace period covers the lingering, what is under way, and what is given back."""
    pod = _pod(_named("Deployment", "danm-ipam"))
    assert pod["terminationGracePeriodSeconds"] >= LINGER_S + 10 + 10


def test_a_node_that_stands_still_restarts_no_container() -> None:
    """Half a minute of it is no hang, and what starts anew then takes what the node lacks."""
    for workload in _objects(*_WORKLOADS):
        for container in _pod(workload)["containers"]:
            probe = container["livenessProbe"]
            assert probe["periodSeconds"] * probe.get("failureThreshold", 3) >= 60, container


@pytest.mark.parametrize("raw", _objects("Deployment"), ids=lambda raw: raw["metadata"]["name"])
def test_evictions_take_one_replica_at_a_time(raw: dict[str, Any]) -> None:
    """Each Deployment has a disruption budget for its own Pods, which lets drains pass."""
    budget = _named("PodDisruptionBudget", raw["metadata"]["name"])["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == raw["spec"]["selector"]
    labels = raw["spec"]["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_one_node_has_one_replica_of_each() -> None:
    """A second one would find no place, and a rolling update would wait for it for ever."""
    component = yaml.safe_load((DEPLOY / "one-node" / "kustomization.yaml").read_text())
    assert {each["name"]: each["count"] for each in component["replicas"]} == {
        raw["metadata"]["name"]: 1 for raw in _objects("Deployment")
    }


def test_danmd_alone_may_less_than_all_of_danm() -> None:
    """What deploy/ipam-only grants to danmd is part of what deploy/danm-cni does."""
    # SPEC F2
    whole, part = (_grants_to_danmd(path) for path in _DANMD_ROLES)
    assert part < whole
    assert not any(resource == "danmeps" for resource, _ in part)


def test_addresses_alone_take_no_rights_away_from_all_of_danm() -> None:
    """Applied over it by mistake, they leave its objects as they are, but for one DaemonSet.

    Its danmd serves on, since the one with --ipam-only does not take the place of it.
    """
    whole, alone = (
        {source.identity: source.raw for source in read(DEPLOY, part).sources}
        for part in (".", "ipam-only")
    )
    changed = {key for key in whole.keys() & alone.keys() if whole[key] != alone[key]}
    assert changed == {("DaemonSet", "danm-cni")}


def test_danmd_may_do_with_danmeps_what_it_does() -> None:
    """It writes over one by a patch; a token that is stolen is good for no more."""
    whole, _ = (_grants_to_danmd(path) for path in _DANMD_ROLES)
    granted = {verb for resource, verb in whole if resource == "danmeps"}
    assert granted == {"get", "list", "watch", "create", "patch", "delete"}


@pytest.mark.parametrize("path", _DANMD_ROLES)
def test_danmd_may_ask_ipam_svc_what_it_asks(path: str) -> None:
    """It reserves, releases and lists its node's entries; it looks up and counts nobody else's."""
    granted = {verb for resource, verb in _grants_to_danmd(path) if "reservations" in resource}
    assert granted == {"create", "delete", "list"}


@pytest.mark.parametrize(
    "path",
    [
        "deploy/without-svcwatcher/kustomization.yaml",
        "charts/danm/README.md",
        "charts/danm/templates/NOTES.txt",
    ],
)
def test_who_leaves_svcwatcher_out_is_told_what_stays(path: str) -> None:
    """Its objects belong to tenants' Services, so nothing else deletes them."""
    text = (DEPLOY.parent / path).read_text()
    slices = f"{MANAGED_BY_LABEL}={SLICES_MANAGED_BY}"
    assert f"kubectl delete endpointslices -A -l {slices}" in text
    assert f"kubectl delete endpoints -A -l {labels.MANAGED_BY}={MANAGED_BY}" in text


async def test_svcwatcher_may_do_what_it_does() -> None:
    """A replica that starts reads and writes nothing that its ClusterRole does not name."""
    api = FakeKube()
    # Something must be written: a Service that asks.
    annotations = {
        "danm.k8s.io/selector": '{"app": "lb"}',
        "danm.k8s.io/network": "internal",
    }
    api.add(
        SERVICES,
        {
            "metadata": {"namespace": "vnf", "name": "lb", "annotations": annotations},
            "spec": {"clusterIP": "None", "ipFamilies": ["IPv4"]},
        },
    )
    config = Config(
        kubeconfig=None,
        pod_name="one",
        namespace="danm-system",
        endpoints=EndpointsMode.AUTO,
        concurrency=1,
        health_host="127.0.0.1",
        health_port=0,
    )
    stop = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(Process(config, api).run(stop))
        while not api.all_stored(ENDPOINTS):
            await asyncio.sleep(0.01)
        stop.set()
    done = {
        (plural, {"replace": "update"}.get(method, method))
        for method, plural in api.calls
        if plural != LEASES.plural  # granted by a Role
    }
    assert ("danmnets", "watch") in done
    assert done <= _granted(_named("ClusterRole", "danm-svcwatcher"))


def _grants_to_danmd(path: str) -> set[tuple[str, str]]:
    """Return what a file's ClusterRole grants: resources and verbs."""
    raws = list(yaml.safe_load_all((DEPLOY / path).read_text()))
    (role,) = (raw for raw in raws if raw["kind"] == "ClusterRole")
    (binding,) = (raw for raw in raws if raw["kind"] == "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [each["name"] for each in binding["subjects"]] == ["danm-cni"]
    return _granted(role)


def _granted(role: dict[str, Any]) -> set[tuple[str, str]]:
    """Return what a role grants: resources and verbs."""
    return {
        (resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
