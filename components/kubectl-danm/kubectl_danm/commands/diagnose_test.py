"""``diagnose``: all that a bug report needs, and no secret."""

import json
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from danm_api.codec.event import Event, EventType, encode_event, reference_to
from danm_api.errors import ApiError, ApiUnavailableError
from danm_api.kube.answers import Excerpt
from danm_api.kube.api import (
    CONFIG_MAPS,
    DANMNETS,
    DANMNODES,
    EVENTS,
    LEASES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
)
from danm_api.model.ip_block import ExternalOwner
from danm_api.names import SYSTEM_NAMESPACE, Namespace
from danm_api.testing.builders import NAMESPACE, NODE, a_block, a_danmep, a_held_entry
from danm_api.testing.clock import START
from kubectl_danm.testing.stage import FakeTexts, Stage

POD = "danm-svcwatcher-0"
IPAM = "danm-ipam-0"
LOG = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{POD}/log"
METRICS = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{POD}:9445/proxy/metrics"

# One for each place, so that a test says where it leaked from; no part is found by its looks alone
# unless its place has nothing else to tell it by.
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkLWp3dCJ9.cGxhbnRlZC1zaWduYXR1cmU"
PEM = "-----BEGIN EC PRIVATE KEY-----\nplanted-pem\n-----END EC PRIVATE KEY-----"
PLANTED = (
    "planted-secret-data",
    "planted-config-data",
    "planted-own-env",
    "planted-tenant-env",
    "planted-init-env",
    "planted-applied",
    "planted-argument",
    "planted-flag",
    "planted-tenant-argument",
    "planted-annotation",
    "planted-tenant-annotation",
    "planted-service-annotation",
    "planted-managed-field",
    "planted-termination",
    "planted-volume",
    "planted-pull-secret",
    "planted-note",
    "planted-reason",
    "planted-log-password",
    "planted-log-bearer",
    "planted-previous",
    "planted-metric",
    "planted-url",
    "planted-label",
    "planted-pem",
    "planted-node-label",
    "planted-lease",
    "planted-version",
    "planted-message",
    "cGxhbnRlZC1zaWduYXR1cmU",
    "eyJzdWIiOiJwbGFudGVkLWp3dCJ9",
)


def own_pod() -> dict[str, Any]:
    """Return a Pod of DANM's that is full of secrets."""
    return {
        "metadata": {
            "namespace": SYSTEM_NAMESPACE,
            "name": POD,
            "uid": "u-1",
            "labels": {"app.kubernetes.io/name": "danm-svcwatcher", "vault-token": "planted-label"},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "planted-applied",
                "other/thing": "planted-annotation",
            },
            "managedFields": [{"manager": "planted-managed-field"}],
        },
        "spec": {
            "nodeName": NODE,
            "imagePullSecrets": [{"name": "planted-pull-secret"}],
            "volumes": [{"name": "v", "secret": {"secretName": "planted-volume"}}],
            "initContainers": [
                {"name": "i", "image": "i", "env": [{"name": "KEY", "value": "planted-init-env"}]}
            ],
            "containers": [
                {
                    "name": "svcwatcher",
                    "image": "danm/svcwatcher:0.1.0",
                    "command": ["run", "--token", "planted-flag"],
                    "args": ["--log-level=info", "--api-key=planted-argument"],
                    "env": [{"name": "OTEL_HEADERS", "value": "planted-own-env"}],
                    "ports": [{"name": "health", "containerPort": 9445}],
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}},
                }
            ],
        },
        "status": {
            "phase": "Running",
            "message": f"failed: {JWT} secret=planted-message",
            "containerStatuses": [
                {
                    "name": "svcwatcher",
                    "restartCount": 2,
                    "lastState": {"terminated": {"exitCode": 3, "message": "planted-termination"}},
                }
            ],
        },
    }


