"""A cluster in memory with any number of replicas of ipam-svc."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.ip_block import decode_ip_block
from danm_api.ipam_api import (
    AttachmentAnswer,
    AttachmentRequest,
    OwnerMessage,
    PodOwnerMessage,
    ReleaseAnswer,
    ReleaseRequest,
    ReserveRequest,
)
from danm_api.kube.api import DANMIPBLOCKS, DANMNETS, RawObject
from danm_api.kube.events import EventRecorder
from danm_api.model.danmnet import DanmNet
from danm_api.model.ip_block import Held, IPBlock
from danm_api.record.entries import held_entries
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.hangs import HANGS_S
from ipam_svc.orders import release_order, reserve_order
from ipam_svc.replica import Replica

NAMESPACE = "ns"


class Clock:
    """A wall clock and a monotonic one that tests move."""

    def __init__(self) -> None:
        """Start at a fixed time."""
        self.seconds = 1000.0

    def now(self) -> datetime:
        """Return the wall clock's time."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return the monotonic clock's seconds."""
        return self.seconds

    async def sleep(self, delay_s: float) -> None:
        """Pass the time at once, and let others run."""
        self.seconds += delay_s
        await asyncio.sleep(0)


class Cluster:
    """An API server in memory, DanmNets in it, and replicas beside it."""

    def __init__(self) -> None:
        """Start empty."""
        self.clock = Clock()
        self.kube = FakeKube(now=self.clock.now)
        self._attempt = 0

    def add_network(
        self,
        name: str = "net",
        *,
        namespace: str = NAMESPACE,
        valid: bool = True,
        network_type: str = "ipvlan",
        **options: object,
    ) -> DanmNet:
        """Store a DanmNet as the validator leaves it."""
        spec = {"NetworkID": name, "NetworkType": network_type, "Options": options}
        body: RawObject = {
            "apiVersion": "danm.k8s.io/v1",
            "kind": "DanmNet",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
        if valid:
            body["status"] = {
                "applied": spec,
                "conditions": [
                    {
                        "type": "Valid",
                        "status": "True",
                        "reason": "Accepted",
                        "message": "",
                        "observedGeneration": 1,
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }
                ],
            }
        return decode_danmnet(self.kube.add(DANMNETS, body))

    def network(self, name: str = "net", *, namespace: str = NAMESPACE) -> DanmNet:
        """Return a DanmNet as it is stored."""
        return decode_danmnet(self.raw_network(name, namespace=namespace))

    def raw_network(self, name: str = "net", *, namespace: str = NAMESPACE) -> RawObject:
        """Return the JSON form of a DanmNet as it is stored."""
        raw = self.kube.stored(DANMNETS, name, namespace=namespace)
        assert raw is not None
        return raw

    def events(self) -> EventRecorder:
        """Return what writes Events into this cluster."""
        return EventRecorder(
            self.kube,
            component="ipam-svc",
            instance="test",
            clock=self.clock.monotonic,
            now=self.clock.now,
        )

    def replica(self) -> Replica:
        """Return a replica that does not run yet."""
        return Replica(
            self.kube,
            events=self.events(),
            now=self.clock.now,
            clock=self.clock.monotonic,
            sleep=self.clock.sleep,
            gather_s=0.0,
        )

    @asynccontextmanager
    async def running(self, count: int = 1) -> AsyncIterator[Sequence[Replica]]:
        """Run replicas for the time of the block."""
        replicas = [self.replica() for _ in range(count)]
        tasks = [asyncio.create_task(replica.run()) for replica in replicas]
        for replica in replicas:
            await replica.wait_synced(timeout_s=HANGS_S)
        try:
            yield replicas
        finally:
            for replica in replicas:
                await replica.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    @asynccontextmanager
    async def frozen_watch(self) -> AsyncIterator[Replica]:
        """Give a replica that has read everything once and hears of no change any more."""
        replica = self.replica()
        task = asyncio.create_task(replica.run())
        await replica.wait_synced(timeout_s=HANGS_S)
        task.cancel()
        await asyncio.wait((task,))
        yield replica
        await replica.close()

    def next_attempt(self) -> int:
        """Return a number larger than all before."""
        self._attempt += 1
        return self._attempt

    def blocks(self) -> list[IPBlock]:
        """Return all blocks as they are stored."""
        return [decode_ip_block(raw) for raw in self.kube.all_stored(DANMIPBLOCKS)]

    def held(self) -> list[Held]:
        """Return all entries with owners, as they are stored."""
        return [entry for block in self.blocks() for entry in held_entries(block)]

    def addresses(self) -> list[str]:
        """Return the held addresses, sorted."""
        found = sorted(self.held(), key=lambda entry: int(entry.address))
        return [str(entry.address) for entry in found]

    async def reserve(
        self,
        replica: Replica,
        owner: OwnerMessage,
        *attachments: AttachmentRequest,
        attempt: int | None = None,
        node: str = "n1",
        fresh: bool = False,
        timeout_s: float = 5.0,
    ) -> list[AttachmentAnswer]:
        """Reserve through a replica."""
        request = ReserveRequest(
            owner=owner,
            attempt=self.next_attempt() if attempt is None else attempt,
            attachments=list(attachments),
            node=node,
            fresh=fresh,
            timeout_s=timeout_s,
        )
        return await replica.reservations.reserve(reserve_order(request))

    async def release(
        self,
        replica: Replica,
        owner: OwnerMessage,
        *,
        attempt: int,
        networks: Sequence[str] = ("net",),
        interfaces: Sequence[str] = (),
        node: str = "n1",
        families: Sequence[int] = (),
    ) -> ReleaseAnswer:
        """Release through a replica."""
        request = ReleaseRequest(
            owner=owner,
            attempt=attempt,
            networks=list(networks),
            interfaces=list(interfaces),
            node=node,
            families=list(families),
        )
        return await replica.releases.release(release_order(request))


async def eventually(condition: Callable[[], bool], *, within_s: float = HANGS_S) -> None:
    """Let other tasks run until a condition holds.

    Raises:
        TimeoutError: It did not hold in time.
    """
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0)


def pod(name: str, *, uid: str = "") -> PodOwnerMessage:
    """Return a Pod as an owner."""
    return PodOwnerMessage(namespace=NAMESPACE, name=name, uid=uid or f"uid-{name}")


def attachment(
    network: str = "net", *, interface: str = "eth0", ip: str = "dynamic", ip6: str = "none"
) -> AttachmentRequest:
    """Return what one interface asks."""
    return AttachmentRequest(network=network, interface=interface, ip=ip, ip6=ip6)
