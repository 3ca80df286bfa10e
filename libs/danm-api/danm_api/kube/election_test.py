"""Elections: never two leaders, and never none for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from danm_api.codec.lease import decode_lease
from danm_api.errors import ApiUnavailableError, ConflictError
from danm_api.kube.api import LEASES
from danm_api.kube.election import LeaderElection
from danm_api.testing.clock import FakeClock
from danm_api.testing.fake_kube import FakeKube
from danm_api.testing.samples import sample


async def advance(clock: FakeClock, seconds: float) -> None:
    """Move the clock in small steps, letting everything run after each."""
    for _ in range(round(seconds / STEP_S)):
        clock.advance(STEP_S)
        await settle()


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(50):
        await asyncio.sleep(0)


class Candidate:
    """One process that stands for election."""

    def __init__(
        self, fake: FakeKube, clock: FakeClock, name: str, *, retry_period_s: float = 2.0
    ) -> None:
        """Stand as ``name``."""
        self.election = LeaderElection(
            fake,
            namespace="danm-system",
            name="test",
            identity=name,
            clock=clock,
            now=clock.now,
            sleep=clock.sleep,
            retry_period_s=retry_period_s,
        )
        self.working = False
        self.terms = 0
        self.task = asyncio.create_task(self.election.run(self._lead))

    async def _lead(self) -> None:
        self.working = True
        self.terms += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.working = False

    async def stop(self) -> None:
        """Stop in an orderly way."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@asynccontextmanager
async def candidates(
    fake: FakeKube, clock: FakeClock, *names: str
) -> AsyncIterator[list[Candidate]]:
    """Yield candidates, started one after the other."""
    standing = []
    for name in names:
        standing.append(Candidate(fake, clock, name))
        await settle()
    try:
        yield standing
    finally:
        for candidate in standing:
            await candidate.stop()


def holder(fake: FakeKube) -> str:
    """Return who holds the Lease."""
    raw = fake.stored(LEASES, "test", namespace="danm-system")
    assert raw is not None
    return decode_lease(raw).holder


STEP_S = 0.5
DOWN = ApiUnavailableError("no answer", status=0)


async def test_one_of_two_leads() -> None:
    """The first holds the Lease as long as it renews it."""
    fake, clock = FakeKube(), FakeClock()
    async with candidates(fake, clock, "a", "b") as (a, b):
        await advance(clock, 100)
        assert (a.working, b.working) == (True, False)
        assert (a.election.is_leader, b.election.is_leader) == (True, False)
        assert a.terms == 1


async def test_who_waits_shows_it() -> None:
    """A metric that is missing could not be told from a process that is."""
    fake, clock = FakeKube(), FakeClock()
    async with candidates(fake, clock, "a"):
        assert sample("danm_leading", lease="test") == 1
        # Of one process, in tests; it says so before it has asked.
        async with candidates(fake, clock, "b"):
            assert sample("danm_leading", lease="test") == 0


async def test_an_orderly_stop_hands_over_at_once() -> None:
    """A leader that stops releases the Lease: the next need not wait for its end."""
    fake, clock = FakeKube(), FakeClock()
    async with candidates(fake, clock, "a", "b") as (a, b):
        await a.stop()
        assert holder(fake) == ""
        await advance(clock, 2)
        assert b.working


async def test_a_dead_leader_is_followed_after_the_leases_duration() -> None:
    """A leader that dies without a word is replaced, and not before its Lease has run out."""
    fake, clock = FakeKube(), FakeClock()
    fake.add(
        LEASES,
        {
            "metadata": {"name": "test", "namespace": "danm-system"},
            "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15},
        },
    )
    async with candidates(fake, clock, "b") as (b,):
        await advance(clock, 14)
        assert not b.working
        await advance(clock, 4)
        assert b.working


@pytest.mark.parametrize("retry_period_s", [2.0, 4.0, 9.0])
async def test_a_leader_that_cannot_renew_stops_at_its_deadline(retry_period_s: float) -> None:
    """Cut off from the API server, the leader's work ends well before its Lease can be taken."""
    fake, clock = FakeKube(), FakeClock()
    candidate = Candidate(fake, clock, "a", retry_period_s=retry_period_s)
    await settle()
    await advance(clock, retry_period_s)
    last_renewal = clock()
    fake.fail_next("replace", LEASES, DOWN, times=20)
    while candidate.working:
        await advance(clock, 0.5)
    assert clock() - last_renewal == 10
    await candidate.stop()