def ipam_pod() -> dict[str, Any]:
    """Return a Pod of ipam-svc, with the ports of deploy/ipam-svc."""
    return {
        "metadata": {"namespace": SYSTEM_NAMESPACE, "name": IPAM, "uid": "u-2"},
        "spec": {
            "nodeName": NODE,
            "containers": [
                {
                    "name": "ipam-svc",
                    "image": "danm/ipam-svc:0.1.0",
                    "ports": [
                        {"name": "https", "containerPort": 9443},
                        {"name": "health", "containerPort": 9440},
                    ],
                    "readinessProbe": {"httpGet": {"path": "/readyz", "port": "health"}},
                }
            ],
        },
    }


def tenant_pod() -> dict[str, Any]:
    """Return a Pod of a tenant's that is on a DanmNet."""
    return {
        "metadata": {
            "namespace": NAMESPACE,
            "name": "processor-1",
            "uid": "pod-uid-1",
            "annotations": {
                "danm.k8s.io/interfaces": '[{"network": "internal", "ip": "dynamic"}]',
                "tenant/thing": "planted-tenant-annotation",
            },
        },
        "spec": {
            "nodeName": NODE,
            "containers": [
                {
                    "name": "c",
                    "image": "app:1",
                    "args": ["planted-tenant-argument"],
                    "env": [{"name": "PASSWORD", "value": "planted-tenant-env"}],
                }
            ],
        },
        "status": {"phase": "Running"},
    }


def a_stage() -> Stage:
    """Return a cluster with a secret in each place that is read, and in those that are not."""
    stage = Stage()
    kube = stage.kube
    net = stage.network(cidr="10.240.1.0/24")
    for resource, kind in ((SECRETS, "secret"), (CONFIG_MAPS, "config")):
        metadata = {"namespace": SYSTEM_NAMESPACE, "name": "danm-ipam-ca"}
        kube.add(resource, {"metadata": metadata, "data": {"x": f"planted-{kind}-data"}})
    kube.add(PODS, own_pod())
    kube.add(PODS, tenant_pod())
    kube.add(PODS, {"metadata": {"namespace": NAMESPACE, "name": "stranger"}, "spec": {}})
    kube.add(
        NODES,
        {
            "metadata": {"name": NODE, "labels": {"join-token": "planted-node-label"}},
            "status": {"nodeInfo": {"kernelVersion": "6.1.0"}},
        },
    )
    kube.add(
        LEASES,
        {
            "metadata": {"namespace": SYSTEM_NAMESPACE, "name": "danm-ipam"},
            "spec": {"holderIdentity": "https://x:planted-lease@host"},
        },
    )
    kube.add(
        SERVICES,
        {
            "metadata": {
                "namespace": NAMESPACE,
                "name": "lb",
                "annotations": {
                    "danm.k8s.io/network": "internal",
                    "cloud/key": "planted-service-annotation",
                },
            },
            "spec": {"clusterIP": "None"},
        },
    )
    stage.endpoint(a_danmep())
    owner = ExternalOwner(
        namespace=Namespace(NAMESPACE), name="router", reason="password: planted-reason"
    )
    stage.block(
        a_block(
            "10.240.1.100",
            a_held_entry("10.240.1.100"),
            a_held_entry("10.240.1.101", owner=owner),
            network_uid=net["metadata"]["uid"],
        )
    )
    kube.add(
        EVENTS,
        encode_event(
            Event(
                name="e",
                regarding=reference_to(net),
                type=EventType.WARNING,
                reason="Odd",
                note="Authorization: Bearer planted-note",
                component="danm.k8s.io/ipam-svc",
                instance="one",
                time=START,
            )
        ),
    )
    stage.texts.answers |= {
        LOG: "\n".join(
            (
                '{"message": "Reserved", "address": "10.240.1.100"}',
                '{"message": "odd", "db_password": "planted-log-password"}',
                "authorization: bearer planted-log-bearer",
                f"token {JWT} and planted-own-env and planted-init-env",
                "GET https://me:planted-url@host/ token=planted-previous",
                PEM,
            )
        ),
        METRICS: 'x{secret="planted-metric"} 1\ndanm_ipam_free 7\n',
        "/version": '{"gitVersion": "v1.36.3", "token": "planted-version"}',
    }
    return stage


