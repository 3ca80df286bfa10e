"""One run: rounds of faults, each with a history of its own that is checked at its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.lab.binaries import Binaries
from tests.lab.chaos.caller import Caller
from tests.lab.chaos.checker import GRACE_S, Violation, check
from tests.lab.chaos.crowd import Crowd, client_of
from tests.lab.chaos.evidence import evidence
from tests.lab.chaos.faults import Faults
from tests.lab.chaos.history import Entry, Fault, Record, Snapshot, write_history
from tests.lab.chaos.holds import holds_of
from tests.lab.chaos.ipam_faults import ipam_faults
from tests.lab.chaos.networks import NETWORKS, pools
from tests.lab.chaos.record_watch import RecordWatch, following
from tests.lab.chaos.recorder import Recorder
from tests.lab.chaos.schedule import IPAM_DECK, round_s, schedule
from tests.lab.chaos.world import World, running_world

REPLICAS: Final = 3
KEEPS_S: Final = 3.0
# A history of so many operations takes some tens of MB of memory.
_ROUND_OPERATIONS: Final = 50_000
# More than a machine can do; between two operations.
_SHORTEST_APART_S: Final = 1 / 1000
_POLL_S: Final = 0.25
# Longer than any message's sender waits: what is still on its way by then is none any more.
_SETTLES_S: Final = 6.0
# The snapshot has to be read within the grace.
_MARGIN_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a round has shown.

    Attributes:
        settled_s: How long after the last fault and call the record named exactly who holds
            something, at worst; the whole grace where it never did.
        evidence: What the history has of the first violation.
        history: The file, where it was kept.
    """

    seed: int
    operations: int
    faults: int
    seconds: float
    settled_s: float
    violations: tuple[Violation, ...]
    evidence: tuple[str, ...]
    history: Path | None


async def run_chaos(
    directory: Path,
    *,
    binaries: Binaries,
    seed: int,
    operations: int,
    tell: Callable[[Result], None],
    keep: bool = False,
    grace_s: float = GRACE_S,
    keeps_s: float = KEEPS_S,
    crowd: int = 1,
    apart: float = 1.0,
) -> bool:
    """Run rounds until there were so many operations; return whether all was right.

    A round with violations is the last one. Its history is kept in the directory.

    Args:
        directory: For data, logs and histories.
        binaries: Where etcd and the API server come from.
        seed: Of the first round; the following ones count on from it.
        operations: Reserves and releases.
        tell: Is told each round's result.
        keep: Keep the histories of good rounds too.
        grace_s: How long after the last fault something may be left.
        keeps_s: How long an owner keeps what it has, at most.
        crowd: How many times as many callers as usual.
        apart: How many times as long as usual it is from fault to fault.

    Raises:
        LabError: The run itself failed.
    """
    async with running_world(directory, binaries=binaries, replicas=REPLICAS) as world:
        for name, options in NETWORKS.items():
            await world.objects.add_network(name, **options)
        async with following(world.backbone.etcd_url) as watch:
            while operations > 0:
                wanted = min(operations, _ROUND_OPERATIONS)
                result = await _round(
                    world,
                    watch,
                    seed,
                    wanted,
                    keep=keep,
                    grace_s=grace_s,
                    keeps_s=keeps_s,
                    times=crowd,
                    apart=apart,
                )
                tell(result)
                if result.violations:
                    return False
                operations -= result.operations
                seed += 1
                await watch.forget()
    return True


async def _round(
    world: World,
    watch: RecordWatch,
    seed: int,
    wanted: int,
    *,
    keep: bool,
    grace_s: float,
    keeps_s: float,
    times: int,
    apart: float,
) -> Result:
    began = time.monotonic()
    recorder = Recorder(wanted=wanted, apart_s=max(round_s(IPAM_DECK) / wanted, _SHORTEST_APART_S))
    for pool in pools():
        recorder.add(pool)
    watch.recorder = recorder
    client = client_of(world, await world.objects.tool_token())
    crowd = Crowd(
        world=world,
        recorder=recorder,
        seed=seed,
        tool=Caller(client=client, recorder=recorder),
        keeps_s=keeps_s,
        times=times,
    )
    faults = Faults(
        backbone=world.backbone,
        replicas=world.replicas,
        recorder=recorder,
        others=ipam_faults(world, crowd),
    )
    path = world.directory / f"history-{seed}.jsonl"
    try:
        async with client, _beside(_look_at_wall_clock(recorder)):
            try:
                await crowd.come()
                plan = schedule(seed, replicas=REPLICAS, apart=apart)
                async with _beside(faults.follow(plan)) as breaking:
                    while not recorder.enough:
                        _raise_first(watch, breaking, crowd, faults)
                        await asyncio.sleep(_POLL_S)
                crowd.close()
                await faults.end()
                _raise_first(watch, None, crowd, faults)
                await crowd.closed()
                living_s = await _settle(recorder, watch, grace_s)
                await crowd.leave()
                empty_s = await _settle(recorder, watch, grace_s)
            finally:
                await crowd.end()
    except BaseException:
        write_history(path, recorder.history)
        raise
    violations = await asyncio.to_thread(check, recorder.history, grace_s=grace_s)
    if keep or violations:
        write_history(path, recorder.history)
    return Result(
        seed=seed,
        operations=recorder.operations,
        faults=sum(isinstance(record, Fault) for record in recorder.history),
        seconds=time.monotonic() - began,
        settled_s=max(living_s, empty_s),
        violations=tuple(violations),
        evidence=tuple(evidence(recorder.history, violations[0])) if violations else (),
        history=path if keep or violations else None,
    )


async def _look_at_wall_clock(recorder: Recorder) -> None:
    while True:
        recorder.look_at_wall_clock()
        await asyncio.sleep(_POLL_S)


async def _settle(recorder: Recorder, watch: RecordWatch, grace_s: float) -> float:
    """Wait until the record names exactly who holds something, or the grace is over; note it.

    Returns:
        After how many seconds it did so, and went on doing so.
    """
    began = recorder.now()
    exact_since: float | None = None
    operations, live = -1, set[tuple[str, str, str]]()
    while True:
        now = recorder.now()
        held = watch.held()
        if operations != recorder.operations:
            operations, live = recorder.operations, _live(recorder.history)
        is_exact = {(e.network, e.address, e.holder) for e in held} == live
        if not is_exact:
            exact_since = None
        elif exact_since is None:
            exact_since = now
        if (is_exact and now > began + _SETTLES_S) or now > began + grace_s - _MARGIN_S:
            recorder.add(Snapshot(at=now, held=tuple(sorted(held, key=_place))))
            return (now if exact_since is None else exact_since) - began
        await asyncio.sleep(_POLL_S)


def _place(entry: Entry) -> tuple[str, str]:
    return entry.network, entry.address


def _live(history: list[Record]) -> set[tuple[str, str, str]]:
    holds, _ = holds_of(history)
    return {hold.entry for hold in holds if hold.until == float("inf")}


def _raise_first(
    watch: RecordWatch,
    breaking: "asyncio.Task[None] | None",
    crowd: Crowd,
    faults: Faults,
) -> None:
    """Raise why a part of the run failed: what is seen then is worth nothing."""
    if breaking is not None and breaking.done():
        breaking.result()
    for error in (watch.failure, crowd.failure(), faults.failure()):
        if error is not None:
            raise error


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Run something for the time of the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
