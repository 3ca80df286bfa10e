"""A bounded cache whose values expire, and that loads each value once however many ask."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot(Generic[V]):
    value: "asyncio.Future[V]"
    begun: float

    @property
    def is_loaded(self) -> bool:
        done = self.value.done() and not self.value.cancelled()
        return done and self.value.exception() is None


class ExpiringCache(Generic[K, V]):
    """Values by key, for some seconds."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        lifetime_s: float,
        limit: int,
        brief_s: float,
        is_brief: Callable[[V], bool],
    ) -> None:
        """Keep up to ``limit`` values; beyond it the oldest goes.

        Args:
            clock: Monotonic seconds.
            lifetime_s: How long a value is kept.
            limit: How many are.
            brief_s: How long those are kept for which ``is_brief`` says so.
            is_brief: Judges a value.
        """
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._brief_s = brief_s
        self._is_brief = is_brief
        self._limit = limit
        self._slots: OrderedDict[K, _Slot[V]] = OrderedDict()

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return the value of a key, loaded when it is missing or expired.

        What ``load`` raises is raised to all who wait for it, and not kept.
        """
        slot = self._slots.get(key)
        if slot is None or self._is_over(slot):
            slot = _Slot(value=asyncio.ensure_future(load()), begun=self._clock())
            self._slots[key] = slot
            self._slots.move_to_end(key)
            while len(self._slots) > self._limit:
                self._slots.popitem(last=False)
        elif slot.is_loaded:
            return slot.value.result()
        try:
            # One caller that goes away must not cancel the load for the others.
            return await asyncio.shield(slot.value)
        except BaseException:
            if slot.value.done() and self._slots.get(key) is slot:
                del self._slots[key]
            raise

    def _is_over(self, slot: _Slot[V]) -> bool:
        is_brief = slot.is_loaded and self._is_brief(slot.value.result())
        lifetime_s = self._brief_s if is_brief else self._lifetime_s
        return slot.begun + lifetime_s <= self._clock()
