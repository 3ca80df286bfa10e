"""Bad input, as a new user makes it: each shows up as a sentence that says what to do."""

import json

import pytest

from tests.e2e.conftest import REFUSED_S, Tenant, eventually
from tests.lab.cluster import objects
from tests.lab.errors import LabError

CIDR = {"cidr": "10.77.0.0/24", "container_prefix": "eth0"}
ONE = json.dumps([{"network": "net", "ip": "dynamic"}])


def expect_refusal(tenant: Tenant, annotation: str, *words: str) -> None:
    """Create a Pod that cannot get its networks, and find the reason where people look."""
    tenant.pod("refused", annotation)
    eventually(
        lambda: tenant.is_refused("refused", *words),
        f"`kubectl describe pod` says {words}",
        REFUSED_S,
    )
    assert tenant.phase("refused") == "Pending"
    tenant.delete_pod("refused")
    assert tenant.left_behind() == []


def test_broken_json(tenant: Tenant) -> None:
    """The old program swallowed an annotation that was no JSON."""  # SPEC B3
    tenant.network("net", vlan=310, **CIDR)
    expect_refusal(tenant, '[{"network": "net", "ip": "dynamic"', "danm.k8s.io/interfaces", "JSON")


def test_unknown_network(tenant: Tenant) -> None:
    """The error names the network and the namespace."""  # SPEC B3
    expect_refusal(
        tenant,
        '[{"network": "nowhere", "ip": "dynamic"}]',
        f"namespace {tenant.namespace} has no DanmNet 'nowhere'",
    )


def test_full_pool(tenant: Tenant) -> None:
    """The old program returned an empty address when a pool was full."""  # SPEC G2
    pool = {"start": "10.77.0.5", "end": "10.77.0.5"}
    tenant.network("net", vlan=311, allocation_pool=pool, **CIDR)
    tenant.pod("first", ONE)
    eventually(lambda: tenant.phase("first") == "Running", "The first Pod runs", 90.0)
    tenant.pod("second", ONE)
    eventually(
        lambda: tenant.is_refused("second", f"{tenant.namespace}/net has no free IPv4"),
        "`kubectl describe pod` names the full network",
        REFUSED_S,
    )
    tenant.delete_pod("first")
    eventually(lambda: tenant.phase("second") == "Running", "The freed address is used", 120.0)


def test_pool_outside_its_cidr(tenant: Tenant) -> None:
    """`kubectl apply` says so at once."""  # SPEC N1
    pool = {"start": "10.78.0.5", "end": "10.78.0.9"}
    with pytest.raises(LabError, match="allocation_pool: an end lies outside of cidr"):
        tenant.network("net", vlan=312, allocation_pool=pool, **CIDR)


def test_pool_without_host_addresses(tenant: Tenant) -> None:
    """The DanmNet says what the API server cannot see, and hands out nothing."""  # SPEC N1, G1
    pool = {"start": "10.77.0.255", "end": "10.77.0.255"}
    tenant.network("net", vlan=312, allocation_pool=pool, **CIDR)
    eventually(
        lambda: "choose host addresses" in tenant.described("danmnet", "net"),
        "`kubectl describe danmnet` says what the pool lacks",
    )
    found = objects(tenant.cluster, "danmnet", "net", "-n", tenant.namespace)
    assert found[0]["spec"]["Validation"] == "False"
    expect_refusal(tenant, ONE, "net is not valid")


def test_two_attachments_with_one_name(tenant: Tenant) -> None:
    """Refused before anything is created."""  # SPEC B4
    tenant.network("net", vlan=313, **CIDR)
    twice = json.dumps([{"network": "net", "ip": "dynamic"}] * 2)
    expect_refusal(tenant, twice, "would all have the interface name 'eth0'")


def test_no_eth0(tenant: Tenant) -> None:
    """The runtime needs an eth0 with an address, and the error says so."""  # SPEC B4
    tenant.network("net", vlan=314, cidr="10.77.0.0/24", container_prefix="data")
    expect_refusal(tenant, ONE, "no entry gives an interface named eth0")
