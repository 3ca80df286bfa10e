"""A run: rounds of changes and faults, and after each the world compared with the model's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from danm_api.kube.api import RawObject, Resource
from tests.lab.binaries import Binaries
from tests.lab.chaos.controllers.chronicle import Chronicle
from tests.lab.chaos.controllers.doer import Doer
from tests.lab.chaos.controllers.facts import Difference
from tests.lab.chaos.controllers.leader_faults import LeaderFaults
from tests.lab.chaos.controllers.subject import Subject
from tests.lab.chaos.controllers.view import View, read_objects
from tests.lab.chaos.controllers.world import ControllerWorld, running_controller
from tests.lab.chaos.faults import Faults
from tests.lab.chaos.schedule import Card, Kind, round_s, schedule

CHANGES: Final = 1000
GRACE_S: Final = 30.0
"""DESIGN P2: within it of the last fault and change, all must be right."""

# Whoever writes without need does it again within that time, since nothing holds it back.
_CALM_S: Final = 3.0
_POLL_S: Final = 0.5
# Of changes, where nothing is broken.
_APART_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a round has shown.

    Attributes:
        controller: What was tried.
        settled_s: How long after the last fault and change all was right; the whole grace where it
            never was.
        kept: Where history and worlds are, when something differs.
    """

    controller: str
    seed: int
    changes: int
    faults: int
    seconds: float
    settled_s: float
    differences: tuple[Difference, ...]
    kept: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerChaos:
    """How a controller is tried.

    Attributes:
        directory: For data, logs and what is kept.
        only: The kinds of faults that a round has; None for all that the controller can have.
        changes: In a round; tries count.
        grace_s: How long after the last fault and change something may differ.
    """

    directory: Path
    binaries: Binaries
    only: Collection[Kind] | None = None
    changes: int = CHANGES
    grace_s: float = GRACE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    chaos: ControllerChaos
    subject: Subject
    world: ControllerWorld
    foreign: Sequence[tuple[Resource, RawObject]]

    @property
    def deck(self) -> list[Card]:
        only = self.chaos.only
        return [card for card in self.subject.deck if only is None or card.kind in only]

    async def view(self) -> View:
        api = self.world.backbone.objects.api
        return View(
            objects=await read_objects(api, self.subject.kinds), machine=await self.subject.look()
        )


async def run_controller(
    chaos: ControllerChaos,
    subject: Subject,
    *,
    seed: int,
    rounds: int,
    tell: Callable[[Result], None],
) -> bool:
    """Run rounds on one cluster; return whether all was right. One that differs is the last.

    Raises:
        LabError: The run itself failed, or a replica ended by itself.
    """
    chaos.directory.mkdir(parents=True, exist_ok=True)
    with subject.place():
        async with running_controller(
            chaos.directory, subject.controller, binaries=chaos.binaries
        ) as world:
            return await _run(chaos, subject, world, seed=seed, rounds=rounds, tell=tell)


async def _run(
    chaos: ControllerChaos,
    subject: Subject,
    world: ControllerWorld,
    *,
    seed: int,
    rounds: int,
    tell: Callable[[Result], None],
) -> bool:
    objects = world.backbone.objects
    for namespace in subject.namespaces:
        await objects.add_namespace(namespace)
    subject.begin(seed)
    doer = Doer(api=objects.api, chronicle=Chronicle())
    foreign = list(subject.foreign())
    for action in (*foreign, *subject.beginning()):
        await doer.do(action)
    run = _Run(
        chaos=chaos,
        subject=subject,
        world=world,
        foreign=[(each.resource, await doer.get(each)) for each in foreign],
    )
    for number in range(seed, seed + rounds):
        result = await _round(run, number)
        tell(result)
        if result.differences:
            return False
    return True


