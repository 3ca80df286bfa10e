"""Making all interfaces of one sandbox at once, and their DanmEps (SPEC C3)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import BuiltInType, StaticDelegate
from danm_cni.as_planned import is_as_planned, not_as_planned
from danm_cni.concurrency import all_of, running, succeeded, until_failure
from danm_cni.delegate_addresses import DelegateAddresses
from danm_cni.delegate_config import PluginChain
from danm_cni.edges import EndpointStore, NetworkSource, PluginRunner
from danm_cni.failpoints import Effect, effect
from danm_cni.interfaces import InterfaceBackends, ReadyAttachment, SandboxContext
from danm_cni.plan import PlannedAttachment
from danm_cni.progress import Progress
from danm_cni.request import Verb
from danm_cni.result import InterfaceResult
from danm_cni.steps import Step, step

# Makes durable which addresses the interfaces will have.
Record = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceMaking:
    """Makes interfaces that the journal says will be made; the caller undoes what failed."""

    networks: NetworkSource
    backends: InterfaceBackends
    endpoints: EndpointStore
    delegate_addresses: DelegateAddresses
    plugins: PluginRunner

    async def make_static(
        self, context: SandboxContext, ready: ReadyAttachment, network_type: StaticDelegate
    ) -> Sequence[InterfaceResult]:
        """Have an interface made by the plugins of a static type.

        Its DanmEp is written while they run, which takes longer; the journal says already what
        will be there (docs/decisions/0027).

        Raises:
            DanmError: It failed; what was made stays.
        """
        with step(Step.PLAN, context.progress):
            chain = self.backends.chain(ready, network_type)
        started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def starting() -> None:
            if not started.done():
                started.set_result(True)

        async def make(told: "asyncio.Future[bool]") -> Sequence[InterfaceResult]:
            try:
                async with self.plugin_turn(
                    chain,
                    environment=context.environment_of(ready.planned.interface),
                    runtime_config=context.runtime_config_of(ready.planned.interface),
                    progress=context.progress,
                ):
                    with step(Step.DELEGATE, context.progress):
                        made = await self.backends.run_plugins(
                            context, ready, chain, starting=starting
                        )
            finally:
                if not started.done():
                    started.set_result(False)
            # The turn is the next one's by now: what follows may wait for the API server.
            with step(Step.INTERFACES, context.progress), context.progress.failing():
                return await self.backends.complete_static(context, ready, made, told)

        with context.progress.part():
            # Tasks of this part, all of them.
            told = asyncio.create_task(self._tell_once(started, context, ready))
            confirming = self._confirm_told(told, context, ready)
            async with running([told, confirming, make(told)]) as tasks:
                made: Sequence[InterfaceResult] = (await until_failure(tasks))[-1]
                return made

    async def make_others(
        self, context: SandboxContext, group: Sequence[ReadyAttachment], record: Record
    ) -> Sequence[InterfaceResult]:
        """Make the interfaces of the built-in types.

        Their DanmEps and the journal say what will exist, before it does.

        Args:
            context: The sandbox's.
            group: What to make.
            record: Runs beside the DanmEps; no interface is made before both are done.

        Raises:
            DanmError: It failed; what was made stays.
        """
        own = [each for each in group if each.planned.spec.network_type is not BuiltInType.SRIOV]
        devices = [each for each in group if each.planned.spec.network_type is BuiltInType.SRIOV]
        recording = asyncio.create_task(_nothing_made(record, context.progress))
        making = [self._make_sriov(context, each, recording) for each in devices]
        if own:
            making.append(self._make_own(context, own, recording))
        made = await all_of([recording, *making])
        return [part for parts in made for part in parts]

    @asynccontextmanager
    async def plugin_turn(
        self,
        chain: PluginChain,
        *,
        environment: Mapping[str, str],
        runtime_config: Mapping[str, Any],
        progress: Progress,
    ) -> AsyncIterator[None]:
        """Wait until a chain of plugins may run, and hold its turn; the block runs its ADD.

        What the first of them will ask of fakeipam is reserved from here on.

        Args:
            chain: The plugins.
            environment: As for ``add_chain``.
            runtime_config: Likewise.
            progress: The ADD's.
        """
        reserved = self.delegate_addresses.ahead(
            chain,
            environment=environment,
            runtime_config=runtime_config,
            deadline_s=progress.deadline_s,
        )
        async with reserved, AsyncExitStack() as stack:
            with step(Step.PLUGIN_TURN, progress):
                await stack.enter_async_context(self.plugins.turn(Verb.ADD))
            yield

    async def _make_own(
        self,
        context: SandboxContext,
        group: Sequence[ReadyAttachment],
        recording: "asyncio.Future[Any]",
    ) -> Sequence[InterfaceResult]:
        """Make links, all at once.

        Args:
            context: The sandbox's.
            group: What to make.
            recording: Ends when the journal has their addresses; its failure is told by another.
        """
        await self._tell(context, group)
        if not await succeeded(recording):
            return ()
        with step(Step.INTERFACES, context.progress):
            made, *_ = await all_of(
                [self.backends.make_own(context, group), *self._confirmations(context, group)]
            )
            return made

    async def _make_sriov(
        self, context: SandboxContext, ready: ReadyAttachment, recording: "asyncio.Future[Any]"
    ) -> Sequence[InterfaceResult]:
        """Have an interface made by the plugin sriov; ``recording`` as for ``_make_own``."""
        with step(Step.PLAN, context.progress):
            chain = self.backends.chain(ready, BuiltInType.SRIOV)
        await self._tell(context, [ready])
        if not await succeeded(recording):
            return ()
        async with self.plugin_turn(
            chain,
            environment=context.environment_of(ready.planned.interface),
            runtime_config=context.runtime_config_of(ready.planned.interface),
            progress=context.progress,
        ):
            with step(Step.DELEGATE, context.progress):
                made, *_ = await all_of(
                    [
                        self.backends.make_sriov(context, ready, chain),
                        *self._confirmations(context, [ready]),
                    ]
                )
                return made

    async def _tell(self, context: SandboxContext, group: Sequence[ReadyAttachment]) -> None:
        with step(Step.ENDPOINTS, context.progress):
            await all_of(self._create(each.endpoint, context.progress) for each in group)

    async def _create(self, endpoint: DanmEp, progress: Progress) -> None:
        with effect(Effect.CREATE_ENDPOINT), progress.failing():
            await self.endpoints.create(endpoint)

    async def _tell_once(
        self, started: "asyncio.Future[bool]", context: SandboxContext, ready: ReadyAttachment
    ) -> bool:
        """Write a DanmEp once its plugins start; return whether it is there.

        Not before: every millisecond until then is one of the ADD's, where processors are few.
        """
        if not await started:
            return False
        await self._tell(context, [ready])
        return True

    async def _confirm_told(
        self, told: "asyncio.Future[bool]", context: SandboxContext, ready: ReadyAttachment
    ) -> None:
        """Read the DanmNet once the DanmEp, which keeps it, is there."""
        if await succeeded(told) and told.result():
            await all_of(self._confirmations(context, [ready]))

    def _confirmations(
        self, context: SandboxContext, group: Sequence[ReadyAttachment]
    ) -> Sequence[Coroutine[Any, Any, Sequence[InterfaceResult]]]:
        """Return what reads the DanmNets of those interfaces that ipam-svc was not asked for.

        Nobody else has judged them, and danmd's watch may have died silently. To be run when the
        DanmEps are there, which keep the DanmNets.
        """
        planned = [each.planned for each in group]
        return [
            self._confirm(each, context.progress) for each in planned if not each.asks_for_addresses
        ]

    async def _confirm(
        self, planned: PlannedAttachment, progress: Progress
    ) -> Sequence[InterfaceResult]:
        """Make nothing, and see to it that the DanmNet is the one that was planned with.

        Raises:
            ConflictError: It is another one by now, or another wire.
            DanmError: It cannot be used any more, or not be read.
        """
        network = planned.network
        with step(Step.CONFIRM, progress), progress.failing():
            present = await self.networks.read(network.namespace, network.name)
            if not is_as_planned(planned, present):
                raise not_as_planned([network])
        return ()


async def _nothing_made(record: Record, progress: Progress) -> Sequence[InterfaceResult]:
    with progress.failing():
        await record()
    return ()
