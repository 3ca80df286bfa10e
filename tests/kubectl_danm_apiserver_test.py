"""`kubectl danm` on a real API server: what the fake one could not tell."""

import asyncio
import json
import os
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from danm_api.codec.event import reference_to
from danm_api.codec.ip_block import encode_ip_block
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS, PODS, SECRETS
from danm_api.kube.events import EventRecorder
from danm_api.names import SYSTEM_NAMESPACE
from danm_api.testing.builders import a_block, a_held_entry, a_pod_owner
from kubectl_danm import __main__ as program
from tests.lab.apiserver import ApiServer
from tests.lab.deployed import apply_deployed
from tests.lab.kube_objects import ROLE_BINDINGS, accept_network
from tests.lab.pki import write_kubeconfig
from tests.svcwatcher_cluster import Cluster, a_cluster, running

# Building Kubernetes, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

SPEC = {"NetworkID": "internal", "Options": {"cidr": "10.240.1.0/24"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Start an API server for all tests of this file."""
    with ApiServer.start(tmp_path_factory.mktemp("apiserver")) as running:
        yield running


@pytest.fixture()
async def cluster(server: ApiServer) -> AsyncIterator[Cluster]:
    """Yield a namespace with a DanmNet that is in force."""
    async with a_cluster(server) as made:
        await made.create(DANMNETS, {"metadata": {"name": "internal"}, "spec": SPEC})
        await accept_network(made.api, "internal", SPEC, namespace=made.namespace)
        yield made


@dataclass(frozen=True)
class Answer:
    """What the program said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401  (JSON)
        """Return its JSON."""
        return json.loads(self.out)


async def ask(kubeconfig: Path, *words: str) -> Answer:
    """Run the program as a person would."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", program.__package__ or "", *words, "--kubeconfig", str(kubeconfig)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), err.decode())


async def test_endpoints_are_what_svcwatcher_writes(server: ApiServer, cluster: Cluster) -> None:
    """What is said to be in is in the slices of a real server, field by field."""
    # SPEC S1, S2
    await cluster.serve("lb")
    await cluster.run_pod("a", "10.240.1.100", subdomain="lb")
    await cluster.run_pod("b", "10.240.1.101")
    await cluster.set_ready("b", ready=False)
    scope = ("-n", cluster.namespace, "-o", "json")
    before = await ask(server.kubeconfig, "services", "lb", *scope)
    assert [each["written"] for each in before.document["services"][0]["endpoints"]] == [False] * 2
    async with running(server):
        await cluster.until_found("lb", ["10.240.1.100"])
    (service,) = (await ask(server.kubeconfig, "services", "lb", *scope)).document["services"]
    assert [(e["address"], e["state"], e["written"]) for e in service["endpoints"]] == [
        ("10.240.1.100", "ready", True),
        ("10.240.1.101", "not ready", True),
    ]
    assert service["problems"] == []


async def test_a_pod_s_errors_are_found_by_the_server_s_selectors(
    server: ApiServer, cluster: Cluster
) -> None:
    """Events are selected by the object that they regard."""
    await cluster.run_pod("a", "10.240.1.100")
    await cluster.run_pod("b", "10.240.1.101")
    recorder = EventRecorder(cluster.api, component="test", instance="one")
    for raw in (await cluster.api.list(PODS, namespace=cluster.namespace)).items:
        note = f"the pool is exhausted for {raw['metadata']['name']}"
        await recorder.record(reference_to(raw), reason="Odd", message=note)
    words = ("pod", "a", "-n", cluster.namespace, "-o", "json")
    found = (await ask(server.kubeconfig, *words)).document
    assert [each["note"] for each in found["errors"]] == ["the pool is exhausted for a"]
    assert [each["ipv4"] for each in found["interfaces"]] == ["10.240.1.100/24"]


async def test_a_tenant_with_the_roles_of_deploy(
    server: ApiServer, cluster: Cluster, tmp_path: Path
) -> None:
    """Without them the missing right is named; with them every command for tenants works."""
    jane = write_kubeconfig(
        tmp_path / "jane",
        server=server.url,
        authority=server.authority,
        credential=server.trust.authority.client("jane", "jane"),
    )
    pod = await cluster.run_pod("a", "10.240.1.100")
    await cluster.serve("lb")
    net = await cluster.api.get(DANMNETS, "internal", namespace=cluster.namespace)
    owner = a_pod_owner("a", namespace=cluster.namespace, uid=pod["metadata"]["uid"])
    held = a_held_entry("10.240.1.100", owner=owner, node="n1")
    block = a_block(
        "10.240.1.100", held, namespace=cluster.namespace, network_uid=net["metadata"]["uid"]
    )
    await cluster.create(DANMIPBLOCKS, encode_ip_block(block))
    scope = ("-n", cluster.namespace)
    refused = await ask(jane, "networks", *scope)
    assert refused.status == 2
    assert (
        f"jane lacks the right to list danmnets.danm.k8s.io in namespace {cluster.namespace}. The"
        f" role view has it: kubectl -n {cluster.namespace} create rolebinding danm-look"
        " --clusterrole=view --user=jane" in refused.err
    )
    await apply_deployed(cluster.api, "tenants/view.yaml")
    # What the role view consists of; here no controller adds it up.
    for role in ("danm-view", "system:aggregate-to-view"):
        await cluster.create(
            ROLE_BINDINGS,
            {
                "metadata": {"name": role.replace(":", "-")},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": role,
                },
                "subjects": [
                    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
                ],
            },
        )
    async with asyncio.timeout(60):
        while (networks := await ask(jane, "networks", *scope)).status != 0:
            pass
    assert "internal" in networks.out
    assert "jane lacks the right to list danmnodes.danm.k8s.io in all namespaces" in networks.err
    shown = await ask(jane, "pod", "a", *scope)
    assert (shown.status, shown.err) == (0, "")
    assert "10.240.1.100/24" in shown.out
    service = await ask(jane, "services", "lb", *scope)
    assert (service.status, service.err) == (0, "")
    whose = await ask(jane, "who", "10.240.1.100", *scope)
    assert (whose.status, whose.err) == (0, "")
    assert f"Pod {cluster.namespace}/a" in whose.out
    examined = await ask(jane, "check", "--between-looks", "0")
    assert examined.status == 2
    assert "jane lacks the right to list danmipblocks.danm.k8s.io" in examined.err


async def test_an_administrator_s_archive(
    server: ApiServer, cluster: Cluster, tmp_path: Path
) -> None:
    """Everything that a real server has to say, without the Secret; what is away is said."""
    await cluster.run_pod("a", "10.240.1.100")
    await cluster.create(
        SECRETS, {"metadata": {"name": "s"}, "stringData": {"key": "planted-secret"}}
    )
    await cluster.api.create(
        PODS,
        {
            "metadata": {"name": f"danm-{cluster.namespace}"},
            "spec": {
                "automountServiceAccountToken": False,
                "nodeName": "n1",
                "containers": [
                    {
                        "name": "c",
                        "image": "none",
                        "env": [{"name": "TOKEN", "value": "planted-environment"}],
                    }
                ],
            },
        },
        namespace=SYSTEM_NAMESPACE,
    )
    target = tmp_path / "a.tar.gz"
    answer = await ask(
        server.kubeconfig,
        *("diagnose", "--file", str(target), "--between-looks", "0", "-o", "json"),
    )
    assert answer.status == 0, answer.err
    files = answer.document["files"]
    with tarfile.open(target) as archive:
        texts = []
        for member in archive.getmembers():
            content = archive.extractfile(member)
            assert content is not None
            texts.append(content.read().decode())
    everything = "\n".join(texts)
    assert "planted" not in everything
    assert server.token not in everything
    assert {"version.json", "check.json", "objects/danmeps.json"} <= set(files)
    assert "gitVersion" in everything
    assert any(each.startswith("logs/danm-") for each in answer.document["missing"])