async def _round(run: _Run, seed: int) -> Result:
    began = time.monotonic()
    chronicle = Chronicle()
    run.subject.begin(seed)
    await _break_and_change(run, chronicle, seed)
    found, view, settled_s = await _settle(run)
    if not found:
        found, view = await _play_epilogue(run, chronicle, view)
    kept = None
    if found:
        kept = run.chaos.directory / f"round-{seed}"
        kept.mkdir(exist_ok=True)
        chronicle.write(kept / "history.jsonl")
        (kept / "world.json").write_bytes(view.json())
        (kept / "differences.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)))
    return Result(
        controller=run.subject.controller.name,
        seed=seed,
        changes=chronicle.changes,
        faults=chronicle.faults,
        seconds=time.monotonic() - began,
        settled_s=settled_s,
        differences=tuple(found),
        kept=kept,
    )


async def _break_and_change(run: _Run, chronicle: Chronicle, seed: int) -> None:
    """Break everything of the deck and change objects meanwhile; all is whole afterwards."""
    chaos, world = run.chaos, run.world
    leader = LeaderFaults(
        backbone=world.backbone, replicas=world.replicas, lease=world.controller.lease
    )
    faults = Faults(
        backbone=world.backbone,
        replicas=world.replicas,
        recorder=chronicle,
        others=leader.broken,
    )
    apart_s = max(_APART_S, round_s(run.deck) / chaos.changes)
    actions = run.subject.actions()
    doer = Doer(api=world.backbone.objects.api, chronicle=chronicle)
    plan = schedule(seed, replicas=len(world.replicas), deck=run.deck) if run.deck else iter(())
    async with _beside(faults.follow(plan)) as breaking:
        while chronicle.changes < chaos.changes or chronicle.faults < len(run.deck):
            if breaking.done():
                breaking.result()
            failure = faults.failure()
            if failure is not None:
                raise failure
            turn = time.monotonic() + apart_s
            await doer.do(next(actions))
            await asyncio.sleep(max(0.0, turn - time.monotonic()))
    await faults.end()
    await world.wait_replicas()
    for action in run.subject.ending():
        await doer.do(action)


async def _play_epilogue(
    run: _Run, chronicle: Chronicle, view: View
) -> tuple[list[Difference], View]:
    """Do step by step what has one outcome alone where nothing breaks.

    Returns:
        What differs after the first step that was not right, and the world at the end.
    """
    doer = Doer(api=run.world.backbone.objects.api, chronicle=chronicle)
    for actions in run.subject.epilogue():
        for action in actions:
            await doer.do(action)
        found, view, _ = await _settle(run)
        if found:
            return found, view
    return [], view


async def _settle(run: _Run) -> tuple[list[Difference], View, float]:
    """Wait until the world is the model's and nobody writes any more.

    Returns:
        What differs at the end of the grace, the world, and after how many seconds it was right.
    """
    began = time.monotonic()
    before: list[Sequence[RawObject]] = []
    restless: list[Difference] = []
    calm_since, right_s = began, 0.0
    while True:
        view = await run.view()
        found = [*run.subject.differences(view), *_touched(run.foreign, view)]
        written = [view.objects[kind] for kind in run.subject.written]
        now = time.monotonic()
        if found or written != before:
            restless = _unrest(run, view, before)
            before, calm_since, right_s = written, now, now - began
        if not found and now - calm_since > _CALM_S:
            return [], view, right_s
        waited_s = now - began
        is_late = waited_s > run.chaos.grace_s + _CALM_S
        if is_late and not all(map(run.subject.slow, found)):
            return found, view, waited_s
        if waited_s > run.chaos.grace_s + _CALM_S + run.subject.patience_s:
            return found or restless, view, waited_s
        await asyncio.sleep(_POLL_S)


def _unrest(run: _Run, view: View, before: Sequence[Sequence[RawObject]]) -> list[Difference]:
    """Return what is written again and again although all is as it should be."""
    return [
        Difference(kind="wrong", where=_where(raw), what=f"{kind.kind} is written without need")
        for kind, earlier in zip(run.subject.written, before, strict=False)
        for raw in view.objects[kind]
        if raw not in earlier
    ]


def _touched(foreign: Sequence[tuple[Resource, RawObject]], view: View) -> list[Difference]:
    """Compare what others made with what it was, byte for byte."""
    return [
        Difference(kind="wrong", where=_where(raw), what="somebody else's object was touched")
        for kind, raw in foreign
        # Lists do not say of each object of which kind it is.
        if {k: v for k, v in raw.items() if k not in {"kind", "apiVersion"}}
        not in [
            {k: v for k, v in each.items() if k not in {"kind", "apiVersion"}}
            for each in view.objects[kind]
        ]
    ]


def _where(raw: RawObject) -> str:
    metadata = raw["metadata"]
    return "/".join(metadata[each] for each in ("namespace", "name") if each in metadata)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Run something for the time of the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
