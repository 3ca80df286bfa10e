"""``who``: whose an address is."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from danm_api.kube.api import DANMIPBLOCKS, DANMNETS
from danm_api.model.danmnet import CONDITION_VALID, Condition, NetworkStatus
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


def a_stage(status: NetworkStatus | None = None) -> Stage:
    """Return a cluster with a network, which by default is accepted, and a Pod's address."""
    stage = Stage()
    stage.network(status=status, routes={"10.0.0.0/8": "10.240.1.150"}, **CIDR)
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


def verdict(*, accepted: bool) -> Condition:
    """Return what the validator says of the spec as it is."""
    return Condition(
        type=CONDITION_VALID,
        status=accepted,
        reason="Odd",
        message="its pool overlaps another one",
        observed_generation=1,
        last_transition=START,
    )


@pytest.mark.parametrize("address", ["10.240.1.102", "10.240.1.101", "10.240.1.7"])
@pytest.mark.parametrize(
    ("conditions", "state", "why"),
    [
        pytest.param((verdict(accepted=False),), "refused", "overlaps another one", id="refused"),
        pytest.param((), "not judged", "is the netwatcher validator running?", id="not judged"),
    ],
)
def test_a_network_that_gives_no_address(
    address: str, conditions: tuple[Condition, ...], state: str, why: str
) -> None:
    """Nobody gets an address of a network that the validator has not accepted."""
    # SPEC G1
    stage = a_stage(NetworkStatus(conditions=conditions))
    (place,) = stage.document("who", address, status=1)["places"]
    assert place["state"] == state
    assert why in place["why"]


def test_a_network_that_is_being_deleted() -> None:
    """It gives nobody an address any more."""
    # SPEC A5
    stage = a_stage()
    stage.kube.mark_deleted(DANMNETS, "internal", namespace=NAMESPACE)
    (place,) = stage.document("who", "10.240.1.102", status=1)["places"]
    assert place["state"] == "being deleted"


def test_outside_of_the_pool_of_a_wire_that_others_share() -> None:
    """No Pod gets the address there, not even one that asks for it."""
    # SPEC G3
    stage = Stage()
    stage.network(host_device="ens3", vlan=5, **CIDR)
    stage.network("apart", host_device="ens4", vlan=5, **CIDR)
    places = stage.document("who", "10.240.1.7", status=1)["places"]
    assert ["only a Pod that asks" in each["why"] for each in places] == [True, True]
    stage.network("other", namespace="elsewhere", host_device="ens3", vlan=5, cidr="10.1.0.0/24")
    apart, shared = stage.document("who", "10.240.1.7", status=1)["places"]
    assert "only a Pod that asks" in apart["why"]
    assert (shared["network"], shared["state"]) == ("internal", "outside of the pool")
    assert shared["why"].startswith("nobody gets it: other DanmNets are on its wire")


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
