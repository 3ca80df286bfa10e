"""A real API server takes what the chart gives, and Helm installs, changes and removes it."""

import functools
import subprocess
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

import netwatcher.version
from danm_api import labels
from danm_api.names import SYSTEM_NAMESPACE
from tests.deploy.helm import RELEASE, REPOSITORY, Tools
from tests.lab.apiserver import ApiServer
from tests.lab.errors import StartError
from tests.lab.process import wait_until

# Building Helm and Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

_GONE_WITHIN_S: Final = 60.0
# The API server removes a definition in seconds. One that goes while its storage "is
# (re)initializing" it tries again at once, from a cache that lacks its own last write, takes the
# conflict for somebody else's change and forgets it until it looks at all of them, every 5 minutes.
_DEFINITIONS_GONE_WITHIN_S: Final = 400.0
# Of the API server's own, which come and go by themselves.
_NOT_COMPARED: Final = frozenset({"events", "events.events.k8s.io", "leases.coordination.k8s.io"})
_CRDS: Final = frozenset(
    f"customresourcedefinition.apiextensions.k8s.io/{plural}.danm.k8s.io"
    for plural in ("danmnets", "danmeps", "danmipblocks", "danmnodes")
)
_GROUP: Final = "apiservice.apiregistration.k8s.io/v1.danm.k8s.io"
"""The server's own entry for the group of these definitions."""
_ADDRESS: Final = "ipaddress.networking.k8s.io/"
"""The server's own for a Service."""
_RECORD: Final = f"sh.helm.release.v1.{RELEASE}.v"
"""Helm's own for a revision, which follows."""

_EVERY_PART: Final = {
    "image": {"digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
    "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "mine", "operator": "Equal", "value": "1", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "preference": {
                        "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]
                    },
                }
            ]
        }
    },
    "podAnnotations": {"example.com/a": "true"},
    "podLabels": {"team": "net"},
    "extraArgs": ["--log-level=debug"],
    "extraEnv": [
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"},
        {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
    ],
}
_REPLICATED: Final = _EVERY_PART | {
    "replicas": 3,
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"team": "net"}},
        }
    ],
    "podDisruptionBudget": {"maxUnavailable": 2},
}
_EVERYTHING: Final = {
    "global": {"imageRegistry": "registry.example", "imagePullSecrets": [{"name": "key"}]},
    **dict.fromkeys(("ipamSvc", "validator", "svcwatcher"), _REPLICATED),
    **dict.fromkeys(("danmCni", "netwatcher"), _EVERY_PART),
}
_NULLS: Final = dict.fromkeys(
    ("resources", "tolerations", "affinity", "priorityClassName", "extraArgs", "extraEnv")
)
_NOTHING: Final = {
    **{key: {"enabled": False} for key in ("crds", "policies", "tenants", "svcwatcher")},
    **dict.fromkeys(("ipamSvc", "validator"), _NULLS | {"podDisruptionBudget": {"enabled": False}}),
    **dict.fromkeys(("danmCni", "netwatcher"), _NULLS),
}


@pytest.fixture()
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    """Yield the programs for a server of their own, which has DANM's namespace."""
    directory = tmp_path_factory.mktemp("server")
    with ApiServer.start(directory) as server:
        tools = Tools.obtain(tmp_path_factory.mktemp("helm"), server.kubeconfig)
        tools.call(tools.kubectl, "create", "namespace", SYSTEM_NAMESPACE)
        yield tools


def _helm(tools: Tools, command: str, values: object = None, *arguments: str) -> None:
    done = tools.with_values(command, values, *arguments)
    assert done.returncode == 0, done.stderr


def _uninstall(tools: Tools) -> None:
    tools.call(tools.helm, "uninstall", RELEASE, f"--namespace={SYSTEM_NAMESPACE}")


def _all_names(tools: Tools) -> set[str]:
    """Return kind and name of everything that the server has."""
    done = _listed(tools)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def _wait_for_only(tools: Tools, names: set[str], *, what: str, timeout_s: float) -> None:
    """Wait until the server has just these; not while a kind goes that kubectl still lists."""
    seen = ""

    def has_only() -> bool:
        nonlocal seen
        done = _listed(tools)
        difference = set(done.stdout.split()) ^ names
        seen = f"{done.stderr}{sorted(difference)}"
        return done.returncode == 0 and not difference

    try:
        wait_until(has_only, what=what, timeout_s=timeout_s)
    except StartError as error:
        conditions = (
            "--output=jsonpath={range .items[*]}{.metadata.name} {.status.conditions} {end}"
        )
        of_definitions = tools.call(tools.kubectl, "get", "crd", conditions)
        pytest.fail(f"{error} The difference: {seen}. The definitions: {of_definitions}")


