"""Makes each Service's slices and Endpoints what its annotations ask for.

Source: SPEC S2, S3, S4; DESIGN "Controllers". Only the replica that leads has a queue; the others
follow the cluster too, so that a hand-over costs no lists.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from danm_api.errors import DanmError, NotFoundError
from danm_api.kube.api import SERVICES
from danm_api.kube.events import EventRecorder, ObjectReference
from danm_api.kube.workqueue import LeadersQueue, run_workers
from danm_api.membership.selection import NotOurs, Selection, select
from danm_api.model.service import Service
from danm_api.telemetry import get_logger
from svcwatcher import metrics
from svcwatcher.absence import GRACE_S, Absences
from svcwatcher.index import ServiceKey
from svcwatcher.lag import Lag
from svcwatcher.observation import Observation
from svcwatcher.pacing import Pace
from svcwatcher.plan import Complaint, Observed, ServicePlan, plan_service
from svcwatcher.writer import FOREIGN_RETRY_S, Writer

# Slices are what look-ups are answered from, so single changes are never held back, and of many
# only as much as keeps one Service from costing more than Kubernetes' own controllers may do for
# all (20 writes a second).
SLICE_BURST: Final = 10
SLICE_INTERVAL_S: Final = 0.1
# An Endpoints object is up to 1000 addresses and deprecated: once a second is enough.
ENDPOINTS_INTERVAL_S: Final = 1.0

# An Event that could not be written is tried again; all together are bounded by the recorder.
TELL_AGAIN_S: Final = 10.0

_SYNC_TIMEOUT_S: Final = 60.0

_log = get_logger(__name__)


class Reconciler:
    """Writes what follows from the observation, while it leads."""

    def __init__(
        self,
        observation: Observation,
        writer: Writer,
        recorder: EventRecorder,
        *,
        write_endpoints: bool,
        concurrency: int = 4,
        slice_interval_s: float = SLICE_INTERVAL_S,
        endpoints_interval_s: float = ENDPOINTS_INTERVAL_S,
        grace_s: float = GRACE_S,
        tell_again_s: float = TELL_AGAIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Subscribe to the observation.

        Args:
            observation: What is known of the cluster.
            writer: Carries plans out.
            recorder: Tells a Service's author what is wrong.
            write_endpoints: Whether Services have Endpoints beside their slices.
            concurrency: How many Services are worked on at once.
            slice_interval_s: Between two writes of one Service's slices, after a burst.
            endpoints_interval_s: Between two writes of one Service's Endpoints.
            grace_s: Until a Service's author is told that its network is not there.
            tell_again_s: After which an Event that could not be written is tried again.
            clock: Monotonic seconds.
        """
        self._observation = observation
        self._writer = writer
        self._recorder = recorder
        self._write_endpoints = write_endpoints
        self._concurrency = concurrency
        self._slice_pace = Pace(burst=SLICE_BURST, interval_s=slice_interval_s, clock=clock)
        self._endpoints_interval_s = endpoints_interval_s
        self._endpoints_pace = Pace(burst=1, interval_s=endpoints_interval_s, clock=clock)
        self._absences = Absences(clock=clock, grace_s=grace_s)
        self._tell_again_s = tell_again_s
        # Services whose Endpoints have let other Services' slices go first, and now go themselves.
        self._yielded: set[ServiceKey] = set()
        self._queue: LeadersQueue[ServiceKey] = LeadersQueue(clock=clock)
        self._lag = Lag(metrics.CONVERGENCE_SECONDS, clock=clock)
        self._told: dict[ServiceKey, frozenset[Complaint]] = {}
        observation.subscribe(self._on_event)

    async def lead(self) -> None:
        """Bring every Service in order and keep it so, until cancelled.

        Raises:
            DeadlineExceededError: The cluster could not be read.
        """
        # Before everything is known, Pods would seem to be missing.
        await self._observation.wait_synced(_SYNC_TIMEOUT_S)
        try:
            with self._queue.opened() as queue:
                for key in self._observation.all_keys():
                    queue.add(key)
                await run_workers(
                    queue, self.reconcile, concurrency=self._concurrency, name="services"
                )
        finally:
            self._lag.clear()
            self._slice_pace.clear()
            self._endpoints_pace.clear()
            self._absences.clear()
            self._yielded.clear()
            self._told.clear()
            self._observation.forget_standings()

    async def reconcile(self, key: ServiceKey) -> None:
        """Bring one Service in order; a second time changes nothing.

        Raises:
            DanmError: Something could not be written; the next try starts from what is then.
        """
        # Asked before anything is computed: a storm of events costs no more than its writes.
        wait_s = self._slice_pace.wait_s(key)
        if wait_s > 0:
            self._queue.add_after(key, wait_s)
            return
        with self._lag.of_work_on(key) as slices_written:
            await self._bring_in_order(key, slices_written)

    async def _bring_in_order(self, key: ServiceKey, slices_written: Callable[[], None]) -> None:
        observed = self._observation.observed(key)
        service = observed.service
        plan, served = self._plan(key, observed)
        if plan.endpoints_deferred:
            self._defer_endpoints(key)
        else:
            self._yielded.discard(key)
        if (judge_in_s := self._absences.wait_s(key)) > 0:
            self._queue.add_after(key, judge_in_s)
        complaints = plan.complaints
        if plan.slices:
            self._slice_pace.spend(key)
        if plan.endpoints is not None:
            self._endpoints_pace.spend(key)
        if plan.writes:
            try:
                complaints += await self._writer.write(key, plan, slices_written=slices_written)
            except DanmError as error:
                if not error.transient and not isinstance(error, NotFoundError):
                    await self._tell(key, service, (*complaints, _not_written(error)))
                raise
        await self._tell(key, service, complaints)
        if self._writer.is_hindered(key):
            self._queue.add_after(key, FOREIGN_RETRY_S)
        self._finish(key, served=served)

    def _plan(self, key: ServiceKey, observed: Observed) -> tuple[ServicePlan, bool]:
        """Return what is to be written for a Service now, and whether it is served."""
        service = observed.service
        verdict = NotOurs() if service is None else select(service)
        absence = None
        if isinstance(verdict, Selection):
            absence = self._absences.judge(key, verdict, self._observation.network(verdict))
        else:
            self._absences.forget(key)
        try:
            standing = None
            if service is not None and isinstance(verdict, Selection):
                standing = self._observation.standing(key, service, verdict)
            else:
                self._observation.forget_standing(key)
            plan = plan_service(
                observed,
                verdict,
                standing,
                write_endpoints=self._write_endpoints,
                endpoints_due=self._endpoints_pace.wait_s(key) <= 0,
                endpoints_alone=self._others_wait() and key not in self._yielded,
            )
        except BaseException:
            # What is remembered may be half changed.
            self._observation.forget_standing(key)
            raise
        if absence is not None:
            plan = replace(plan, complaints=(*plan.complaints, absence))
        return self._writer.without_obstacles(key, plan), standing is not None

    def _on_event(self, key: ServiceKey) -> None:
        if self._queue.is_open:
            self._lag.concerned(key)
            self._queue.add(key)

    def _others_wait(self) -> bool:
        """Say whether Endpoints that are written now would keep other Services' slices waiting."""
        return self._queue.has_ready()

    def _defer_endpoints(self, key: ServiceKey) -> None:
        wait_s = self._endpoints_pace.wait_s(key)
        if wait_s <= 0:
            self._yielded.add(key)
            wait_s = self._endpoints_interval_s
        self._queue.add_after(key, wait_s)

    def _finish(self, key: ServiceKey, *, served: bool) -> None:
        """Forget what is only needed while something is going on."""
        if not served:
            self._writer.forget(key)
            # Not forgotten before: one that goes and comes again has not all its writes each time.
            whole_in_s = max(self._slice_pace.whole_in_s(key), self._endpoints_pace.whole_in_s(key))
            if whole_in_s > 0:
                self._queue.add_after(key, whole_in_s)

    async def _tell(
        self, key: ServiceKey, service: Service | None, complaints: tuple[Complaint, ...]
    ) -> None:
        """Record Events on a Service for what is new since the last time.

        Nothing else tells the Service's author, so what could not be written is new again.
        """
        before = self._told.pop(key, frozenset())
        if service is None or not complaints:
            return
        now = frozenset(complaints)
        told = set(now & before)
        regarding = ObjectReference(
            api_version=SERVICES.api_version,
            kind=SERVICES.kind,
            namespace=service.namespace,
            name=service.name,
            uid=service.uid,
        )
        for complaint in sorted(now - before, key=lambda c: (c.reason, c.message)):
            if not await self._recorder.record(
                regarding, reason=complaint.reason, message=complaint.message
            ):
                continue
            told.add(complaint)
            metrics.COMPLAINTS.labels(complaint.reason).inc()
            _log.warning(
                "Service is not served as asked",
                namespace=service.namespace,
                name=service.name,
                reason=complaint.reason,
                explanation=complaint.message,
            )
        self._told[key] = frozenset(told)
        if told != now:
            self._queue.add_after(key, self._tell_again_s)


def _not_written(error: DanmError) -> Complaint:
    return Complaint(
        reason="NotWritten",
        message=f"the endpoints of this Service cannot be written: {error.reason}",
    )
