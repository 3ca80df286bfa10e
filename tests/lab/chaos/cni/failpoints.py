"""Cases of danmd's failpoints, on nodes of this machine's own kernel."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.lab.binaries import Binaries
from tests.lab.chaos.cni.cases import ENDING, Case, dealt
from tests.lab.chaos.cni.facts import Difference, World
from tests.lab.chaos.cni.kubelet import Kubelet, UnmetError
from tests.lab.chaos.cni.model import differences
from tests.lab.chaos.cni.networks import BOTH, PLAIN, add_networks
from tests.lab.chaos.cni.stage import Stage, a_stage
from tests.lab.chaos.cni.stories import BYSTANDER, Stories

NODES: Final = 6
# Dead things are found every 10 s; a plugin that hangs is given up after 30 s, and tried again.
QUIET_S: Final = 60.0
_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a run has shown.

    Attributes:
        moment: When it was looked.
        seconds: Since the run's beginning.
        settled_s: How long after the last case and call all was as it must be; the whole time that
            was given where it never was.
    """

    moment: str
    seconds: float
    settled_s: float
    differences: tuple[str, ...]


async def run_failpoints(
    directory: Path,
    *,
    binaries: Binaries,
    tell: Callable[[Findings], None],
    chosen: Sequence[Case],
    nodes: int = NODES,
    quiet_s: float = QUIET_S,
) -> None:
    """Play cases, and compare when all is quiet: with the Pods that live, and without any.

    Args:
        directory: For logs and data.
        binaries: Where etcd, the API server and plugins come from.
        tell: Is told what was found at each moment.
        chosen: What is played.
        nodes: How many.
        quiet_s: How long after the last case something may still be other than it must.

    Raises:
        UnmetError: A trap was not met, or a Pod did not get what it asks for.
    """
    async with a_stage(directory, binaries=binaries, nodes=nodes) as stage:
        await add_networks(stage)
        kubelets = [Kubelet(stage=stage, node=node) for node in stage.nodes]
        async with _kept(kubelets):
            began = time.monotonic()
            hands = dealt(chosen, nodes)
            await _side_by_side(_live(*each) for each in zip(kubelets, hands, strict=True))
            tell(await _compare("with living Pods", stage, kubelets, began, quiet_s))
            await _side_by_side(_end(*each) for each in zip(kubelets, hands, strict=True))
            tell(await _compare("with bystanders alone", stage, kubelets, began, quiet_s))
            await _side_by_side(_end_all(each) for each in kubelets)
            tell(await _compare("with no Pod", stage, kubelets, began, quiet_s))


def _kept(kubelets: Sequence[Kubelet]) -> AsyncExitStack:
    """Have danmd started again on all nodes for the time of a block."""
    stack = AsyncExitStack()
    for kubelet in kubelets:
        task = asyncio.create_task(kubelet.keep_danmd())

        async def end(task: "asyncio.Task[None]" = task) -> None:
            task.cancel()
            await asyncio.wait((task,))

        stack.push_async_callback(end)
    return stack


async def _side_by_side(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for each in work:
            group.create_task(each)


async def _live(kubelet: Kubelet, hand: Sequence[Case]) -> None:
    for wanted in (PLAIN, BOTH):
        await kubelet.make(await kubelet.pod(wanted, BYSTANDER))
    for case in hand:
        if case.story not in ENDING:
            await _play(kubelet, case)


async def _end(kubelet: Kubelet, hand: Sequence[Case]) -> None:
    for case in hand:
        if case.story in ENDING:
            await _play(kubelet, case)
    for pod in tuple(kubelet.pods):
        if pod.case != BYSTANDER:
            await kubelet.end(pod)


async def _end_all(kubelet: Kubelet) -> None:
    for pod in tuple(kubelet.pods):
        await kubelet.end(pod)


async def _play(kubelet: Kubelet, case: Case) -> None:
    try:
        await Stories(kubelet=kubelet).play(case)
    except (UnmetError, TimeoutError) as error:
        raise UnmetError(f"{kubelet.node.name}: {case}: {error!r}") from error


async def _compare(
    moment: str, stage: Stage, kubelets: Sequence[Kubelet], began: float, quiet_s: float
) -> Findings:
    """Look until nothing is other than it must, or the time is over."""
    quiet_since = time.monotonic()
    found: Sequence[Difference] = ()
    while True:
        world = World(
            pods=[pod for each in kubelets for pod in await each.living()],
            nodes=await stage.look(),
            endpoints=await stage.endpoints(),
            entries=await stage.entries(),
            own_links={node.name: node.own_links for node in stage.nodes},
        )
        found = differences(world)
        now = time.monotonic()
        if not found or now > quiet_since + quiet_s:
            return Findings(
                moment=moment,
                seconds=now - began,
                settled_s=now - quiet_since,
                differences=tuple(map(str, found)),
            )
        await asyncio.sleep(_POLL_S)
