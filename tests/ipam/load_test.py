"""What callers say went wrong, on a record in memory and by a clock that a test moves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import pytest

from danm_api.errors import DanmError, InvalidRequestError, IpamUnavailableError
from danm_api.ipam_api import (
    AttachmentAnswer,
    ExternalOwnerMessage,
    ReleaseAnswer,
    ReleaseRequest,
    Reservation,
    ReservationList,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_client import IpamClient
from tests.ipam.load import Load, Report

_OPERATIONS = 20
_STALL_S = 12.0


@dataclass(slots=True, kw_only=True)
class FakeClient:
    """An ipam-svc with one network, which fails once.

    Attributes:
        stop: Is set after some operations.
        error: What the third reserve fails with, after it has taken an address; None for nothing.
        stall_s: How far the clock leaps then.
        same: Every owner is given the same address.
    """

    stop: asyncio.Event
    error: DanmError | None = None
    stall_s: float = 0.0
    same: bool = False
    now: float = 100.0
    calls: int = 0
    last: int = 0
    reserves: int = 0
    record: dict[str, Reservation] = field(default_factory=dict)

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def _count(self) -> None:
        self.calls += 1
        if self.calls >= _OPERATIONS:
            self.stop.set()

    async def reserve(
        self,
        request: ReserveRequest,
        *,
        deadline: float,
        next_attempt: Callable[[int], Awaitable[int]],
    ) -> ReserveAnswer:
        """Give the next address, or the owner's."""
        del deadline, next_attempt
        self._count()
        self.reserves += 1
        assert isinstance(request.owner, ExternalOwnerMessage)
        owner = request.owner
        held = [each.address for each in self.record.values() if each.owner == owner]
        if not held and not self.same:
            self.last += 1
        address = held[0] if held else f"10.0.0.{self.last}"
        self.record[address] = Reservation(
            network="net",
            network_uid="uid",
            address=address,
            owner=owner,
            interface="",
            node="",
            attempt=request.attempt,
            since=datetime(2026, 1, 1, tzinfo=UTC),
            mac="",
        )
        if self.reserves == 3 and self.error is not None:
            self.now += self.stall_s
            raise self.error
        attachment = AttachmentAnswer(
            network="net", network_uid="uid", interface="", mac="", ip=f"{address}/24"
        )
        return ReserveAnswer(attempt=request.attempt, attachments=[attachment])

    async def release(self, request: ReleaseRequest, *, deadline: float) -> ReleaseAnswer:
        """Forget what an owner has under exactly this attempt."""
        del deadline
        self._count()
        released = [
            each
            for each in self.record.values()
            if (each.owner, each.attempt) == (request.owner, request.attempt)
        ]
        for each in released:
            del self.record[each.address]
        return ReleaseAnswer(released=released)

    async def network_reservations(
        self, namespace: str, network: str, *, deadline: float
    ) -> ReservationList:
        """Return the record."""
        del namespace, network, deadline
        return ReservationList(items=list(self.record.values()))


async def _loaded(client: FakeClient) -> Report:
    load = Load(
        cast(IpamClient, client), namespace="ns", network="net", callers=1, clock=client.clock
    )
    return await load.run(client.stop)


async def test_what_is_well_is_told_so() -> None:
    """Nothing is set aside, and nothing is left."""
    client = FakeClient(stop=asyncio.Event())
    report = await _loaded(client)
    assert report.faults == report.set_aside == []
    assert report.operations >= _OPERATIONS
    assert client.record == {}


@pytest.mark.parametrize(
    ("error", "stall_s", "counts"),
    [
        pytest.param(IpamUnavailableError("no answer"), 0.0, True, id="late by itself"),
        pytest.param(IpamUnavailableError("no answer"), _STALL_S, False, id="in a stall"),
        pytest.param(InvalidRequestError("no such"), _STALL_S, True, id="refused in a stall"),
    ],
)
async def test_what_fails_while_the_machine_stands_still_is_set_aside(
    error: DanmError, stall_s: float, counts: bool
) -> None:
    """With what it has left in the record, which is given back; nothing else is."""
    client = FakeClient(stop=asyncio.Event(), error=error, stall_s=stall_s)
    report = await _loaded(client)
    told = report.faults if counts else report.set_aside
    assert [each.partition(":")[0] for each in told] == [
        "reserve for caller-0-3",
        "10.0.0.3 of caller-0-3",
    ]
    assert (report.set_aside if counts else report.faults) == []
    assert report.stalls.startswith("0 stalls" if not stall_s else "1 stalls")
    assert client.record == {}


async def test_a_double_is_never_set_aside() -> None:
    """However long the machine stood still."""
    client = FakeClient(
        stop=asyncio.Event(), error=IpamUnavailableError("no answer"), stall_s=_STALL_S, same=True
    )
    report = await _loaded(client)
    assert report.doubled
    assert report.faults[: len(report.doubled)] == report.doubled