def read(path: Path) -> dict[str, str]:
    """Return what is in an archive, by paths below its one directory."""
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is not None
            found[member.name.partition("/")[2]] = content.read().decode()
        return found


def test_no_secret_is_in_the_archive(tmp_path: Path) -> None:
    """Of those planted in every place that is read, and beside, none is found anywhere."""
    target = tmp_path / "a.tar.gz"
    stage = a_stage()
    result = stage.ask("diagnose", "--file", str(target))
    found = read(target)
    everything = "\n".join((*found, *found.values(), result.output))
    assert [secret for secret in PLANTED if secret in everything] == []
    assert not {("list", "secrets"), ("list", "configmaps"), ("get", "secrets")} & set(
        stage.kube.calls
    )
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_each_planted_secret_is_where_it_is_read() -> None:
    """The test above looks for what is there: nothing was planted under another name."""
    stage = a_stage()
    kinds = (SECRETS, CONFIG_MAPS, PODS, NODES, LEASES, SERVICES, EVENTS)
    everything = json.dumps([stage.kube.all_stored(kind) for kind in kinds])
    everything += "\n".join(stage.texts.answers.values()) + repr(stage.kube.backup())
    assert [secret for secret in PLANTED if secret not in everything] == []


def test_what_a_report_needs_is_there(tmp_path: Path) -> None:
    """Objects, Events, logs, metrics, the version, the examination and a summary."""
    target = tmp_path / "a.tar.gz"
    document = a_stage().document("diagnose", "--file", str(target))
    found = read(target)
    assert document["missing"] == []
    assert sorted(found) == sorted(document["files"])
    (own,) = json.loads(found["objects/danm-pods.json"])
    (container,) = own["spec"]["containers"]
    assert container["image"] == "danm/svcwatcher:0.1.0"
    assert container["args"] == ["--log-level=info", "--api-key=(removed)"]
    assert container["env"] == [{"name": "OTEL_HEADERS"}]
    assert own["status"]["containerStatuses"][0]["lastState"]["terminated"] == {"exitCode": 3}
    names = {pod["metadata"]["name"] for pod in json.loads(found["objects/pods.json"])}
    assert names == {"processor-1"}
    assert json.loads(found["objects/danmnets.json"])[0]["status"]["conditions"]
    assert len(json.loads(found["objects/events.json"])) == 1
    assert "Reserved" in found[f"logs/{POD}/svcwatcher.log"]
    assert f"logs/{POD}/svcwatcher.previous.log" in found
    assert "danm_ipam_free 7" in found[f"metrics/{POD}.txt"]
    assert "v1.36.3" in found["version.json"]
    kinds = {each["kind"] for each in json.loads(found["check.json"])["findings"]}
    assert "AddressWithoutDanmEp" not in kinds
    summary = json.loads(found["summary.json"])
    assert summary["objects"]["danmeps"] == 1


def test_what_cannot_be_read_is_said_and_the_rest_is_there(tmp_path: Path) -> None:
    """In the archive and on the screen."""
    stage = a_stage()
    stage.refuse(DANMNODES)
    stage.texts.refused.add(METRICS)
    target = tmp_path / "a.tar.gz"
    said = stage.ask("diagnose", "--file", str(target), "--max-objects", "1").stdout
    missing = json.loads(read(target)["summary.json"])["missing"]
    assert any("lacks the right to list danmnodes" in each for each in missing)
    assert any(each.startswith(f"metrics/{POD}.txt: ") for each in missing)
    assert "lacks the right to list danmnodes" in said
    assert "objects/danmnets.json" in read(target)


