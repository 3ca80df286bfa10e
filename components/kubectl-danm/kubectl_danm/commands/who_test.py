"""``who``: whose an address is."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from danm_api.kube.api import DANMIPBLOCKS, DANMNETS
from danm_api.model.ip_block import Cooling, ExternalOwner
from danm_api.names import Namespace
from danm_api.testing.builders import NAMESPACE, a_block, a_danmep, a_held_entry
from danm_api.testing.clock import START
from kubectl_danm.testing.stage import Stage

UID = f"uid-{NAMESPACE}-internal"
CIDR: dict[str, Any] = {
    "cidr": "10.240.1.0/24",
    "allocation_pool": {"start": "10.240.1.100", "end": "10.240.1.200"},
}


def a_stage() -> Stage:
    """Return a cluster with a network and a Pod's address."""
    stage = Stage()
    stage.network(routes={"10.0.0.0/8": "10.240.1.150"}, **CIDR)
    free = START + timedelta(minutes=1)
    stage.block(
        a_block(
            "10.240.1.100",
            a_held_entry("10.240.1.100"),
            Cooling(address=ip_address("10.240.1.101"), free_at=free),
            network_uid=UID,
        )
    )
    stage.endpoint(a_danmep())
    return stage


def test_a_pod_s_address() -> None:
    """The record says whose it is, the DanmEp where it is in use."""
    found = a_stage().document("who", "10.240.1.100")
    (owner,) = found["owners"]
    (use,) = found["uses"]
    assert (owner["kind"], owner["name"], owner["interface"], owner["node"]) == (
        "Pod",
        "processor-1",
        "eth0",
        "node-1",
    )
    assert (use["pod"], use["danmep"], use["network"]) == ("processor-1", "ep-1", "internal")
    assert found["places"] == []
    assert a_stage().ask("who", "10.240.1.100/24", "-o", "name").stdout.splitlines() == [
        "pod/processor-1",
        "danmep.danm.k8s.io/ep-1",
    ]


def test_it_costs_one_block() -> None:
    """Of the record, only the block in which the address lies is read."""
    # DESIGN P6
    stage = a_stage()
    stage.ask("who", "10.240.1.100")
    assert stage.kube.calls["get", "danmipblocks"] == 1
    assert stage.kube.calls["list", "danmipblocks"] == 0


@pytest.mark.parametrize(
    ("address", "state"),
    [
        ("10.240.1.102", "free"),
        ("10.240.1.101", "cooling"),
        ("10.240.1.7", "outside of the pool"),
        ("10.240.1.150", "never handed out"),
        ("10.240.1.255", "never handed out"),
    ],
)
def test_an_address_that_nobody_has(address: str, state: str) -> None:
    """The answer is "no", and says what would become of the address."""
    # SPEC G2, A7
    found = a_stage().document("who", address, status=1)
    assert (found["owners"], found["uses"]) == ([], [])
    assert [(place["network"], place["state"]) for place in found["places"]] == [
        ("internal", state)
    ]


def test_an_address_outside_of_all_networks() -> None:
    """It is said so."""
    assert "it lies in no DanmNet" in a_stage().ask("who", "192.0.2.1", status=1).stdout


def test_an_external_owner_with_its_reason() -> None:
    """Whoever reserved it, and that its time is over."""
    # SPEC I3
    owner = ExternalOwner(
        namespace=Namespace(NAMESPACE), name="router", reason="uplink", expires=START
    )
    stage = Stage()
    stage.network(**CIDR)
    held = a_held_entry("10.240.1.120", owner=owner, node="")
    stage.block(a_block("10.240.1.120", held, network_uid=UID))
    (found,) = stage.document("who", "10.240.1.120")["owners"]
    assert (found["kind"], found["name"], found["note"]) == ("External", "router", "uplink")


def test_the_record_of_a_network_that_is_gone() -> None:
    """An entry is found whatever became of its DanmNet."""
    stage = Stage()
    stage.block(a_block("10.240.1.100", a_held_entry("10.240.1.100")))
    (owner,) = stage.document("who", "10.240.1.100")["owners"]
    assert owner["name"] == "processor-1"


def test_a_tenant_asks_in_their_own_namespace() -> None:
    """Where one may not look everywhere, the context's namespace answers, and it is said."""
    stage = a_stage()
    stage.refuse(DANMNETS)
    result = stage.ask("who", "10.240.1.100")
    assert "processor-1" in result.stdout
    assert f"Only namespace {NAMESPACE} was looked at. jane lacks" in result.stderr
    stage.refuse(DANMNETS)
    stage.ask("who", "10.240.1.100", "-A", status=2)
    stage.refuse(DANMIPBLOCKS)
    stage.refuse(DANMIPBLOCKS)
    stage.ask("who", "10.240.1.9", status=2)


def test_what_is_no_address() -> None:
    """The sentence shows one."""
    assert "write one such as 10.0.0.7" in Stage().ask("who", "10.0.0", status=2).stderr
