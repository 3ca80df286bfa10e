"""Callers that reserve and release without pause, and notice what must not happen.

Each reserves for owners of its own, holds a few addresses for a while, asks again for some, and
gives them back. Between the answer to a reserve and the sending of the release an address is its
owner's alone: whoever else is told that it is his has found a double.

What failed for want of time while this process stood still is set aside: the machine was late then,
not ipam-svc. Doubles and losses are never set aside.

As a program (``python -m tests.ipam.load``) it finds the replicas as danmd does, by their
EndpointSlices, works until its standard input closes, and prints its report.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import msgspec

from danm_api.errors import DanmError
from danm_api.ipam_api import (
    AttachmentRequest,
    ExternalOwnerMessage,
    ReleaseRequest,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_client import IpamClient
from danm_api.ipam_discovery import IpamDiscovery
from danm_api.kube.client import KubeClient
from danm_api.names import SYSTEM_NAMESPACE
from tests.ipam.stalls import Stalls

# An ADD has 10 s (SPEC C3).
_DEADLINE_S: Final = 10.0
# What a test asks before and after has no such promise.
_PATIENT_S: Final = 60.0
_HELD_PER_CALLER: Final = 4
# One of so many reserves is repeated.
_REPEAT_EVERY: Final = 3
# Of the program: a lab's nodes are slow, and have more to do than this.
_CALLERS: Final = 4
_PAUSE_S: Final = 0.1


class Report(msgspec.Struct, kw_only=True):
    """What callers saw.

    Attributes:
        operations: Reserves and releases that were answered.
        failed: Those that were not, with the reason.
        doubled: Addresses that two owners were told to have.
        lost: Addresses that an owner had and was not told of again, or that the record lacks.
        leaked: Addresses that the record gives to an owner who had released his.
        set_aside: What failed while the machine stood still, and what that has left.
        stalls: When it did, in words.
        longest_s: The longest operation.
    """

    operations: int = 0
    failed: list[str] = msgspec.field(default_factory=list)
    doubled: list[str] = msgspec.field(default_factory=list)
    lost: list[str] = msgspec.field(default_factory=list)
    leaked: list[str] = msgspec.field(default_factory=list)
    set_aside: list[str] = msgspec.field(default_factory=list)
    stalls: str = ""
    longest_s: float = 0.0

    @property
    def faults(self) -> list[str]:
        """All that must not happen."""
        return [*self.failed, *self.doubled, *self.lost, *self.leaked]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """An operation that failed.

    Attributes:
        began: By the load's clock, as ``ended``.
        transient: It may have been for want of time.
    """

    owner: str
    what: str
    began: float
    ended: float
    transient: bool


class Load:
    """Callers on one network.

    Attributes:
        report: Up to now.
    """

    def __init__(
        self,
        client: IpamClient,
        *,
        namespace: str,
        network: str,
        callers: int,
        pause_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask through a client; each caller pauses after each of its rounds."""
        self._client = client
        self._clock = clock
        self._stalls = Stalls(clock)
        self._failures: list[_Failure] = []
        self._namespace = namespace
        self._network = network
        self._callers = callers
        self._pause_s = pause_s
        self._attempt = 0
        self._holders: dict[str, str] = {}
        self.report = Report()

    async def run(self, stop: asyncio.Event) -> Report:
        """Work until ``stop`` is set, compare with the record, and give everything back."""
        with self._stalls.watched():
            leaked = await self._call_all(stop)
        self.report.stalls = str(self._stalls)
        late = set()
        for each in self._failures:
            if each.transient and self._stalls.overlap(each.began, each.ended):
                late.add(each.owner)
                self.report.set_aside.append(each.what)
            else:
                self.report.failed.append(each.what)
        for address, owner in leaked.items():
            # Whether it took effect nobody was told.
            told = self.report.set_aside if owner in late else self.report.leaked
            told.append(f"{address} of {owner}")
        return self.report

    async def _call_all(self, stop: asyncio.Event) -> dict[str, str]:
        """Have all callers work; return who is recorded to have what nobody was told of."""
        await asyncio.gather(*(self._call(number, stop) for number in range(self._callers)))
        listed = await self._client.network_reservations(
            self._namespace, self._network, deadline=self._clock() + _PATIENT_S
        )
        recorded = {
            each.address: (each.owner.name, each.attempt)
            for each in listed.items
            if isinstance(each.owner, ExternalOwnerMessage)
        }
        for address, owner in self._holders.items():
            found, _ = recorded.get(address, (None, 0))
            if found != owner:
                self.report.lost.append(f"{address} of {owner}: {found}'s")
        leaked = {
            address: owner
            for address, (owner, _) in recorded.items()
            if address not in self._holders
        }
        for address, (owner, attempt) in recorded.items():
            await self._release(owner, address, attempt)
        return leaked

    async def _call(self, number: int, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; what is held then stays."""
        held: deque[tuple[str, ReserveAnswer]] = deque()
        count = 0
        while not stop.is_set():
            count += 1
            owner = f"caller-{number}-{count}"
            answer = await self._reserve(owner, fresh=True)
            if answer is not None and count % _REPEAT_EVERY == 0:
                before = _address(answer)
                answer = await self._reserve(owner, fresh=False) or answer
                if _address(answer) != before:
                    self.report.lost.append(f"{before} of {owner} became {_address(answer)}")
            if answer is not None:
                held.append((owner, answer))
            if len(held) > _HELD_PER_CALLER:
                oldest, answer = held.popleft()
                await self._release(oldest, _address(answer), answer.attempt)
            await asyncio.sleep(self._pause_s)

    async def _reserve(self, owner: str, *, fresh: bool) -> ReserveAnswer | None:
        request = ReserveRequest(
            owner=ExternalOwnerMessage(namespace=self._namespace, name=owner),
            attempt=await self._next_attempt(0),
            attachments=[AttachmentRequest(network=self._network, interface="", ip="dynamic")],
            fresh=fresh,
        )
        began = self._clock()
        try:
            answer = await self._client.reserve(
                request, deadline=began + _DEADLINE_S, next_attempt=self._next_attempt
            )
        except DanmError as error:
            self._failed(owner, f"reserve for {owner}", began, error)
            return None
        self._answered(began)
        holder = self._holders.setdefault(_address(answer), owner)
        if holder != owner:
            self.report.doubled.append(f"{_address(answer)}: {holder} and {owner}")
        return answer

    async def _release(self, owner: str, address: str, attempt: int) -> None:
        request = ReleaseRequest(
            owner=ExternalOwnerMessage(namespace=self._namespace, name=owner),
            attempt=attempt,
            networks=[self._network],
        )
        self._holders.pop(address, None)
        began = self._clock()
        try:
            await self._client.release(request, deadline=began + _DEADLINE_S)
        except DanmError as error:
            self._failed(owner, f"release of {owner}", began, error)
            return
        self._answered(began)

    async def _next_attempt(self, above: int) -> int:
        """Grow as external callers' attempts do by default: with the clock."""
        self._attempt = max(self._attempt, above, time.time_ns() // 1_000_000) + 1
        return self._attempt

    def _answered(self, began: float) -> None:
        self.report.operations += 1
        self.report.longest_s = max(self.report.longest_s, self._clock() - began)

    def _failed(self, owner: str, what: str, began: float, error: DanmError) -> None:
        failure = _Failure(
            owner=owner,
            what=f"{what}: {error.reason}",
            began=began,
            ended=self._clock(),
            transient=error.transient,
        )
        self._failures.append(failure)


def _address(answer: ReserveAnswer) -> str:
    (attachment,) = answer.attachments
    return str(attachment.ip).partition("/")[0]


async def _work(kubeconfig: Path, token_file: Path, namespace: str, network: str) -> Report:
    stop = asyncio.Event()
    async with await KubeClient.connect(kubeconfig) as api:
        discovery = IpamDiscovery(api, system_namespace=SYSTEM_NAMESPACE, token_file=token_file)
        watches = [
            asyncio.create_task(informer.run())
            for informer in (discovery.slices, discovery.trust_maps)
        ]
        await discovery.slices.wait_synced(_PATIENT_S)
        await discovery.trust_maps.wait_synced(_PATIENT_S)
        async with IpamClient(discovery.endpoints, discovery.trust, discovery.token) as client:
            load = Load(
                client, namespace=namespace, network=network, callers=_CALLERS, pause_s=_PAUSE_S
            )
            work = asyncio.create_task(load.run(stop))
            await asyncio.to_thread(sys.stdin.read)
            stop.set()
            report = await work
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
    return report


@click.command()
@click.option("--kubeconfig", type=click.Path(path_type=Path), required=True)
@click.option("--token-file", type=click.Path(path_type=Path), required=True)
@click.option("--namespace", required=True)
@click.option("--network", required=True)
def main(*, kubeconfig: Path, token_file: Path, namespace: str, network: str) -> None:
    """Reserve and release until standard input closes, then print a report as JSON."""
    report = asyncio.run(_work(kubeconfig, token_file, namespace, network))
    click.echo(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