async def test_a_leader_whose_renewal_hangs_stops_before_another_begins() -> None:
    """An API server that does not answer one of two keeps the other from beginning too early."""
    fake = FakeKube()
    at_work: set[str] = set()
    most = 0
    begun = asyncio.Queue[str]()

    async def stand(name: str) -> None:
        async def lead() -> None:
            nonlocal most
            at_work.add(name)
            most = max(most, len(at_work))
            begun.put_nowait(name)
            try:
                await asyncio.Event().wait()
            finally:
                at_work.discard(name)

        election = LeaderElection(
            fake,
            namespace="danm-system",
            name="test",
            identity=name,
            lease_duration_s=1.5,
            renew_deadline_s=1.0,
            retry_period_s=0.3,
        )
        await election.run(lead)

    async with asyncio.timeout(60):
        tasks = [asyncio.create_task(stand("a"))]
        assert await begun.get() == "a"
        # Its renewal, and its next candidature.
        for _ in range(2):
            fake.hold_next("replace", LEASES)
        tasks.append(asyncio.create_task(stand("b")))
        assert await begun.get() == "b"
        assert most == 1
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_is_leader_looks_at_the_clock() -> None:
    """A process that was frozen knows that it does not lead before anything else runs."""
    fake, clock = FakeKube(), FakeClock()
    async with candidates(fake, clock, "a") as (a,):
        assert a.election.is_leader
        clock.advance(60)
        assert not a.election.is_leader


async def test_a_lost_answer_does_not_end_a_term() -> None:
    """A renewal whose answer was lost is recognised as one's own."""
    fake, clock = FakeKube(), FakeClock()
    async with candidates(fake, clock, "a") as (a,):
        fake.fail_next("replace", LEASES, DOWN, took_effect=True)
        await advance(clock, 60)
        assert a.working
        assert a.terms == 1


async def test_a_usurped_leader_stops() -> None:
    """A leader that finds another's name in the Lease ends its work, and stands again."""
    fake, clock = FakeKube(), FakeClock()
    async with candidates(fake, clock, "a") as (a,):
        await fake.patch(LEASES, "test", {"spec": {"holderIdentity": "z"}}, namespace="danm-system")
        await advance(clock, 3)
        assert (a.working, a.terms) == (False, 1)
        await advance(clock, 20)
        assert (a.working, a.terms) == (True, 2)


async def test_a_leader_can_make_sure_that_it_leads() -> None:
    """It reads the Lease: another's name, or a later term of its own, is no confirmation."""
    fake, clock = FakeKube(), FakeClock()
    async with candidates(fake, clock, "a", "b") as (a, b):
        await advance(clock, 5)
        await a.election.confirm()
        with pytest.raises(ConflictError, match='held by "a" now, not b'):
            await b.election.confirm()
        for usurped in ({"holderIdentity": "z"}, {"holderIdentity": "a", "leaseTransitions": 7}):
            await fake.patch(LEASES, "test", {"spec": usurped}, namespace="danm-system")
            with pytest.raises(ConflictError, match="Lease test is held by"):
                await a.election.confirm()


async def test_the_end_of_the_work_ends_the_term() -> None:
    """When the work returns or raises, the Lease is released and the caller told."""
    fake, clock = FakeKube(), FakeClock()
    election = LeaderElection(fake, namespace="danm-system", name="test", identity="a", clock=clock)

    async def fails() -> None:
        raise RuntimeError

    async def returns() -> None:
        return

    with pytest.raises(RuntimeError):
        await election.run(fails)
    assert holder(fake) == ""
    await election.run(returns)
    assert holder(fake) == ""


def test_unsafe_durations_are_refused() -> None:
    """A renewal deadline beyond the Lease's duration would allow two leaders."""
    with pytest.raises(ValueError, match="must hold"):
        LeaderElection(FakeKube(), namespace="n", name="l", identity="a", renew_deadline_s=20)
