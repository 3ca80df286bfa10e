"""Leader election by a Lease, on the monotonic clock.

A candidate takes over when it has seen the record unchanged for its whole duration, by its own
clock; nobody compares wall clocks. The holder stops leading well before that: when it could not
renew for ``renew_deadline_s``, counted from the moment that it *sent* its last good renewal.

A process that is frozen and wakes up later may run a few instructions more before it notices.
So what a leader writes must be guarded by resourceVersions as well, and ``is_leader`` looks at the
clock each time. Where that is not enough, a leader writes what it is about to do, calls
``confirm``, and then does it: whoever leads later finds what was written.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from danm_api.codec.lease import LeaseRecord, decode_lease, encode_lease_spec
from danm_api.errors import ConflictError, DanmError, NotFoundError
from danm_api.kube import metrics
from danm_api.kube.api import LEASES, KubeApi, RawObject
from danm_api.telemetry import get_logger

_LEASE_DURATION_S: Final = 15.0
_RENEW_DEADLINE_S: Final = 10.0
_RETRY_PERIOD_S: Final = 2.0

# Several tries must fit between two renewals and the deadline.
_REQUEST_TIMEOUT_S: Final = 3.0
# Of the last one, which is cut off at the deadline; a server that answers does so in less.
_SHORTEST_TRY_S: Final = 0.5

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The Lease as it was last read or written, and when that version was first seen."""

    raw: RawObject
    record: LeaseRecord
    since: float


