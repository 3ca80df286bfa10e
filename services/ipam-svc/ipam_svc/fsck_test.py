"""The command that examines the record: two looks, repair, what it prints and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from danm_api.codec.danmep import encode_danmep
from danm_api.errors import ApiUnavailableError
from danm_api.ipam_api import ExternalOwnerMessage
from danm_api.kube.api import (
    DANMEPS,
    DANMIPBLOCKS,
    DANMNETS,
    EVENTS,
    NODES,
    PODS,
    RawObject,
)
from danm_api.model.ipam_report import FindingKind, IpamReport, Outcome
from danm_api.record.entries import CLOCK_SKEW
from danm_api.testing.builders import a_danmep
from ipam_svc.__main__ import main
from ipam_svc.fsck import COULD_NOT_LOOK, Fsck, as_table
from ipam_svc.testing.cluster import NAMESPACE, Cluster, attachment, pod


async def _examine(
    cluster: Cluster,
    *,
    repair: bool = False,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> IpamReport:
    async def sleep(delay_s: float) -> None:
        cluster.clock.seconds += delay_s
        if meanwhile is not None:
            await meanwhile()

    run = Fsck(api=cluster.kube, now=cluster.clock.now, clock=cluster.clock.monotonic, sleep=sleep)
    return await run.run(between_looks_s=15, repair=repair)


def _outcomes(report: IpamReport) -> list[tuple[FindingKind, str, Outcome]]:
    return [(each.kind, each.address, each.outcome) for each in report.findings]


def _add_node(cluster: Cluster, name: str) -> None:
    cluster.kube.add(NODES, {"metadata": {"name": name}})


async def test_what_is_in_flight_is_no_finding() -> None:
    """An address that is given back between the looks, as danmd does, is not reported."""
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    _add_node(cluster, "n1")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)

        async def give_back() -> None:
            await cluster.release(replica, pod("a"), attempt=1)

        report = await _examine(cluster, meanwhile=give_back)
    assert report.findings == ()
    assert report.ended - report.began == timedelta(seconds=15)
    assert "All fits together." in as_table(report)


async def test_repair_frees_what_is_dead_and_nothing_else() -> None:
    """Entries and DanmEps of lost nodes, expired owners and empty blocks go; others stay."""
    # DESIGN P3, "Nodes fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24", cooldown=60)
    cluster.add_network("gone", cidr="10.0.9.0/24")
    _add_node(cluster, "n1")
    expires = cluster.clock.now() + timedelta(seconds=5)
    external = ExternalOwnerMessage(namespace=NAMESPACE, name="x", expires=expires)
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("there"), attachment())
        await cluster.reserve(replica, pod("lost"), attachment(), node="n9")
        await cluster.reserve(replica, external, attachment(interface=""), node="")
        await cluster.reserve(replica, pod("p"), attachment("gone"), attempt=1, node="n9")
        await cluster.release(replica, pod("p"), attempt=1, networks=["gone"], node="n9")
    # By force: the finalizer is there.
    unprotected: RawObject = {"metadata": {"finalizers": []}}
    await cluster.kube.patch(DANMNETS, "gone", unprotected, namespace=NAMESPACE)
    await cluster.kube.delete(DANMNETS, "gone", namespace=NAMESPACE)
    endpoint = a_danmep("old", node="n9", address=None)
    await cluster.kube.create(DANMEPS, encode_danmep(endpoint), namespace=endpoint.namespace)
    cluster.clock.seconds += 5 + CLOCK_SKEW.total_seconds()
    told = await _examine(cluster)
    assert len(told.findings) == 5
    assert "5 findings; --repair ends 4 of them now." in as_table(told)
    assert len(cluster.held()) == 3
    done = await _examine(cluster, repair=True)
    assert _outcomes(done) == [
        (FindingKind.ADDRESS_WITHOUT_POD, "10.0.0.1", Outcome.LEFT),
        (FindingKind.ADDRESS_WITHOUT_POD, "10.0.0.2", Outcome.REPAIRED),
        (FindingKind.OWNER_EXPIRED, "10.0.0.3", Outcome.REPAIRED),
        (FindingKind.ENDPOINT_WITHOUT_POD, "", Outcome.REPAIRED),
        (FindingKind.BLOCK_WITHOUT_NETWORK, "", Outcome.REPAIRED),
    ]
    assert cluster.addresses() == ["10.0.0.1"]
    assert cluster.kube.all_stored(DANMEPS) == []
    assert [block.network for block in cluster.blocks()] == ["net"]
    left = await _examine(cluster, repair=True)
    assert _outcomes(left) == [(FindingKind.ADDRESS_WITHOUT_POD, "10.0.0.1", Outcome.LEFT)]
    async with cluster.running() as (replica,):
        # The freed addresses cool down as after any release (SPEC A7).
        (answer,) = await cluster.reserve(replica, pod("next"), attachment())
        assert answer.ip == "10.0.0.4/24"


async def test_what_a_repair_frees_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Each address and DanmEp that a repair ends comes with an Event on its DanmNet and a log line.

    A look without repair tells nobody.
    """
    # DESIGN P7
    cluster = Cluster()
    net = cluster.add_network(cidr="10.0.0.0/24")
    _add_node(cluster, "n1")
    expires = cluster.clock.now() + timedelta(seconds=5)
    async with cluster.running() as (replica,):
        for name in ("a", "b"):
            await cluster.reserve(replica, pod(name), attachment(), node="n9")
        external = ExternalOwnerMessage(namespace=NAMESPACE, name="x", expires=expires)
        await cluster.reserve(replica, external, attachment(interface=""), node="")
        async with cluster.frozen_watch() as behind:
            await cluster.reserve(replica, pod("p"), attachment(ip="10.0.0.7/24"))
            other = attachment(ip="10.0.0.70/24")
            await cluster.reserve(behind, pod("p"), other, fresh=True)
    endpoint = a_danmep("old", namespace=NAMESPACE, network="net", pod="a", node="n9", address=None)
    await cluster.kube.create(DANMEPS, encode_danmep(endpoint), namespace=endpoint.namespace)
    cluster.clock.seconds += 5 + CLOCK_SKEW.total_seconds()
    with caplog.at_level("INFO"):
        await _examine(cluster)
        assert cluster.kube.all_stored(EVENTS) == []
        await _examine(cluster, repair=True)
    assert cluster.addresses() == ["10.0.0.70"]
    events = cluster.kube.all_stored(EVENTS)
    assert {each["regarding"]["uid"] for each in events} == {net.uid}
    assert {each["reportingInstance"] for each in events} == {"fsck"}
    assert sorted((each["reason"], each["note"].partition(" of ")[0]) for each in events) == [
        ("DeletedDanmEpOfLostNode", "deleted DanmEp old"),
        ("FreedAddressOfLostNode", "freed 2 addresses"),
        ("FreedDeadAddress", "freed 10.0.0.7"),
        ("FreedExpiredAddress", "freed 10.0.0.3"),
    ]
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("Freed an address") == 4
    assert messages.count("Deleted DanmEp of a lost node") == 1


