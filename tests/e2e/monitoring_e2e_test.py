"""A real Prometheus scrapes DANM on the lab: all panels and alerts have answers, and some tell."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from danm_api.ipam_api import TRUST_CONFIG_MAP, TRUST_KEY
from monitoring.alerts import alerts
from monitoring.durations import Durations
from monitoring.rules import rule_file, rule_text
from monitoring.scrape import IPAM_JOB, NODE_LABEL, PORTS, SVCWATCHER_JOB, scrape_configs
from tests.e2e.conftest import DEMO_IMAGE, Tenant, eventually
from tests.lab.cluster import objects
from tests.lab.installation import SYSTEM_NAMESPACE, Installation
from tests.lab.lab import Lab, repository
from tests.lab.process import Background, start_leashed
from tests.lab.topology import NODES
from tests.monitoring.prometheus import Prometheus, running
from tests.monitoring.queries import committed_queries, unanswered

ONE: Final = json.dumps([{"network": "net", "ip": "dynamic"}])
# As a cluster's Prometheus, only more often.
_INTERVAL: Final = "5s"
_WINDOW: Final = "1m"
# Five minutes become 20 s.
_SCALE: Final = 1 / 15
_WITHIN_S: Final = 240.0
_UNHURRIED: Final = "DanmStaleWatch"
_LINK: Final = "net.360"
# Often enough for an alert that counts losses in a minute, and most of the time the link is up: one
# that is hardly ever up is down, which another alert tells.
_LOST_EVERY_S: Final = 5.0
_ACCOUNT: Final = "prometheus"


def scrape(lab: Lab, directory: Path) -> Sequence[Mapping[str, Any]]:
    """Return deploy/monitoring/scrape.yaml with the Pods of now: Debian's cannot look for them."""
    pods = objects(lab, "pods", "-n", SYSTEM_NAMESPACE)
    token, trust = directory / "token", directory / "ca.crt"
    token.touch(mode=0o600)
    token.write_text(
        lab.kubectl("create", "token", _ACCOUNT, "-n", SYSTEM_NAMESPACE, "--duration=2h")
    )
    (config_map,) = objects(lab, "configmap", TRUST_CONFIG_MAP, "-n", SYSTEM_NAMESPACE)
    trust.write_text(config_map["data"][TRUST_KEY])
    configs = []
    for raw in scrape_configs(interval=_INTERVAL):
        name = raw["job_name"]
        targets = [
            {
                "targets": [f"{pod['status']['podIP']}:{PORTS[name]}"],
                "labels": {NODE_LABEL: pod["spec"]["nodeName"]},
            }
            for pod in pods
            if pod["metadata"]["labels"].get("app.kubernetes.io/name") == name
        ]
        config = {
            key: raw[key] for key in raw.keys() - {"kubernetes_sd_configs", "relabel_configs"}
        }
        if name == IPAM_JOB:
            config["authorization"] = {"credentials_file": str(token)}
            config["tls_config"] = {**raw["tls_config"], "ca_file": str(trust)}
        configs.append({**config, "static_configs": targets})
    return configs


def metrics_reader() -> list[dict[str, Any]]:
    """Return what a cluster's Prometheus has anyway: an account that may read metrics."""
    subject = {"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": SYSTEM_NAMESPACE}
    rbac = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": _ACCOUNT, "namespace": SYSTEM_NAMESPACE},
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "test-metrics"},
            "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}],
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "test-metrics"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "test-metrics"},
            "subjects": [subject],
        },
    ]


@pytest.fixture(scope="module")
def prometheus(
    lab: Lab, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus in the lab's network, with the rules in less time."""
    del installation
    directory = tmp_path_factory.mktemp("monitoring")
    documents = json.dumps({"apiVersion": "v1", "kind": "List", "items": metrics_reader()})
    lab.kubectl("apply", "-f", "-", stdin=documents)
    rules = directory / "rules.yaml"
    # Bookmarks come once a minute, whatever a test would like.
    shortened = (each for each in alerts(Durations(scale=_SCALE)) if each.name != _UNHURRIED)
    usual = (each for each in alerts() if each.name == _UNHURRIED)
    rules.write_text(rule_text(rule_file([*shortened, *usual])))

    def start(
        name: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> Background:
        return start_leashed(name, lab.namespace.command(argv), log=log, env=env)

    try:
        with running(
            directory,
            scrape=scrape(lab, directory),
            rules=[rules],
            interval=_INTERVAL,
            start=start,
            connect=lab.namespace.connect,
        ) as started:
            eventually(started.all_up, "Everything is scraped", _WITHIN_S)
            yield started
    finally:
        lab.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=documents)


@pytest.fixture()
def busy(tenant: Tenant) -> Tenant:
    """A namespace in which Pods come and go, behind a Service."""
    tenant.network("net", vlan=360, cidr="10.77.0.0/24", container_prefix="eth0")
    hello = {"name": "hello", "image": DEMO_IMAGE, "command": ["python3", "-c", "pass"]}
    template = {
        "metadata": {"annotations": {"danm.k8s.io/interfaces": ONE}, "labels": {"app": "hello"}},
        "spec": {"containers": [hello], "restartPolicy": "Never"},
    }
    tenant.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "hello",
                "annotations": {
                    "danm.k8s.io/selector": json.dumps({"app": "hello"}),
                    "danm.k8s.io/network": "net",
                },
            },
            "spec": {"clusterIP": "None", "ports": [{"port": 80}]},
        },
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "hello"},
            "spec": {"parallelism": 2, "completions": 10_000, "template": template},
        },
    )
    return tenant


