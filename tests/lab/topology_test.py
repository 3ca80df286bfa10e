"""The lab's names and addresses."""

import ipaddress

import pytest

from tests.lab.topology import CONTROL_ADDRESS, NODES, POD_CIDR, node_named

_BENCHMARKS = ipaddress.IPv4Network("198.18.0.0/15")


def test_all_addresses_are_nobodys() -> None:
    """A lab uses addresses for benchmarks only, each once."""
    addresses = [nic.address.split("/")[0] for node in NODES for nic in node.nics]
    addresses.append(CONTROL_ADDRESS)

    assert len(set(addresses)) == len(addresses)
    assert all(ipaddress.ip_address(address) in _BENCHMARKS for address in addresses)


def test_pod_subnets_are_apart() -> None:
    """Each node has a subnet of its own within the cluster's range, on no wire."""
    subnets = [ipaddress.IPv4Network(node.pod_subnet) for node in NODES]
    wires = [ipaddress.IPv4Interface(nic.address).network for node in NODES for nic in node.nics]
    cluster = ipaddress.IPv4Network(POD_CIDR)

    assert all(subnet.subnet_of(cluster) for subnet in subnets)
    assert not any(cluster.overlaps(wire) for wire in wires)
    assert not subnets[0].overlaps(subnets[1])


def test_interface_names_fit_the_kernel() -> None:
    """No name is longer than the 15 bytes that the kernel takes."""
    names = [name for node in NODES for nic in node.nics for name in (nic.tap, nic.bridge)]

    assert max(map(len, names)) <= 15


@pytest.mark.parametrize(("text", "index"), [("1", 1), ("node2", 2)])
def test_a_node_is_named_in_two_ways(text: str, index: int) -> None:
    """`lab node 1` and `lab node node1` are the same."""
    node = node_named(text)

    assert node is not None
    assert node.index == index


def test_an_unknown_node_is_none() -> None:
    """There is no third node."""
    assert node_named("3") is None