class LeaderElection:
    """One candidate for a Lease."""

    def __init__(
        self,
        api: KubeApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        lease_duration_s: float = _LEASE_DURATION_S,
        renew_deadline_s: float = _RENEW_DEADLINE_S,
        retry_period_s: float = _RETRY_PERIOD_S,
    ) -> None:
        """Prepare to stand under ``identity``, which must be unique among the candidates.

        Raises:
            ValueError: The durations do not allow for a safe hand-over.
        """
        if not retry_period_s < renew_deadline_s < lease_duration_s:
            raise ValueError("retry period < renew deadline < lease duration must hold")
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._lease_duration_s = lease_duration_s
        self._renew_deadline_s = renew_deadline_s
        self._retry_period_s = retry_period_s
        self._seen: _Seen | None = None
        self._leading = False
        self._renewed_at = 0.0

    @property
    def is_leader(self) -> bool:
        """Whether this process leads at this moment."""
        return self._leading and self._left_s() > 0

    async def confirm(self) -> None:
        """Make sure that this process leads, by a consistent read of the Lease.

        Raises:
            ConflictError: It does not, or not by the record that its term began with.
            DanmError: Nobody can tell now.
        """
        record = decode_lease(await self._api.get(LEASES, self._name, namespace=self._namespace))
        seen = self._seen
        if (
            seen is None
            or record.holder != self._identity
            or record.transitions != seen.record.transitions
        ):
            reason = f'Lease {self._name} is held by "{record.holder}" now, not {self._identity}'
            raise ConflictError(reason)

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Run ``lead`` whenever this candidate holds the Lease; returns when ``lead`` does.

        ``lead`` is cancelled when the Lease is lost, and called again when it is regained. When it
        ends, raises, or ``run`` is cancelled, the Lease is released, so that the next candidate
        need not wait.
        """
        # Those that wait say so: who sees no 1 sees that nobody leads.
        metrics.LEADING.labels(self._name).set(0)
        while True:
            await self._acquire()
            _log.info("Started leading", lease=self._name, identity=self._identity)
            metrics.LEADING.labels(self._name).set(1)
            try:
                if await self._lead(lead):
                    return
            finally:
                self._leading = False
                metrics.LEADING.labels(self._name).set(0)
                _log.info("Stopped leading", lease=self._name, identity=self._identity)

    async def _acquire(self) -> None:
        while not await self._try("acquire", self._take_over_if_free):
            await self._sleep(self._retry_period_s)
        self._leading = True

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> bool:
        """Run ``lead`` beside the renewals; return whether it ended by itself."""
        work = asyncio.ensure_future(lead())
        renewing = asyncio.create_task(self._renew_until_lost())
        try:
            await asyncio.wait((work, renewing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended, lost = work.done(), renewing.done()
            # From here on is_leader says no, while ``lead`` still ends; until it has, the Lease
            # is renewed, so that nobody else begins.
            self._leading = False
            await _cancel(work)
            await _cancel(renewing)
            if not lost:
                await self._try("release", self._release)
        if ended:
            await work  # raises what it raised
        elif not work.cancelled() and work.exception() is not None:
            _log.exception("Failed while it ended", lease=self._name, error=work.exception())
        return ended

    async def _renew_until_lost(self) -> None:
        while True:
            # Neither a pause nor a request that hangs may last beyond the deadline: the work would
            # go on until others may begin.
            await self._sleep(min(self._retry_period_s, max(self._left_s(), 0.0)))
            within_s = max(self._left_s(), _SHORTEST_TRY_S)
            if await self._try("renew", self._renew, within_s=within_s):
                continue
            record = self._seen.record if self._seen else None
            if record is not None and record.holder != self._identity:
                _log.warning("Lost the Lease", lease=self._name, holder=record.holder)
                return
            if self._left_s() <= 0:
                _log.warning("Could not renew the Lease in time", lease=self._name)
                return

    def _left_s(self) -> float:
        """Return in how many seconds this process stops leading, unless it renews the Lease."""
        return self._renewed_at + self._renew_deadline_s - self._clock()

    async def _try(
        self,
        what: str,
        step: Callable[[], Awaitable[bool]],
        *,
        within_s: float = _REQUEST_TIMEOUT_S,
    ) -> bool:
        """Take a step within the time of one request; a failure is logged and counts as no."""
        try:
            async with asyncio.timeout(min(within_s, _REQUEST_TIMEOUT_S)):
                return await step()
        except (DanmError, TimeoutError) as error:
            _log.warning("Lease request failed", lease=self._name, step=what, error=error)
            return False

    async def _read(self) -> _Seen | None:
        """Read the Lease and note since when it has not changed; None when there is none."""
        try:
            raw = await self._api.get(LEASES, self._name, namespace=self._namespace)
        except NotFoundError:
            self._seen = None
            return None
        record = decode_lease(raw)
        if self._seen is not None and self._seen.record == record:
            self._seen = replace(self._seen, raw=raw)
        else:
            # From after the answer: the renewal was made before it, so this errs to the safe side.
            self._seen = _Seen(raw=raw, record=record, since=self._clock())
        return self._seen

    async def _take_over_if_free(self) -> bool:
        seen = await self._read()
        sent_at = self._clock()
        moment = self._now()
        record = LeaseRecord(
            holder=self._identity,
            duration_s=max(1, round(self._lease_duration_s)),
            acquired=moment,
            renewed=moment,
            transitions=0,
        )
        if seen is None:
            body: RawObject = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": encode_lease_spec(record),
            }
            raw = await self._api.create(LEASES, body, namespace=self._namespace)
        else:
            # One's own record is that of an earlier life, or of a write whose answer was lost.
            expires_at = seen.since + seen.record.duration_s
            if seen.record.holder not in ("", self._identity) and sent_at < expires_at:
                return False
            record = replace(record, transitions=seen.record.transitions + 1)
            raw = await self._write(seen.raw, record)
        self._won(raw, record, sent_at)
        return True

    async def _renew(self) -> bool:
        sent_at = self._clock()
        try:
            return await self._renew_as_seen(sent_at)
        except ConflictError:
            # The answer to an earlier renewal was lost, or the Lease is: reading tells.
            await self._read()
            return await self._renew_as_seen(sent_at)

    async def _renew_as_seen(self, sent_at: float) -> bool:
        seen = self._seen
        if seen is None or seen.record.holder != self._identity:
            return False
        record = replace(seen.record, renewed=self._now())
        self._won(await self._write(seen.raw, record), record, sent_at)
        return True

    async def _release(self) -> bool:
        seen = await self._read()
        if seen is not None and seen.record.holder == self._identity:
            # A second is the shortest that the API allows; the empty holder is what counts.
            record = replace(seen.record, holder="", duration_s=1, renewed=self._now())
            await self._write(seen.raw, record)
        return True

    async def _write(self, raw: RawObject, record: LeaseRecord) -> RawObject:
        body = {**raw, "spec": {**raw.get("spec", {}), **encode_lease_spec(record)}}
        return await self._api.replace(LEASES, body, namespace=self._namespace)

    def _won(self, raw: RawObject, record: LeaseRecord, sent_at: float) -> None:
        self._seen = _Seen(raw=raw, record=record, since=sent_at)
        self._renewed_at = sent_at


async def _cancel(task: "asyncio.Future[None]") -> None:
    """Cancel a task and wait until it has ended; what it raises is its owner's business."""
    task.cancel()
    await asyncio.wait((task,))
