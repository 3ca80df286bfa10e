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
    expires: float


class ExpiringCache(Generic[K, V]):
    """Values by key, for some seconds."""

    def __init__(self, *, clock: Callable[[], float], lifetime_s: float, limit: int) -> None:
        """Keep up to ``limit`` values; beyond it the oldest goes."""
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._limit = limit
        self._slots: OrderedDict[K, _Slot[V]] = OrderedDict()

    async def get(self, key: K, load: Callable[[], Awaitable[V]]) -> V:
        """Return the value of a key, loaded when it is missing or expired.

        What ``load`` raises is raised to all who wait for it, and not kept.
        """
        slot = self._slots.get(key)
        if slot is None or slot.expires <= self._clock():
            slot = _Slot(
                value=asyncio.ensure_future(load()), expires=self._clock() + self._lifetime_s
            )
            self._slots[key] = slot
            self._slots.move_to_end(key)
            while len(self._slots) > self._limit:
                self._slots.popitem(last=False)
        elif slot.value.done() and not slot.value.cancelled() and slot.value.exception() is None:
            return slot.value.result()
        try:
            # One caller that goes away must not cancel the load for the others.
            return await asyncio.shield(slot.value)
        except BaseException:
            if slot.value.done() and self._slots.get(key) is slot:
                del self._slots[key]
            raise
