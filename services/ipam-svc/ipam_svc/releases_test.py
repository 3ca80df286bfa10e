"""Releases: exactly one attempt, exactly one node."""

from ipam_svc.testing.cluster import Cluster, attachment, pod


async def test_release_acts_on_exactly_its_attempt() -> None:
    """A late release of an older attempt does not free what a later one holds."""
    # DESIGN, "Attempts fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running(2) as (one, two):
        await cluster.reserve(one, pod("p"), attachment(), attempt=5)
        await cluster.reserve(two, pod("p"), attachment(), attempt=6)
        late = await cluster.release(one, pod("p"), attempt=5)
        assert late.released == []
        assert [6] == [kept.attempt for kept in late.kept]
        assert ["10.0.0.1"] == cluster.addresses()
        done = await cluster.release(one, pod("p"), attempt=6)
        assert ["10.0.0.1"] == [gone.address for gone in done.released]
        assert cluster.addresses() == []
        again = await cluster.release(two, pod("p"), attempt=6)
        assert (again.released, again.kept) == ([], [])


async def test_release_of_another_node_is_refused() -> None:
    """Only the node that has an interface may free its address."""
    # DESIGN, "Nodes fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("p"), attachment(), attempt=5, node="n1")
        answer = await cluster.release(replica, pod("p"), attempt=5, node="n2")
        assert (len(answer.released), len(answer.kept)) == (0, 1)
        assert ["10.0.0.1"] == cluster.addresses()


async def test_release_by_a_replica_that_is_behind_spares_a_later_attempt() -> None:
    """A replica that did not hear of the takeover frees nothing by the older attempt."""
    # DESIGN, "Attempts fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (other,):
        await cluster.reserve(other, pod("p"), attachment(), attempt=5)
        async with cluster.frozen_watch() as behind:
            await cluster.reserve(other, pod("p"), attachment(), attempt=6)
            answer = await cluster.release(behind, pod("p"), attempt=5)
            assert (answer.released, [each.attempt for each in answer.kept]) == ([], [6])
            assert cluster.addresses() == ["10.0.0.1"]