def _listed(tools: Tools) -> "subprocess.CompletedProcess[str]":
    kinds = tools.call(
        tools.kubectl, "api-resources", "--verbs=list", "--output=name", "--cached=false"
    ).split()
    asked = ",".join(sorted({*kinds} - _NOT_COMPARED))
    return tools.run(tools.kubectl, "get", asked, "--all-namespaces", "--output=name")


def _without_records(names: set[str]) -> set[str]:
    return {name for name in names if _RECORD not in name}


def _images(tools: Tools, kind: str) -> dict[str, str]:
    path = "{.metadata.name}{' '}{.spec.template.spec.containers[0].image}{'\\n'}"
    lines = tools.call(
        tools.kubectl,
        "get",
        kind,
        f"--namespace={SYSTEM_NAMESPACE}",
        f"--output=jsonpath={{range .items[*]}}{path}{{end}}",
    )
    return dict(line.split() for line in lines.splitlines())


def _replicas(tools: Tools) -> dict[str, int]:
    path = "{.metadata.name}{' '}{.spec.replicas}{'\\n'}"
    lines = tools.call(
        tools.kubectl,
        "get",
        "deployments",
        f"--namespace={SYSTEM_NAMESPACE}",
        f"--output=jsonpath={{range .items[*]}}{path}{{end}}",
    )
    return {name: int(count) for name, count in (line.split() for line in lines.splitlines())}


def test_a_server_takes_what_the_chart_gives(tools: Tools) -> None:
    """``helm template | kubectl apply --dry-run=server``, with few values, many, and none."""
    for values in ({}, _EVERYTHING, _NOTHING, {"ipamOnly": True}, {"oneNode": True}):
        manifests = tools.template(values)
        done = tools.run(
            tools.kubectl, "apply", "--dry-run=server", "--filename=-", stdin=manifests
        )
        assert done.returncode == 0, (values, done.stderr)
        assert done.stderr == ""  # no warnings either
        taken = done.stdout.splitlines()
        assert len(taken) == len(tools.objects(values)), (values, done.stdout)
        assert all(line.endswith("created (server dry run)") for line in taken)


def test_the_notes_name_the_label_that_the_namespace_lacks(tools: Tools) -> None:
    """Who installs learns of it as long as it is missing, and how to remove all."""

    def notes(values: object = None) -> str:
        done = tools.with_values("install", values, "--dry-run=server")
        assert done.returncode == 0, done.stderr
        _, _, text = done.stdout.partition("NOTES:")
        return text

    label = "pod-security.kubernetes.io/enforce=privileged"
    command = f"kubectl label namespace {SYSTEM_NAMESPACE} --overwrite {label}"
    assert command in notes()
    assert "deploy/uninstall" in notes()
    assert "crds.keep" in notes()
    assert "delete endpointslices" not in notes()
    assert "delete endpointslices" in notes({"svcwatcher": {"enabled": False}})
    assert "delete endpointslices" in notes({"ipamOnly": True})
    tools.call(*command.replace("kubectl", tools.kubectl, 1).split())
    assert "label" not in notes()
    assert "crds.keep" not in notes({"crds": {"keep": False}})
    assert "deploy/uninstall --force" in notes({"crds": {"keep": False}})


