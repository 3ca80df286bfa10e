"""1000 Pods into a pool of 1000, emptied and filled again, on a real API server."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from danm_api.ipam_api import AttachmentRequest, ExternalOwnerMessage, PodOwnerMessage
from tests.lab.binaries import Binaries
from tests.lab.chaos.caller import Caller
from tests.lab.chaos.checker import Violation, check
from tests.lab.chaos.crowd import client_of
from tests.lab.chaos.danmd import Danmd
from tests.lab.chaos.history import Pool, Snapshot
from tests.lab.chaos.objects import NAMESPACE
from tests.lab.chaos.record_watch import RecordWatch, following
from tests.lab.chaos.recorder import Recorder
from tests.lab.chaos.world import running_world

T = TypeVar("T")

PODS: Final = 1000
_NETWORK: Final = "refill"
_NODE: Final = "refill-node"
_FIRST: Final = 30
# Pods are made by as many at once as a controller does.
_AT_ONCE: Final = 32
# An ADD comes a few times as often as this on a busy cluster's one node; more would only queue.
_ADDS_AT_ONCE: Final = 128
_TRIES: Final = 5
_SEEN_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Refill:
    """What one round has shown.

    Attributes:
        full_s: How long it took until every Pod had its address.
        empty_s: How long it took to give all back.
    """

    number: int
    full_s: float
    empty_s: float
    violations: tuple[Violation, ...]


async def run_refill(
    directory: Path, *, binaries: Binaries, rounds: int, tell: Callable[[Refill], None]
) -> bool:
    """Fill and empty a pool; return whether it always fitted exactly.

    Args:
        directory: For data and logs.
        binaries: Where etcd and the API server come from.
        rounds: How often.
        tell: Is told each round's result.

    Raises:
        LabError: The run itself failed.
    """
    attachment = AttachmentRequest(network=_NETWORK, interface="eth0", ip="dynamic")
    async with running_world(directory, binaries=binaries, replicas=2) as world:
        addresses = _addresses()
        await world.objects.add_network(
            _NETWORK,
            cidr="10.0.0.0/21",
            allocation_pool={"start": addresses[0], "end": addresses[-1]},
        )
        token = await world.objects.add_node(_NODE)
        pods = await _at_once(
            (world.objects.run_pod(f"pod-{number}", _NODE, [attachment]) for number in range(PODS)),
            _AT_ONCE,
        )
        tool_token = await world.objects.tool_token()
        async with (
            client_of(world, token) as client,
            client_of(world, tool_token) as tool_client,
            following(world.backbone.etcd_url) as watch,
        ):
            for number in range(1, rounds + 1):
                recorder = Recorder(wanted=2 * PODS, apart_s=0.0)
                recorder.add(Pool(network=_NETWORK, family=4, addresses=tuple(addresses)))
                watch.recorder = recorder
                danmd = Danmd(node=_NODE, caller=Caller(client=client, recorder=recorder))
                tool = Caller(client=tool_client, recorder=recorder)
                result = await _round(number, recorder, watch, danmd, tool, pods)
                tell(result)
                if result.violations:
                    return False
    return True


async def _round(
    number: int,
    recorder: Recorder,
    watch: RecordWatch,
    danmd: Danmd,
    tool: Caller,
    pods: list[PodOwnerMessage],
) -> Refill:
    attachment = AttachmentRequest(network=_NETWORK, interface="eth0", ip="dynamic")
    began = time.monotonic()
    added = await _at_once((_add(danmd, pod, attachment) for pod in pods), _ADDS_AT_ONCE)
    full_s = time.monotonic() - began
    late = ExternalOwnerMessage(namespace=NAMESPACE, name=f"late-{number}")
    beyond = await tool.reserve(
        late, [AttachmentRequest(network=_NETWORK, interface="", ip="dynamic")]
    )
    violations = []
    if not all(added) or beyond.answer != "exhausted":
        what = f"{sum(added)} of {PODS} Pods fitted, and one more was {beyond.answer}"
        violations.append(Violation(rule="fit", at=recorder.now(), what=what))
    await _look(recorder, watch, PODS)
    began = time.monotonic()
    await _at_once((danmd.delete(uid) for uid in list(danmd.journal)), _ADDS_AT_ONCE)
    empty_s = time.monotonic() - began
    await _look(recorder, watch, 0)
    violations += await asyncio.to_thread(check, recorder.history)
    return Refill(number=number, full_s=full_s, empty_s=empty_s, violations=tuple(violations))


async def _add(danmd: Danmd, pod: PodOwnerMessage, attachment: AttachmentRequest) -> bool:
    """Add a Pod, and again when it fails, as the kubelet does: a busy machine may take too long."""
    for _ in range(_TRIES):
        if await danmd.add(pod, [attachment], fresh=False):
            return True
    return False


async def _look(recorder: Recorder, watch: RecordWatch, count: int) -> None:
    """Note the record as soon as it has so many entries, or when the time for that is over."""
    deadline = recorder.now() + _SEEN_WITHIN_S
    while len(watch.held()) != count and recorder.now() < deadline:
        await asyncio.sleep(_POLL_S)
    recorder.add(Snapshot(at=recorder.now(), held=tuple(watch.held())))


def _addresses() -> list[str]:
    """Return 1000 addresses from within one block to within another."""
    return [f"10.0.{each // 256}.{each % 256}" for each in range(_FIRST, _FIRST + PODS)]


async def _at_once(steps: Iterable[Coroutine[Any, Any, T]], limit: int) -> list[T]:
    """Do independent steps, some at a time."""
    slots = asyncio.Semaphore(limit)

    async def one(step: Coroutine[Any, Any, T]) -> T:
        async with slots:
            return await step

    return await asyncio.gather(*(one(step) for step in steps))
