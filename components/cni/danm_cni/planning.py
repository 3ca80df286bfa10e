"""What an ADD is going to make, from the objects and the node's links; nothing is touched yet.

A DanmNet and the Pods that use it often come together, with one ``kubectl apply``. Until the
validator has judged it and netwatcher has made its link, an ADD waits for a moment: the runtime
would try a failed one again only after seconds, and tell the user of a failure.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from danm_api.errors import (
    DanmError,
    HostLinkMissingError,
    NetworkNotReadyError,
    SeveralErrors,
)
from danm_api.model.cni import CniResult
from danm_api.model.danmnet import DanmNet
from danm_api.model.pod import Pod
from danm_api.names import DEFAULT_NETWORK, INTERFACES_ANNOTATION, NetworkName
from danm_cni.edges import InterfaceMaker, NetworkSource
from danm_cni.interface_setup import LinkFacts
from danm_cni.plan import (
    PlannedAttachment,
    UseFallback,
    plan_attachments,
    requested_attachments,
    require_parents,
)
from danm_cni.progress import Progress
from danm_cni.request import CniRequest, PodIdentity
from danm_cni.result import sandbox_interfaces
from danm_cni.steps import Step, step

# The controllers take a tenth of a second, and seconds on a busy node.
_WAIT_S: Final = 5.0
# What an ADD keeps of its time for its own work, and for telling what it has waited for.
_KEEP_S: Final = 3.0
_LOOK_AGAIN_S: Final = 0.2
# One that is older has been judged, or has a fault that waiting does not mend: its Pods shall not
# take the places of others.
_NEW: Final = timedelta(seconds=30)


def _utc_now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be made.

    Attributes:
        parents: The node's links that it hangs on, by name.
    """

    attachments: tuple[PlannedAttachment, ...]
    parents: Mapping[str, LinkFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Plans sandboxes.

    Attributes:
        allowed_static_types: The administrator's list (SPEC E2); None allows all.
        now: The wall clock, which tells how old a DanmNet is.
    """

    kernel: InterfaceMaker
    networks: NetworkSource
    allowed_static_types: frozenset[str] | None = None
    now: Callable[[], datetime] = _utc_now

    async def run(
        self,
        request: CniRequest,
        identity: PodIdentity,
        pod: Pod,
        *,
        previous: CniResult | None,
        progress: Progress,
    ) -> Plan | UseFallback:
        """Plan a sandbox, and wait for DanmNets that have just been made.

        Args:
            request: The runtime's.
            identity: Names the Pod in errors.
            pod: Whose sandbox it is.
            previous: What the plugins before danm in its list have made.
            progress: Kept up to date.

        Raises:
            DanmError: Everything that is wrong with the plan, as it was when last looked at.
        """
        until_s = min(time.monotonic() + _WAIT_S, progress.deadline_s - _KEEP_S)
        while True:
            used: list[NetworkName] = []
            try:
                with step(Step.PLAN, progress):
                    return await self._look(request, identity, pod, previous, used)
            except DanmError as error:
                awaited = _heals(error) and self._may_get_ready(pod, used)
                if not awaited or time.monotonic() >= until_s:
                    raise
            with step(Step.NEW_NETWORK, progress):
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _look(
        self,
        request: CniRequest,
        identity: PodIdentity,
        pod: Pod,
        previous: CniResult | None,
        used: list[NetworkName],
    ) -> Plan | UseFallback:
        """Plan with what there is now; ``used`` gets the names of the DanmNets asked for."""

        def look_up(name: NetworkName) -> DanmNet | None:
            used.append(name)
            return self.networks.get(pod.namespace, name)

        annotation = pod.annotations.get(INTERFACES_ANNOTATION)
        attachments = requested_attachments(identity, annotation, look_up)
        if isinstance(attachments, UseFallback):
            # The wrong network would be the Pod's for its life, and nothing would tell of it: a
            # watch that lags counts for nothing here.
            await self.networks.glance(pod.namespace, DEFAULT_NETWORK)
            attachments = requested_attachments(identity, annotation, look_up)
        if isinstance(attachments, UseFallback):
            return attachments
        await self.networks.refresh(pod.namespace, [each.network for each in attachments])
        planned = plan_attachments(
            identity,
            attachments,
            look_up,
            asked=request.interface,
            present=frozenset() if previous is None else sandbox_interfaces(previous),
            allowed_static_types=self.allowed_static_types,
        )
        parents = await self.kernel.parents([each.parent for each in planned if each.parent])
        require_parents(identity, planned, {name: facts.mtu for name, facts in parents.items()})
        return Plan(attachments=planned, parents=parents)

    def _may_get_ready(self, pod: Pod, names: Iterable[NetworkName]) -> bool:
        """Say whether one of a Pod's DanmNets is new, and none is being deleted.

        What is being deleted takes no new Pods any more, however new the others are (SPEC A5).
        """
        found = [self.networks.get(pod.namespace, name) for name in names]
        networks = [each for each in found if each is not None]
        if any(each.deleting for each in networks):
            return False
        return any(self.now() - each.created < _NEW for each in networks)


def _heals(error: DanmError) -> bool:
    """Say whether all that is wrong may be what a controller has yet to do."""
    errors: Iterable[DanmError] = error.errors if isinstance(error, SeveralErrors) else (error,)
    return all(isinstance(each, NetworkNotReadyError | HostLinkMissingError) for each in errors)
