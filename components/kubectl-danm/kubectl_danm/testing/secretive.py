"""A cluster with a secret in each place that ``diagnose`` reads, and what is in its archive."""

import tarfile
from pathlib import Path
from typing import Any, Final

from danm_api.codec.event import Event, EventType, encode_event, reference_to
from danm_api.kube.api import CONFIG_MAPS, EVENTS, LEASES, NODES, PODS, SECRETS, SERVICES
from danm_api.model.ip_block import ExternalOwner
from danm_api.names import SYSTEM_NAMESPACE, Namespace
from danm_api.testing.builders import NAMESPACE, NODE, a_block, a_danmep, a_held_entry
from danm_api.testing.clock import START
from kubectl_danm.testing.stage import Stage

POD: Final = "danm-svcwatcher-0"
LOG: Final = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{POD}/log"
METRICS: Final = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{POD}:9445/proxy/metrics"

# One for each place, so that a test says where it leaked from; no part is found by its looks alone
# unless its place has nothing else to tell it by.
JWT: Final = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbGFudGVkLWp3dCJ9.cGxhbnRlZC1zaWduYXR1cmU"
PEM: Final = "-----BEGIN EC PRIVATE KEY-----\nplanted-pem\n-----END EC PRIVATE KEY-----"
PLANTED: Final = (
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


def secretive_stage() -> Stage:
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


def read_archive(path: Path) -> dict[str, str]:
    """Return what is in an archive, by paths below its one directory."""
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is not None
            found[member.name.partition("/")[2]] = content.read().decode()
        return found