def test_a_right_that_every_log_needs_is_named_once(tmp_path: Path) -> None:
    """With the command that gives it; metrics need another one."""
    stage = a_stage()
    for number in range(1, 4):
        metadata = {**own_pod()["metadata"], "name": f"danm-svcwatcher-{number}"}
        stage.kube.add(PODS, own_pod() | {"metadata": metadata})
    stage.texts.lacking |= {"log", "proxy"}
    document = stage.document("diagnose", "--file", str(tmp_path / "a.tar.gz"))
    logs, metrics = document["missing"]
    # Each Pod has two containers, and of one a log before.
    assert logs == (
        f"logs/{POD}/svcwatcher.log, logs/{POD}/svcwatcher.previous.log, logs/{POD}/i.log and 9"
        f" more: jane lacks the right to get pods/log in namespace {SYSTEM_NAMESPACE}. The role"
        f" view has it: kubectl -n {SYSTEM_NAMESPACE} create rolebinding danm-look"
        " --clusterrole=view --user=jane"
    )
    assert metrics.startswith(f"metrics/{POD}.txt, metrics/danm-svcwatcher-1.txt, ")
    assert f"lacks the right to get pods/proxy in namespace {SYSTEM_NAMESPACE}" in metrics
    assert f"kubectl -n {SYSTEM_NAMESPACE} create role danm-look --verb=get" in metrics
    assert "--resource=pods/proxy" in metrics


def test_without_danms_pods_it_is_said_that_logs_and_metrics_lack(tmp_path: Path) -> None:
    """Nobody looks for them in vain; the right, or the option, is named."""
    stage = a_stage()
    stage.refuse(PODS, where=SYSTEM_NAMESPACE)
    (lacking,) = stage.document("diagnose", "--file", str(tmp_path / "a.tar.gz"))["missing"]
    assert lacking.startswith(
        "DANM's own Pods, and with them all of logs/ and metrics/: jane lacks the right to list"
        f" pods in namespace {SYSTEM_NAMESPACE}. "
    )
    other = ("--file", str(tmp_path / "b.tar.gz"), "--system-namespace", "elsewhere")
    (nobody,) = a_stage().document("diagnose", *other)["missing"]
    assert nobody == (
        "all of logs/ and metrics/: there is no Pod in namespace elsewhere; --system-namespace"
        " names another one in which DANM runs"
    )


def test_metrics_behind_a_token_are_named_with_the_way_to_them(tmp_path: Path) -> None:
    """The API server passes no token on, so ipam-svc shows it nothing; who reads knows."""
    # Decision 0014
    stage = a_stage()
    stage.kube.add(PODS, ipam_pod())
    stage.texts.answers[LOG.replace(POD, IPAM)] = "Serving\n"
    target = tmp_path / "a.tar.gz"
    (missing,) = stage.document("diagnose", "--file", str(target))["missing"]
    assert missing.startswith(f"metrics/{IPAM}.txt: ipam-svc shows its metrics only to")
    assert f"kubectl -n {SYSTEM_NAMESPACE} port-forward pod/NAME 9443" in missing
    assert f"logs/{IPAM}/ipam-svc.log" in read(target)


def logged(tmp_path: Path, log: str, *words: str) -> tuple[list[str], list[str]]:
    """Return the lines of a log in the archive, and what is said to be missing."""
    stage = a_stage()
    stage.texts.answers[LOG] = log
    target = tmp_path / "a.tar.gz"
    missing = stage.document("diagnose", "--file", str(target), *words)["missing"]
    return read(target)[f"logs/{POD}/svcwatcher.log"].splitlines(), missing


def test_of_a_long_log_the_newest_lines_are_there(tmp_path: Path) -> None:
    """What happened last is what a report is about; what has no room is said."""
    # 4 MB: the last 5,000 lines have twice the room that there is.
    lines = [f"{number} {'x ' * 395}".rstrip() for number in range(5000)]
    kept, missing = logged(tmp_path, "\n".join(lines) + "\n")
    assert kept == lines[-len(kept) :]
    assert len(kept) > len(lines) // 4
    (told,) = (each for each in missing if f"logs/{POD}/svcwatcher.log" in each)
    assert f"only its last {len(kept)} lines are here: the last 5000 are longer than 2 MB" in told


