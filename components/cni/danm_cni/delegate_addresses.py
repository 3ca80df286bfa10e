"""What danmd's own delegates ask of fakeipam, which danmd knows before they do (SPEC F2).

A plugin's process takes longer to call fakeipam than ipam-svc takes to answer. So danmd reserves
what a delegate is about to ask for while that starts, and answers with it. What a delegate gives
back is released with the sandbox's other addresses, once its DanmEps are gone (DESIGN, P3).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from danm_api.errors import DanmError, DeadlineExceededError
from danm_api.names import ContainerId
from danm_api.telemetry import get_logger
from danm_cni.allocation_journal import AllocationKey, AllocationState
from danm_cni.allocations import Allocations, key_of
from danm_cni.concurrency import outcomes_of
from danm_cni.delegate_config import PluginChain, render
from danm_cni.ipam_request import IpamRequest, request_of_delegate
from danm_cni.journal import InterfaceKind, SandboxRecord, SandboxState
from danm_cni.request import Verb
from danm_cni.steps import on_behalf_of

log = get_logger(__name__)

# What a DEL, or an undo, waits for its addresses to be released.
_RELEASE_WAIT_S: Final = 1.0
# What it waits for somebody who works on one at the same time.
_MARK_WAIT_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ahead:
    """An ADD that a delegate has not asked for yet."""

    request: IpamRequest
    task: "asyncio.Task[bytes]"


def delegated_keys(sandbox: SandboxRecord) -> list[AllocationKey]:
    """Return what the records are found by of all that a sandbox's delegates may have asked for."""
    return [
        AllocationKey(sandbox.container_id, each.interface)
        for each in sandbox.interfaces
        if each.kind is InterfaceKind.DELEGATE
    ]


class DelegateAddresses:
    """Answers fakeipam's ADD and DEL; those of delegates that danmd has not started as they come.

    Nothing is kept beside the journal: what a killed danmd had reserved ahead is found there.
    """

    def __init__(
        self,
        allocations: Allocations,
        *,
        sandbox_of: Callable[[ContainerId], SandboxRecord | None],
    ) -> None:
        """Have no delegate that is about to ask.

        Args:
            allocations: Do what is asked.
            sandbox_of: What danmd itself has made or removes, by container.
        """
        self._allocations = allocations
        self._sandbox_of = sandbox_of
        self._ahead: dict[AllocationKey, _Ahead] = {}

    @asynccontextmanager
    async def ahead(
        self,
        chain: PluginChain,
        *,
        environment: Mapping[str, str],
        runtime_config: Mapping[str, Any],
        deadline_s: float,
    ) -> AsyncIterator[None]:
        """Reserve what a delegate is about to ask for, if it is; the block has it started.

        What it has not asked for when the block ends is given back. It fails without a word: then
        the delegate asks in vain itself.

        Args:
            chain: Only its first plugin is called with what is known before it starts.
            environment: Of its ADD, as for ``add_chain``.
            runtime_config: Likewise.
            deadline_s: When the ADD's time is over, by the monotonic clock.
        """
        request = None
        if chain.plugins:
            config = render(chain.plugins[0], previous=None, runtime_config=runtime_config)
            request = request_of_delegate(config, environment)
        if request is None:
            yield
            return
        key = key_of(request)
        with on_behalf_of(f"fakeipam {Verb.ADD}"):
            task = asyncio.create_task(self._allocations.add(request, deadline_s=deadline_s))
        self._allocations.background.keep(task)
        task.add_done_callback(_take_note)
        mine = self._ahead[key] = _Ahead(request=request, task=task)
        try:
            yield
        finally:
            if self._ahead.get(key) is mine:
                del self._ahead[key]
                _ = self._allocations.background.spawn(self._give_back(key, task))

    async def _give_back(self, key: AllocationKey, task: "asyncio.Task[bytes]") -> None:
        task.cancel()
        # It waits until that has undone what it did.
        await self._allocations.delete_attachment(key)

    async def add(self, request: IpamRequest, *, deadline_s: float) -> bytes:
        """Answer an ADD, with what was reserved ahead where that is what is asked for.

        Raises:
            DanmError: As ``Allocations.add``.
        """
        key = key_of(request)
        # From here on the interface's record is that of whoever asks.
        ahead = self._ahead.pop(key, None)
        if ahead is not None and ahead.request.asks_the_same(request):
            # Its deadline is that of the ADD whose delegate asks, and no later than this one's.
            await asyncio.wait({ahead.task})
        elif ahead is not None:
            try:
                await self._give_back(key, ahead.task)
            except DanmError as error:
                log.warning("Address will be released later", error=error.reason)
        # By the journal: what has failed is tried once more, and what was given back meanwhile, as
        # by a plugin that cleans up before it begins, is not told to anybody.
        return await self._allocations.add(request, deadline_s=deadline_s)

    async def delete(self, request: IpamRequest, *, deadline_s: float) -> None:
        """Answer a DEL: the address is released, or will be.

        Raises:
            OSError: The disk does not even take the intent.
        """
        sandbox = self._sandbox_of(request.call.container_id)
        ends = sandbox is not None and sandbox.state is SandboxState.REMOVING
        if sandbox is None or not ends or key_of(request) not in delegated_keys(sandbox):
            await self._allocations.delete(request, deadline_s=deadline_s)

    async def mark(self, sandbox: SandboxRecord, *, but: Collection[str]) -> dict[str, DanmError]:
        """Make durable that the addresses of a sandbox go: its interfaces and DanmEps are gone.

        From then on the sandbox may be forgotten.

        Args:
            sandbox: Whose delegates may have asked for some.
            but: The interfaces of which something is left.

        Returns:
            By interface why not: somebody else has not done with its address.

        Raises:
            OSError: The disk does not take it.
        """
        keys = [key for key in delegated_keys(sandbox) if key.interface not in but]
        outcomes = await outcomes_of(self._mark(key) for key in keys)
        return {
            key.interface: error
            for key, error in zip(keys, outcomes, strict=True)
            if error is not None
        }

    async def _mark(self, key: AllocationKey) -> None:
        try:
            async with asyncio.timeout(_MARK_WAIT_S):
                await self._allocations.mark_attachment(key)
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the address of container {key.container_id}, interface {key.interface}, is still "
                "being reserved or released; it is released later"
            ) from error

    async def release(self, sandbox: SandboxRecord) -> None:
        """Release what is marked; what takes long goes on, and what fails is tried again later."""
        journal, background = self._allocations.journal, self._allocations.background
        records = [journal.get(key) for key in delegated_keys(sandbox)]
        running = {
            background.spawn(self._allocations.delete_attachment(record.key))
            for record in records
            if record is not None and record.state is AllocationState.REMOVING
        }
        if running:
            await asyncio.wait(running, timeout=_RELEASE_WAIT_S)


def _take_note(task: "asyncio.Task[bytes]") -> None:
    """Retrieve what came of it: a delegate that asks has it tried once more."""
    if task.cancelled() or (error := task.exception()) is None:
        return
    if isinstance(error, DanmError):
        log.debug("Nothing reserved ahead", error=error.reason)
    else:
        log.exception("Reserving ahead failed", error=error)
