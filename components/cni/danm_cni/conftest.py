"""A node with the demo's networks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from danm_cni.testing.ipam_caller import Caller
from danm_cni.testing.node import FakeNode, a_node


@pytest.fixture()
async def node(tmp_path: Path) -> AsyncIterator[FakeNode]:
    """Give a node whose namespace has the demo's networks, a macvlan and an sriov one."""
    async with a_node(tmp_path) as made:
        made.add_network("internal", host_device="ens3", vxlan=600, cidr="10.240.1.0/24")
        made.add_network(
            "external",
            host_device="ens4",
            vlan=300,
            cidr="10.100.20.0/24",
            container_prefix="ext",
            rt_tables=250,
        )
        made.add_network("management", network_type="flannel")
        made.add_network(
            "mac",
            network_type="macvlan",
            host_device="ens3",
            cidr="10.9.0.0/24",
            container_prefix="mac0",
        )
        made.add_network(
            "device",
            network_type="sriov",
            host_device="ens3",
            cidr="10.8.0.0/24",
            container_prefix="dev0",
        )
        made.write_cni_config(
            "flannel.conf", {"cniVersion": "0.3.1", "name": "mgmt", "type": "bridge"}
        )
        await made.knows_networks(5)
        yield made


@pytest.fixture()
async def caller(tmp_path: Path) -> AsyncIterator[Caller]:
    """Give a node with a DanmNet that admits fakeipam, and a Pod."""
    async with a_node(tmp_path) as node:
        node.add_network("lan", cidr="198.18.0.0/24", fakeipam=True)
        node.add_network("dual", cidr="198.18.0.0/24", net6="2001:db8::/64", fakeipam=True)
        node.add_pod(interfaces=[{"network": "lan", "ip": "dynamic"}])
        await node.knows_networks(2)
        yield Caller(node=node)