def test_of_a_log_as_many_lines_as_are_wanted(tmp_path: Path) -> None:
    """The last ones; that there are others is no news."""
    kept, missing = logged(tmp_path, "one\ntwo\nthree\n", "--log-lines", "2")
    assert (kept, missing) == (["two", "three"], [])


def test_a_line_that_alone_is_too_long(tmp_path: Path) -> None:
    """Its beginning is there, and it is said."""
    (kept,), missing = logged(tmp_path, "one\n" + "last " * 500_000)
    assert kept.startswith("last last")
    assert "only the beginning of its last line" in missing[0]


def test_metrics_that_are_cut_say_so(tmp_path: Path) -> None:
    """Nobody takes the first ones for all of them."""
    stage = a_stage()
    stage.texts.answers[METRICS] = "a 1\n" * 500_001
    target = tmp_path / "a.tar.gz"
    missing = stage.document("diagnose", "--file", str(target))["missing"]
    assert missing == [f"metrics/{POD}.txt: only its first 2000000 bytes are here"]
    assert len(read(target)[f"metrics/{POD}.txt"]) == 2_000_000


def test_a_list_that_is_forgotten_is_read_anew(tmp_path: Path) -> None:
    """Nothing is missing, and nothing is there twice."""
    stage = a_stage()
    for name in ("b", "c"):
        stage.network(name, cidr="10.1.0.0/24")
    stage.kube.fail_next("page", DANMNETS, ApiError("expired", status=410))
    target = tmp_path / "a.tar.gz"
    assert stage.document("diagnose", "--file", str(target))["missing"] == []
    names = [each["metadata"]["name"] for each in json.loads(read(target)["objects/danmnets.json"])]
    assert names == ["b", "c", "internal"]


def test_a_bound_holds_and_is_said(tmp_path: Path) -> None:
    """A large cluster fills no disk."""
    stage = a_stage()
    stage.network("other", cidr="10.1.0.0/24")
    target = tmp_path / "a.tar.gz"
    document = stage.document("diagnose", "--file", str(target), "--max-objects", "1")
    assert "danmnets: only the first 1 are here" in document["missing"]
    assert len(json.loads(read(target)["objects/danmnets.json"])) == 1


class BrokenTexts(FakeTexts):
    """Fails in a way that nobody has thought of."""

    async def text(
        self, path: str, *, params: Mapping[str, str] | None = None, max_bytes: int
    ) -> Excerpt:
        """Fail."""
        raise RuntimeError("unforeseen")


def test_nothing_is_replaced_and_nothing_half_is_left(tmp_path: Path) -> None:
    """An archive that is there stays, and an error leaves no part of one."""
    target = tmp_path / "a.tar.gz"
    target.write_text("mine")
    said = a_stage().ask("diagnose", "--file", str(target), status=2).stderr
    assert "is there already" in said
    assert target.read_text() == "mine"
    said = a_stage().ask("diagnose", "--file", str(tmp_path / "no" / "x"), status=2).stderr
    assert "name another --file" in said
    stage = a_stage()
    stage.texts = BrokenTexts()
    said = stage.ask("diagnose", "--file", str(tmp_path / "broken"), status=2).stderr
    assert said.startswith("Error: RuntimeError: unforeseen")
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar.gz"]


def test_an_api_server_that_is_away(tmp_path: Path) -> None:
    """There is an archive all the same: it says so, and later calls may have worked."""
    stage = a_stage()
    stage.kube.fail_next("list", None, ApiUnavailableError("away", status=0), times=99)
    target = tmp_path / "a.tar.gz"
    document = stage.document("diagnose", "--file", str(target))
    assert any("away" in each for each in document["missing"])
