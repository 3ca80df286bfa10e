"""Replicas of ipam-svc after etcd was restored from a backup (DESIGN, "Nodes fence").

danmd claims again what the record has forgotten; so replicas must notice that it has.
"""

import pytest

from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import DANMIPBLOCKS
from danm_api.names import NodeName
from danm_api.record.entries import held_entries
from ipam_svc.replica import Replica
from ipam_svc.testing.cluster import Cluster, attachment, eventually, pod

_NODE = NodeName("n1")


def _of_node(replica: Replica) -> list[str]:
    return [
        str(held.address)
        for block in replica.ledger.node_blocks(_NODE)
        for held in held_entries(block)
    ]


@pytest.mark.parametrize("before", [0, 1])
async def test_what_was_forgotten_is_not_shown_and_can_be_claimed_again(before: int) -> None:
    """After a restore each replica shows what the record says, whoever wrote what is gone."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running(2) as replicas:
        for i in range(before):
            await cluster.reserve(replicas[0], pod(f"early{i}"), attachment())
        backup = cluster.kube.backup()
        early = cluster.addresses()
        for i in range(6):
            await cluster.reserve(replicas[i % 2], pod(f"late{i}"), attachment())
        lost = cluster.held()[-1]
        await eventually(lambda: all(len(_of_node(each)) == before + 6 for each in replicas))
        cluster.kube.restore(backup)
        await eventually(lambda: all(_of_node(each) == early for each in replicas))
        # As danmd does for a live interface.
        static = attachment(ip=f"{lost.address}/24")
        await cluster.reserve(replicas[0], pod("late5"), static, attempt=lost.attempt + 1)
        assert cluster.addresses() == sorted([*early, str(lost.address)])


@pytest.mark.parametrize("failures", [0, 3])
async def test_write_after_a_restore_is_based_on_what_was_read_after_it(failures: int) -> None:
    """A write whose base bears a version that was given anew does not bring back what is lost.

    Also when it takes several tries to read what is there.
    """
    # DESIGN P1
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")

    async def reserve(replica: Replica, last: int) -> None:
        asked = attachment(ip=f"10.0.0.{last}/24")
        await cluster.reserve(replica, pod(f"p{last}"), asked, fresh=True)

    async with cluster.frozen_watch() as behind:
        # Two blocks.
        await reserve(behind, 1)
        await reserve(behind, 65)
        backup = cluster.kube.backup()
        await reserve(behind, 2)
        await reserve(behind, 66)
        known = cluster.blocks()[0]
        cluster.kube.restore(backup)
        async with cluster.frozen_watch() as other:
            await reserve(other, 3)
        # The coincidence that matters: the same version, other entries.
        assert cluster.blocks()[0].resource_version == known.resource_version
        # Here it meets an older version than it knows.
        await reserve(behind, 67)
        away = ApiUnavailableError("silent", status=0)
        if failures:
            cluster.kube.fail_next("get", DANMIPBLOCKS, away, times=failures)
        await reserve(behind, 4)
    assert [address.rsplit(".")[-1] for address in cluster.addresses()] == "1 3 4 65 67".split()


async def test_replica_that_meets_an_older_version_doubts_what_it_knows() -> None:
    """Before the watch tells of the restore, a read that meets an older version does."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.frozen_watch() as replica:
        await cluster.reserve(replica, pod("early"), attachment())
        backup = cluster.kube.backup()
        await cluster.reserve(replica, pod("lost"), attachment())
        cluster.kube.restore(backup)
        await cluster.reserve(replica, pod("next"), attachment(ip="10.0.0.9/24"), fresh=True)
        assert _of_node(replica) == cluster.addresses() == ["10.0.0.1", "10.0.0.9"]


async def test_replica_that_lists_an_older_version_forgets_what_is_missing() -> None:
    """A consistent list of an earlier version than is known shows which blocks never were."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.frozen_watch() as replica:
        backup = cluster.kube.backup()
        for last in (9, 70):
            asked = attachment(ip=f"10.0.0.{last}/24")
            await cluster.reserve(replica, pod(f"lost{last}"), asked)
        cluster.kube.restore(backup)
        await cluster.reserve(replica, pod("next"), attachment())
        assert _of_node(replica) == cluster.addresses()