def test_a_release_comes_changes_and_goes(tools: Tools) -> None:
    """Install, upgrade, roll back, uninstall: afterwards only the definitions are left."""
    before = _all_names(tools)

    _helm(tools, "install")
    installed = _all_names(tools)
    given = tools.call(
        tools.kubectl, "get", "--filename=-", "--output=name", stdin=tools.template()
    ).split()
    assert len(given) == len(tools.objects())
    of_server = {name for name in installed - before if name.startswith(_ADDRESS)}
    assert installed - before == {*given, f"secret/{_RECORD}1", _GROUP, *of_server}
    replicas = {"danm-ipam": 2, "danm-validator": 2, "danm-svcwatcher": 2}
    assert _replicas(tools) == replicas

    refused = tools.with_values("upgrade", {"ipamOnly": True})
    assert refused.returncode != 0
    assert "there is the DaemonSet danm-netwatcher" in refused.stderr
    assert _all_names(tools) == installed

    _helm(
        tools,
        "upgrade",
        {
            "svcwatcher": {"enabled": False},
            "ipamSvc": {"replicas": 3},
            "netwatcher": {"image": {"tag": "9.9.9"}},
        },
    )
    assert _replicas(tools) == {"danm-ipam": 3, "danm-validator": 2}
    assert _images(tools, "daemonsets")["danm-netwatcher"] == "danm/netwatcher:9.9.9"
    assert not [name for name in _all_names(tools) if "svcwatcher" in name]

    tools.call(tools.helm, "rollback", RELEASE, "1", f"--namespace={SYSTEM_NAMESPACE}")
    assert _replicas(tools) == replicas
    assert (
        _images(tools, "daemonsets")["danm-netwatcher"]
        == f"danm/netwatcher:{netwatcher.version.VERSION}"
    )
    assert _without_records(_all_names(tools)) == _without_records(installed)

    _uninstall(tools)
    _wait_for_only(
        tools,
        {*before, *_CRDS, _GROUP},
        what="Only the definitions are left",
        timeout_s=_GONE_WITHIN_S,
    )


def test_a_release_finds_the_definitions_of_the_one_before(tools: Tools) -> None:
    """Who uninstalls and installs again has the networks of before; `crds.keep` decides that.

    Without it the definitions go once nothing holds a DanmNet any more.
    """
    before = _all_names(tools)
    _helm(tools, "install")
    network = {
        "apiVersion": "danm.k8s.io/v1",
        "kind": "DanmNet",
        # As ipam-svc does, which alone takes it away again, and does not run here.
        "metadata": {
            "name": "lan",
            "namespace": "default",
            "finalizers": [labels.DANMNET_FINALIZER],
        },
        "spec": {"NetworkID": "lan", "Options": {"host_device": "ens4"}},
    }
    tools.call(
        tools.kubectl, "wait", "--for=condition=Established", "--timeout=60s", *sorted(_CRDS)
    )
    created = functools.partial(_created, tools, network)
    wait_until(created, what="A network is created", timeout_s=_GONE_WITHIN_S)
    _uninstall(tools)
    get = [tools.kubectl, "get", "danmnet", "lan", "--output=name"]
    assert tools.call(*get).strip() == "danmnet.danm.k8s.io/lan"

    _helm(tools, "install", {"crds": {"keep": False}})
    assert tools.call(*get).strip() == "danmnet.danm.k8s.io/lan"
    _uninstall(tools)
    wait_until(
        lambda: _deleted(tools, "danmnet", "lan"),
        what="The network waits for its finalizer",
        timeout_s=_GONE_WITHIN_S,
    )
    assert _deleted(tools, "crd", "danmnets.danm.k8s.io")
    freed = '{"metadata":{"finalizers":null}}'
    tools.call(tools.kubectl, "patch", "danmnet", "lan", "--type=merge", f"--patch={freed}")
    _wait_for_only(tools, before, what="Nothing is left", timeout_s=_DEFINITIONS_GONE_WITHIN_S)


def _deleted(tools: Tools, kind: str, name: str) -> bool:
    moment = "--output=jsonpath={.metadata.deletionTimestamp}"
    return tools.call(tools.kubectl, "get", kind, name, moment) != ""


def _created(tools: Tools, raw: object) -> bool:
    done = tools.run(
        tools.kubectl, "create", "--filename=-", stdin=msgspec.json.encode(raw).decode()
    )
    return done.returncode == 0


def test_helm_takes_over_what_kubectl_has_installed(tools: Tools) -> None:
    """Who has applied deploy/ goes over to the chart without removing anything."""
    deploy = str(REPOSITORY / "deploy")
    tools.call(tools.kubectl, "apply", "--server-side", "--kustomize", deploy)
    before = _all_names(tools)
    assert tools.with_values("install").returncode != 0
    _helm(tools, "install", None, "--take-ownership", "--force-conflicts")
    assert _without_records(_all_names(tools)) == before
    # What kubectl has set stays kubectl's as well.
    _helm(tools, "upgrade", {"ipamSvc": {"replicas": 3}}, "--force-conflicts")
    assert _replicas(tools)["danm-ipam"] == 3
