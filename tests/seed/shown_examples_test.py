"""What the documentation of 2019 shows: the right is taken, the older and the broken refused.

``shown/`` holds it in the form of manifests, ``examples/seed-demo`` its demo in today's API
versions.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from danm_api.codec.attachment import decode_annotation
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.service import decode_service
from danm_api.model.attachment import Dynamic, NoAddress, StaticIPv4
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.names import API_VERSION, INTERFACES_ANNOTATION, InterfaceName
from danm_api.testing.builders import accepted
from danm_api.validation import (
    check_attachment,
    conflicts,
    host_link_name,
    shares_wire,
    validate_network,
)
from danm_cni.request import decode_request

SHOWN = Path(__file__).parent / "shown"
DEMO = Path(__file__).parents[2] / "examples" / "seed-demo"


def _objects(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]


def _pods(path: Path) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in _objects(path) if each["kind"] == "Pod"}


def _demo_networks() -> list[DanmNet]:
    raws = [
        each
        for path in sorted(DEMO.glob("*.yaml"))
        for each in _objects(path)
        if each["kind"] == "DanmNet"
    ]
    return [decode_danmnet(raw) for raw in raws]


def _demo_templates() -> list[tuple[str, dict[str, Any]]]:
    return [
        (each["metadata"]["namespace"], each["spec"]["template"]["metadata"])
        for path in sorted(DEMO.glob("*.yaml"))
        for each in _objects(path)
        if each["kind"] == "Deployment"
    ]


def test_the_described_danmnet_is_of_another_group() -> None:
    """No definition serves it, so ``kubectl apply`` refuses it: the group has to be rewritten."""
    (raw,) = _objects(SHOWN / "described_danmnet.yaml")  # SPEC A
    assert raw["apiVersion"] != API_VERSION


def test_the_described_danmnet_is_refused_with_both_reasons() -> None:
    """Its pool is upside down and has no subnet; being marked as valid does not help."""
    (raw,) = _objects(SHOWN / "described_danmnet.yaml")  # SPEC N1, A6
    net = decode_danmnet(raw)
    assert net.marked_valid
    assert [str(each) for each in validate_network(net)] == [
        "spec.Options.allocation_pool: start 192.168.1.100 lies after end 192.168.1.10; "
        "exchange them",
        "spec.Options.allocation_pool: stands without cidr; set cidr to the subnet, or remove "
        "the pool",
    ]


def test_the_described_danmnet_is_right_once_it_is_mended() -> None:
    """Doing what the messages say is enough."""
    (raw,) = _objects(SHOWN / "described_danmnet.yaml")  # SPEC N1
    options = raw["spec"]["Options"]
    pool = options["allocation_pool"]
    mended = {"start": pool["end"], "end": pool["start"]}
    options |= {"cidr": "192.168.1.0/24", "allocation_pool": mended}
    assert validate_network(decode_danmnet(raw)) == ()


def test_the_configuration_without_version_is_taken() -> None:
    """The CNI specification reads it as 0.1.0; its kubeconfig is not needed any more."""
    stdin = (SHOWN / "00-danm.conf").read_bytes()  # SPEC C1
    environment = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": "c" * 64,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
    }
    assert "cniVersion" not in json.loads(stdin)
    request = decode_request(environment, stdin)
    assert (request.version.value, request.interface) == ("0.1.0", InterfaceName("eth0"))


def test_pods_may_ask_for_dynamic_static_or_no_addresses() -> None:
    """One entry of each form."""
    pod = _pods(SHOWN / "connections.yaml")["three-networks"]  # SPEC B1
    asked = decode_annotation(pod["metadata"]["annotations"][INTERFACES_ANNOTATION], pod="x")
    assert [type(each.ip) for each in asked] == [Dynamic, StaticIPv4, NoAddress]


def test_pods_may_ask_for_policy_routes() -> None:
    """Of both families."""
    pod = _pods(SHOWN / "connections.yaml")["policy-routes"]  # SPEC B1, D3
    (asked,) = decode_annotation(pod["metadata"]["annotations"][INTERFACES_ANNOTATION], pod="x")
    assert (len(asked.policy_routes), len(asked.policy_routes6)) == (1, 1)


def test_pods_may_ask_for_nothing() -> None:
    """They get their namespace's default network."""
    pod = _pods(SHOWN / "connections.yaml")["default-network"]  # SPEC B2
    assert decode_annotation(pod["metadata"].get("annotations"), pod="x") == ()


def test_the_service_selects_pods_of_a_network() -> None:
    """Headless, without a selector of its own, with two annotations."""
    (raw,) = _objects(SHOWN / "service.yaml")  # SPEC S1
    service = decode_service(raw)
    assert (service.headless, dict(service.selector)) == (True, {})
    assert service.annotations["danm.k8s.io/network"] == "internal"
    assert [port.port for port in service.ports] == [5555]


def test_the_demo_s_networks_are_valid_together() -> None:
    """Each by itself, and beside the others, which share a VLAN link."""
    judged: list[DanmNet] = []  # SPEC N1, N3
    for net in _demo_networks():
        assert (validate_network(net), conflicts(net, judged)) == ((), ())
        judged.append(accepted(net))
    links = {
        (net.namespace, host_link_name(net.spec))
        for net in judged
        if isinstance(net.spec, NetworkSpec) and net.name == "external"
    }
    assert {("example-vnf", "external.300"), ("external-client", "external.300")} <= links


@pytest.mark.parametrize(
    ("namespace", "metadata"), _demo_templates(), ids=lambda each: json.dumps(each)[:60]
)
def test_the_demo_s_pods_ask_for_what_there_is(namespace: str, metadata: dict[str, Any]) -> None:
    """Networks of their own namespace, and addresses that these can give."""
    networks = {net.name: accepted(net) for net in _demo_networks() if net.namespace == namespace}
    everything = [accepted(net) for net in _demo_networks()]  # SPEC B1, B3
    asked = decode_annotation(metadata["annotations"][INTERFACES_ANNOTATION], pod=namespace)
    assert asked
    for attachment in asked:
        net = networks[attachment.network]
        spec = net.spec_in_force()
        shared = shares_wire(net, spec, everything)
        assert check_attachment(spec, attachment, shares_wire=shared) == ()
