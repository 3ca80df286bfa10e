"""What happens to Pods of one node in each case, and what meets danmd's traps meanwhile."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from danm_api.kube.api import PODS
from danm_cni.failpoints import Effect
from tests.lab.chaos.cni.cases import Action, Case, Story
from tests.lab.chaos.cni.kubelet import (
    AGAIN_S,
    PATIENCE_S,
    POLL_S,
    ChaosPod,
    Kubelet,
    UnmetError,
)
from tests.lab.chaos.cni.networks import ALONE, BOTH
from tests.lab.chaos.cni.objects import STATUS_ANNOTATION
from tests.lab.chaos.cni.stage import NAMESPACE

# Longer than any deadline of a caller in a hurry, and for a release longer than its own 5 s.
_STOPPED_S: Final = 4.5
_STOPPED_AT_RELEASE_S: Final = 6.5
_CUT_S: Final = 5.0
# Everything that an ADD makes is there.
_LAST_STEP: Final = f"before {Effect.WRITE_ADDED}"
# A Pod to which nothing happens.
BYSTANDER: Final = "bystander"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stories:
    """Plays cases on one node."""

    kubelet: Kubelet

    # Traps

    def _arm(self, point: str, action: Action) -> int:
        """Have danmd meet a trap after those before; return its number."""
        plan = self.kubelet.node.trap / "plan"
        number = len(_lines(plan))
        hold_s = _STOPPED_AT_RELEASE_S if point.endswith(str(Effect.RELEASE)) else _STOPPED_S
        act = "wait" if action in {Action.CUT, Action.ORPHAN} else str(action)
        with plan.open("a") as file:
            file.write(json.dumps({"point": point, "action": act, "hold_s": hold_s}) + "\n")
        return number

    async def _until_met(self, number: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while len(_lines(self.kubelet.node.trap / "met")) <= number:
            if time.monotonic() > deadline:
                raise UnmetError(f"{self.kubelet.node.name}: trap {number} is not met")
            await asyncio.sleep(POLL_S)

    async def _until_killed(self, number: int) -> None:
        """Wait until a danmd runs that is not the one that has met a trap.

        That one lives on for a moment, in which all would look whole.
        """
        met_s = json.loads(_lines(self.kubelet.node.trap / "met")[number])["at"]
        deadline = time.monotonic() + PATIENCE_S
        while self.kubelet.started_s < met_s:
            if time.monotonic() > deadline:
                raise UnmetError(f"{self.kubelet.node.name}: trap {number} killed nobody")
            await asyncio.sleep(POLL_S)

    async def _meet(self, number: int, action: Action, called: asyncio.Task[None]) -> None:
        """Do the part of an action that is not danmd's own; whole again afterwards."""
        await self._until_met(number)
        self.kubelet.pausing.set()
        go = self.kubelet.node.trap / f"go-{number}"
        if action is Action.ORPHAN:
            if self.kubelet.process is not None:
                # asyncio's own way looks whether it has ended, and takes its status away.
                with suppress(ProcessLookupError):
                    os.kill(self.kubelet.process.pid, signal.SIGKILL)
            go.touch()
        elif action is Action.CUT:
            await asyncio.to_thread(self.kubelet.node.cut)
            go.touch()
            # Until the answer, but not for so long that the runtime's next calls fail too often.
            await asyncio.wait((called,), timeout=_CUT_S)
            await asyncio.to_thread(self.kubelet.node.mend)
        elif action is Action.STOP:
            await asyncio.sleep(_STOPPED_S)
        elif action is Action.KILL:
            await self._until_killed(number)

    async def _with_trap(self, case: Case, work: Coroutine[Any, Any, None]) -> None:
        """Do something while a case's traps are met, and wait until danmd is whole again."""
        number = -1
        if case.story is Story.UNDO:
            number = self._arm(_LAST_STEP, Action.ERROR)
        if case.story is Story.RESUME:
            number = self._arm(_LAST_STEP, Action.KILL)
            # The next danmd is to find all that there is, before the runtime's DEL.
            self.kubelet.pausing.clear()
        if case.point and case.action is not None:
            number = self._arm(case.point, case.action)
        called = asyncio.create_task(work)
        try:
            if case.action is not None:
                await self._meet(number, case.action, called)
            elif case.story is Story.OUTLIVED:
                await self._kill_beside_plugin()
            await called
        finally:
            called.cancel()
        await self.kubelet.until_ready()

    async def _kill_beside_plugin(self) -> None:
        """Kill danmd when the plugin that it has started hangs."""
        deadline = time.monotonic() + PATIENCE_S
        while not (self.kubelet.node.moods / f"ADD-{self.kubelet.container}.met").exists():
            if time.monotonic() > deadline:
                raise UnmetError(f"{self.kubelet.node.name}: no plugin hangs")
            await asyncio.sleep(POLL_S)
        await asyncio.to_thread(self.kubelet.node.danmd.kill)

    # Stories

    async def play(self, case: Case) -> None:
        """Live through a case.

        Raises:
            UnmetError: Its trap was not met, or a Pod did not get what it asks for.
        """
        await self.kubelet.until_ready()
        hurried = case.action in {Action.STOP, Action.CUT} or case.mood is not None
        if case.story in {Story.UNDO, Story.RESUME}:
            # The ADD has to come to its last step.
            hurried = False
        match case.story:
            case Story.ADD | Story.UNDO | Story.RESUME:
                pod = await self.kubelet.pod(BOTH, str(case))
                await self._with_trap(case, self.kubelet.make(pod, hurried=hurried, mood=case.mood))
            case Story.OUTLIVED:
                pod = await self.kubelet.pod(BOTH, str(case))
                await self._with_trap(case, self.kubelet.make(pod, mood=case.mood))
            case Story.AGAIN_DEL:
                pod = await self._running(case)
                await self._with_trap(case, self.kubelet.remove(pod, hurried=hurried))
                await self.kubelet.make(pod)
            case Story.AGAIN_ADD:
                pod = await self._running(case)
                await self.kubelet.remove(pod)
                await self._with_trap(case, self.kubelet.make(pod, hurried=hurried))
            case Story.ADOPT:
                await self._adopt(case)
            case Story.DEL:
                pod = await self._to_end(case)
                await self.kubelet.terminate(pod)
                await self._with_trap(
                    case, self.kubelet.remove(pod, hurried=hurried, mood=case.mood)
                )
                await self.kubelet.bury(pod)
            case Story.LATER:
                pod = await self._to_end(case)
                await self.kubelet.terminate(pod)
                await self.kubelet.take_danmd_away()
                await self.kubelet.remove(pod)
                await self._with_trap(case, self._give_back())
                await self.kubelet.bury(pod)
            case Story.UNINFORMED:
                await self._uninformed(case)

    async def _running(self, case: Case) -> ChaosPod:
        pod = await self.kubelet.pod(BOTH, str(case))
        await self.kubelet.make(pod)
        return pod

    async def _to_end(self, case: Case) -> ChaosPod:
        """Return a Pod that has lived through something else, or a new one."""
        for pod in self.kubelet.pods:
            if pod.wanted == BOTH and pod.case != BYSTANDER and pod.sandbox:
                pod.case = str(case)
                return pod
        return await self._running(case)

    async def _give_back(self) -> None:
        self.kubelet.give_danmd_back()

    async def _adopt(self, case: Case) -> None:
        pod = await self.kubelet.pod(ALONE, str(case))
        await self.kubelet.make(pod)
        assert pod.sandbox is not None
        record = self.kubelet.node.journal / f"{pod.sandbox[1]}.json"
        # Its DanmEp is all that tells of it afterwards, and the annotation is not made again.
        await self._until(lambda: self._is_told(pod))
        await self.kubelet.take_danmd_away()
        record.unlink()
        await self._with_trap(case, self._give_back())

    async def _is_told(self, pod: ChaosPod) -> bool:
        raw = await self.kubelet.stage.cluster.api.get(PODS, pod.name, namespace=NAMESPACE)
        return STATUS_ANNOTATION in raw["metadata"].get("annotations", {})

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await condition():
                await asyncio.sleep(AGAIN_S)

    async def _uninformed(self, case: Case) -> None:
        """Ask DEL of a container that nobody knows while danmd cannot see the API server."""
        unknown = ChaosPod(
            raw={"metadata": {"name": "unknown", "uid": f"unknown-{uuid4().hex}"}},
            wanted=(),
            case=str(case),
        )
        await self.kubelet.take_danmd_away()
        await asyncio.to_thread(self.kubelet.node.cut)
        self.kubelet.node.socket.unlink(missing_ok=True)
        self.kubelet.give_danmd_back()

        async def ask() -> None:
            async with asyncio.timeout(PATIENCE_S):
                while not self.kubelet.node.socket.exists():
                    await asyncio.sleep(POLL_S)
            container = uuid4().hex * 2
            hurried = case.action is Action.STOP
            while (await self.kubelet.call("DEL", unknown, "none", container, hurried=hurried))[
                0
            ] != 0:
                hurried = False
                await asyncio.sleep(AGAIN_S)
            await asyncio.to_thread(self.kubelet.node.mend)

        await self._with_trap(case, ask())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