def end_job(tenant: Tenant) -> None:
    """Let no more Pods come."""
    tenant.cluster.kubectl(
        "delete", "job", "hello", "-n", tenant.namespace, "--cascade=foreground", "--timeout=120s"
    )


def test_every_query_has_an_answer(prometheus: Prometheus, busy: Tenant) -> None:
    """No panel is empty on a cluster where Pods come and go."""
    queries = committed_queries(window=_WINDOW)
    left: dict[str, str] = {}

    def answered() -> bool:
        left.clear()
        left.update(unanswered(prometheus, queries, zero_counts=True))
        return not left

    try:
        eventually(answered, "All queries are answered", _WITHIN_S)
    finally:
        print("\n".join(f"{where}: {expression}" for where, expression in left.items()))
        end_job(busy)


def wait_for(prometheus: Prometheus, firing: set[str], what: str) -> None:
    """Wait until these alerts fire and no others."""
    try:
        eventually(lambda: prometheus.firing().keys() == firing, what, _WITHIN_S)
    finally:
        print(f"{what}: {prometheus.firing()}")


def test_a_link_that_flaps_is_told_and_nothing_else(
    lab: Lab, prometheus: Prometheus, tenant: Tenant
) -> None:
    """The alert fires while somebody sets a link down again and again, and clears afterwards."""
    tenant.network("net", vlan=360, cidr="10.77.0.0/24", container_prefix="eth0")
    node = NODES[0]
    link_is_up = ["sh", "-c", f"ip link show {_LINK} | grep -q 'state UP\\|LOWER_UP'"]
    eventually(lambda: lab.node_exec(node, link_is_up).status == 0, "The link is up")
    wait_for(prometheus, set(), "Nothing fires while all is well")

    lost_at = -_LOST_EVERY_S

    def told_alone() -> bool:
        nonlocal lost_at
        if time.monotonic() >= lost_at + _LOST_EVERY_S:
            lost_at = time.monotonic()
            lab.node_exec(node, ["ip", "link", "set", _LINK, "down"])
        return prometheus.firing().keys() == {"DanmLinkFlapping"}

    # At a fifteenth of their times others fire as well where the machine stands still for long.
    eventually(told_alone, "The alert fires, and no other", _WITHIN_S)
    wait_for(prometheus, set(), "It clears")


def test_an_ipam_svc_that_is_away_is_told_and_nothing_else(
    lab: Lab, prometheus: Prometheus
) -> None:
    """Two alerts fire while no replica runs, and clear when all are back."""
    (deployment,) = objects(lab, "deployment", IPAM_JOB, "-n", SYSTEM_NAMESPACE)
    scale = ("scale", "deployment", IPAM_JOB, "-n", SYSTEM_NAMESPACE)
    wait_for(prometheus, set(), "Nothing fires while all is well")
    lab.kubectl(*scale, "--replicas=0")
    try:
        # This Prometheus goes on looking for the replicas, so it sees that none has the Lease, too.
        both = {"DanmIpamUnavailable", "DanmNobodyLeads"}
        wait_for(prometheus, both, "Both alerts fire, and no other")
    finally:
        lab.kubectl(*scale, f"--replicas={deployment['spec']['replicas']}")
    # At the same addresses: those of the nodes, each of which has ports for one.
    eventually(prometheus.all_up, "All replicas are scraped again", _WITHIN_S)
    wait_for(prometheus, set(), "Both clear")


def test_replicas_that_may_not_write_their_lease_are_told_and_nothing_else(
    lab: Lab, prometheus: Prometheus
) -> None:
    """They run and are ready, and the alert fires until they have the right again."""
    wait_for(prometheus, set(), "Nothing fires while all is well")
    lab.kubectl("delete", "rolebinding", SVCWATCHER_JOB, "-n", SYSTEM_NAMESPACE)
    try:
        wait_for(prometheus, {"DanmNobodyLeads"}, "The alert fires, and no other")
        eventually(prometheus.all_up, "All run meanwhile", _WITHIN_S)
    finally:
        # As the alert's runbook says.
        rights = repository() / "deploy" / "svcwatcher" / "rbac.yaml"
        lab.kubectl("apply", "--server-side", "-f", str(rights))
    wait_for(prometheus, set(), "It clears")