@pytest.mark.parametrize("change", ["node is back", "taken anew", "silent"])
async def test_repair_judges_anew(change: str) -> None:
    """What changed since the second look is judged as it is then: nothing live is freed."""
    # DESIGN P3, "Attempts fence"
    cluster = Cluster()
    cluster.add_network(cidr="10.0.0.0/24")
    async with cluster.running() as (replica,):
        await cluster.reserve(replica, pod("a"), attachment(), attempt=1)
        gate = cluster.kube.hold_next("get", NODES)

        async def change_it() -> None:
            await gate.reached.wait()
            if change == "node is back":
                _add_node(cluster, "n1")
            elif change == "taken anew":
                await cluster.reserve(replica, pod("a"), attachment(), attempt=2)
            else:
                lost = ApiUnavailableError("silent", status=0)
                cluster.kube.fail_next("replace", DANMIPBLOCKS, lost, times=99)
            gate.open()

        async with asyncio.TaskGroup() as group:
            group.create_task(change_it())
            report = await _examine(cluster, repair=True)
        assert _outcomes(report) == [
            (FindingKind.ADDRESS_WITHOUT_POD, "10.0.0.1", Outcome.NOT_REPAIRED)
        ]
        assert cluster.addresses() == ["10.0.0.1"]
        assert cluster.kube.all_stored(EVENTS) == []


async def test_an_odd_block_is_told_and_hides_nothing() -> None:
    """A block that cannot be read is a finding, and the rest is examined."""
    cluster = Cluster()
    _add_node(cluster, "n1")
    cluster.kube.add(
        DANMIPBLOCKS, {"metadata": {"name": "odd", "namespace": "ns"}, "spec": {"cidr": "x"}}
    )
    endpoint = a_danmep("old", node="n1")
    await cluster.kube.create(DANMEPS, encode_danmep(endpoint), namespace=endpoint.namespace)
    report = await _examine(cluster)
    assert [each.kind for each in report.findings] == [
        FindingKind.UNREADABLE,
        FindingKind.ENDPOINT_WITHOUT_POD,
    ]
    assert report.findings[0].subject == "DanmIPBlock ns/odd"


async def test_an_examination_that_cannot_look_says_so() -> None:
    """An API server that does not answer is an error, never a clean report."""
    cluster = Cluster()
    cluster.kube.fail_next("list", PODS, ApiUnavailableError("away", status=0))
    with pytest.raises(ApiUnavailableError):
        await _examine(cluster)


def test_no_cluster_ends_with_status_2(tmp_path: Path) -> None:
    """Without a cluster the command says what is wrong, and 2 is its status."""
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(
        '{"apiVersion": "v1", "kind": "Config", "current-context": "c",'
        ' "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],'
        ' "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],'
        ' "users": [{"name": "u", "user": {}}]}'
    )
    result = CliRunner().invoke(main, ["fsck", "--kubeconfig", str(nowhere)])
    assert result.exit_code == COULD_NOT_LOOK
    assert "Could not look:" in result.output
