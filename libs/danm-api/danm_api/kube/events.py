"""Kubernetes Events: what `kubectl describe` shows to the one who owns the object."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from danm_api.codec.event import (
    Event,
    EventType,
    ObjectReference,
    encode_event,
    encode_series_patch,
    reference_to,
    reference_to_network,
)
from danm_api.errors import DanmError, NotFoundError
from danm_api.kube import metrics
from danm_api.kube.api import EVENTS, KubeApi
from danm_api.names import GROUP
from danm_api.telemetry import get_logger

__all__ = [
    "EventRecorder",
    "EventType",
    "ObjectReference",
    "reference_to",
    "reference_to_network",
]

# The memory of what was said: beyond it the least recent is forgotten and would be said anew.
_MAX_SERIES: Final = 1000

# A series that repeats is written at most this often; a reader sees its count grow.
_SERIES_PERIOD_S: Final = 30.0

# The API server keeps Events for an hour; a series that was silent this long begins anew.
_SERIES_LIFE_S: Final = 1800.0

# All Events of the process together: a fault that hits every object must not flood etcd.
_BURST: Final = 100.0
_RATE_PER_S: Final = 2.0

_TIMEOUT_S: Final = 5.0

_MAX_NAME_LENGTH: Final = 220  # of 253, less the dot and the suffix

_log = get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class _Series:
    """What was said about one thing."""

    name: str
    count: int
    written_at: float


class EventRecorder:
    """Writes Events: repeated ones as a series, in bounded numbers, never failing its caller."""

    def __init__(
        self,
        api: KubeApi,
        *,
        component: str,
        instance: str,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(tz=UTC),
    ) -> None:
        """Report as ``component`` (such as ``svcwatcher``) on ``instance`` (Pod or node)."""
        self._api = api
        self._component = f"{GROUP}/{component}"
        self._instance = instance
        self._clock = clock
        self._now = now
        self._series: OrderedDict[tuple[ObjectReference, str, str, str], _Series] = OrderedDict()
        self._tokens = _BURST
        self._tokens_at = clock()

    async def record(
        self,
        regarding: ObjectReference,
        *,
        reason: str,
        message: str,
        type: EventType | str = EventType.WARNING,  # noqa: A002  (the API's word)
    ) -> bool:
        """Tell the owner of an object what happened to it.

        Errors are logged and counted: nothing depends on an Event.

        Args:
            regarding: The object.
            reason: One CamelCase word, such as ``InvalidSelector``.
            message: What happened and what to do.
            type: ``Warning`` or ``Normal``.

        Returns:
            Whether there is such an Event now; False also while too many are written.
        """
        key = (regarding, str(type), reason, message)
        at = self._clock()
        series = self._series.get(key)
        if series is not None and at - series.written_at < _SERIES_LIFE_S:
            self._series.move_to_end(key)
            series.count += 1
            if at - series.written_at < _SERIES_PERIOD_S:
                return True
        else:
            series = None
        if not self._take_token(at):
            metrics.EVENTS_LOST.labels("rate").inc()
            return False
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if series is None or not await self._continue(regarding, series):
                    await self._begin(key, regarding, EventType(type), reason, message)
        except (DanmError, TimeoutError, ValueError) as error:
            metrics.EVENTS_LOST.labels("error").inc()
            _log.warning(
                "Cannot write Event",
                kind=regarding.kind,
                namespace=regarding.namespace,
                name=regarding.name,
                reason=reason,
                explanation=message,
                error=error,
            )
            return False
        return True

    async def _begin(
        self,
        key: tuple[ObjectReference, str, str, str],
        regarding: ObjectReference,
        kind: EventType,
        reason: str,
        message: str,
    ) -> None:
        moment = self._now()
        suffix = sha256(repr((key, moment, self._instance)).encode()).hexdigest()[:16]
        event = Event(
            name=f"{regarding.name[:_MAX_NAME_LENGTH]}.{suffix}",
            regarding=regarding,
            type=kind,
            reason=reason,
            note=message,
            component=self._component,
            instance=self._instance,
            time=moment,
        )
        # Noted before it is written: callers that say the same meanwhile must not write it too.
        self._series[key] = _Series(name=event.name, count=1, written_at=self._clock())
        while len(self._series) > _MAX_SERIES:
            self._series.popitem(last=False)
        try:
            await self._api.create(EVENTS, encode_event(event), namespace=regarding.event_namespace)
        except (DanmError, asyncio.CancelledError):
            self._series.pop(key, None)
            raise

    async def _continue(self, regarding: ObjectReference, series: _Series) -> bool:
        """Write a series' count; return False when its Event is gone."""
        series.written_at = self._clock()
        try:
            await self._api.patch(
                EVENTS,
                series.name,
                encode_series_patch(series.count, self._now()),
                namespace=regarding.event_namespace,
            )
        except NotFoundError:
            return False
        return True

    def _take_token(self, at: float) -> bool:
        self._tokens = min(_BURST, self._tokens + (at - self._tokens_at) * _RATE_PER_S)
        self._tokens_at = at
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
