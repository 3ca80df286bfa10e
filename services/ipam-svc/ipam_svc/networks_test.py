"""Which networks may hand out addresses."""

from typing import Any

import pytest

from danm_api.codec.danmnet_update import usage_patch
from danm_api.errors import InvalidNetworkError, NetworkNotFoundError, NetworkNotReadyError
from danm_api.kube.api import DANMNETS
from danm_api.model.danmnet import Usage
from danm_api.names import Namespace, NetworkName
from ipam_svc.networks import cooldown_of, links_of, tracked_families
from ipam_svc.testing.cluster import NAMESPACE, Cluster, eventually

_NS = Namespace(NAMESPACE)


async def test_valid_mark_of_a_user_counts_for_nothing() -> None:
    """spec.Validation "True" without the validator's verdict is no validation."""
    # SPEC A6, G1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", valid=False)
    await cluster.kube.patch(DANMNETS, "net", {"spec": {"Validation": "True"}}, namespace=NAMESPACE)
    async with cluster.running() as (replica,):
        with pytest.raises(NetworkNotReadyError):
            await replica.networks.ready(_NS, NetworkName("net"))


async def test_verdict_does_not_replace_the_rules() -> None:
    """A spec that breaks a rule hands out nothing, whatever its status says."""
    # DESIGN, "ipam-svc validates the spec itself"
    cluster = Cluster()
    cluster.add_network(
        cidr="10.0.0.0/24", allocation_pool={"start": "10.9.0.1", "end": "10.9.0.9"}
    )
    async with cluster.running() as (replica,):
        with pytest.raises(InvalidNetworkError, match="allocation_pool"):
            await replica.networks.ready(_NS, NetworkName("net"))


async def test_unknown_network() -> None:
    """A name that nobody gave to a DanmNet is refused with the way out."""
    cluster = Cluster()
    async with cluster.running() as (replica,):
        with pytest.raises(NetworkNotFoundError, match="create it"):
            await replica.networks.ready(_NS, NetworkName("net"))


@pytest.mark.parametrize(
    ("mine", "theirs", "shared"),
    [
        pytest.param({"host_device": "ens4"}, {"host_device": "ens4"}, True, id="same device"),
        pytest.param({"host_device": "ens4"}, {"host_device": "ens5"}, False, id="other device"),
        pytest.param(
            {"host_device": "ens4", "vlan": 7},
            {"host_device": "ens4", "vlan": 8},
            False,
            id="other VLAN",
        ),
        pytest.param(
            {"host_device": "ens4", "vlan": 7}, {"host_device": "net.7"}, True, id="link by name"
        ),
        pytest.param({}, {}, False, id="no device"),
        pytest.param(
            {"network_type": "sriov", "device_pool": "a.com/b", "vlan": 7},
            {"network_type": "sriov", "device_pool": "a.com/b", "vlan": 7, "host_device": "ens4"},
            True,
            id="same pool of devices",
        ),
        pytest.param(
            {"network_type": "sriov", "device_pool": "a.com/b"},
            {"network_type": "sriov", "device_pool": "a.com/b", "vlan": 7},
            False,
            id="same pool of devices, other VLAN",
        ),
    ],
)
async def test_networks_that_share_a_wire_are_found(
    *, mine: dict[str, Any], theirs: dict[str, Any], shared: bool
) -> None:
    """The index by links finds whoever is on the same wire, and nobody else."""
    # DESIGN P1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", **mine)
    cluster.add_network("other", cidr="10.0.1.0/24", **theirs)
    async with cluster.running() as (replica,):
        found = await replica.networks.ready(_NS, NetworkName("net"))
    assert found.shares_wire is shared
    assert links_of(found.spec) == {name for name in links_of(found.spec) if name}


async def test_a_network_that_joins_the_wire_is_noticed() -> None:
    """What was judged before is judged again when any network comes or changes."""
    # DESIGN P1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", host_device="ens4")
    async with cluster.running() as (replica,):
        alone = await replica.networks.ready(_NS, NetworkName("net"))
        assert await replica.networks.ready(_NS, NetworkName("net")) is alone
        cluster.add_network("other", cidr="10.0.1.0/24", host_device="ens4")
        await eventually(lambda: len(replica.cache.all()) == 2)
        joined = await replica.networks.ready(_NS, NetworkName("net"))
    assert (alone.shares_wire, joined.shares_wire) == (False, True)


def test_cooldown_is_that_of_the_spec_in_force() -> None:
    """An edit that is not in force yet does not change the cooldown."""
    # SPEC N5
    cluster = Cluster()
    assert cooldown_of(cluster.add_network(cidr="10.0.0.0/24", cooldown=30)) == 30
    assert cooldown_of(cluster.add_network("odd", valid=False, cooldown=5)) == 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"cidr": "10.0.0.0/24"}, {4}, id="IPv4"),
        pytest.param({"cidr": "10.0.0.0/24", "net6": "2001:db8::/64"}, {4, 6}, id="both"),
        pytest.param({}, set(), id="L2"),
    ],
)
def test_families_of_which_there_may_be_entries(
    options: dict[str, Any], expected: set[int]
) -> None:
    """A network tracks the families that it has a subnet of, and no other."""
    # SPEC G3
    cluster = Cluster()
    assert tracked_families(cluster.add_network(**options)) == expected


async def test_what_binds_nobody_is_not_judged_again() -> None:
    """How full a network is, is written now and then: it does not concern who shares its wire."""
    # DESIGN P6
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", host_device="ens4")
    cluster.add_network("other", cidr="10.0.1.0/24", host_device="ens4")
    async with cluster.running() as (replica,):
        before = await replica.networks.ready(_NS, NetworkName("net"))
        usage = Usage(total=254, used=1, free=253, ranges="10.0.1.1")
        patch = usage_patch(ipv4=usage, ipv6=None)
        await cluster.kube.patch(
            DANMNETS, "other", patch, namespace=NAMESPACE, subresource="status"
        )
        await eventually(lambda: any(net.status.ipv4 is not None for net in replica.cache.all()))
        assert await replica.networks.ready(_NS, NetworkName("net")) is before
        await cluster.kube.delete(DANMNETS, "other", namespace=NAMESPACE)
        await eventually(lambda: len(replica.cache.all()) == 1)
        assert not (await replica.networks.ready(_NS, NetworkName("net"))).shares_wire
