"""Values that expire, each loaded once."""

import asyncio

import pytest

from danm_api.testing.clock import FakeClock
from ipam_svc.expiring_cache import ExpiringCache


class _Loader:
    def __init__(self) -> None:
        self.calls = 0
        self.error: Exception | None = None

    async def load(self) -> int:
        await asyncio.sleep(0)
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.calls


def _cache(clock: FakeClock, *, limit: int) -> ExpiringCache[str, int]:
    return ExpiringCache(
        clock=clock, lifetime_s=10, limit=limit, brief_s=1, is_brief=lambda value: value < 0
    )


async def test_value_is_loaded_once_and_expires() -> None:
    """However many ask at once, one load serves them, until its time is over."""
    clock, loader = FakeClock(), _Loader()
    cache = _cache(clock, limit=5)
    assert await asyncio.gather(*(cache.get("k", loader.load) for _ in range(20))) == [1] * 20
    clock.advance(9)
    assert await cache.get("k", loader.load) == 1
    clock.advance(1)
    assert await cache.get("k", loader.load) == 2


async def test_some_values_are_kept_briefly() -> None:
    """Those that may be other ones soon."""
    clock, loader = FakeClock(), _Loader()
    cache = _cache(clock, limit=5)
    loader.calls = -2
    assert await cache.get("k", loader.load) == -1
    clock.advance(0.5)
    assert await cache.get("k", loader.load) == -1
    clock.advance(0.5)
    assert await cache.get("k", loader.load) == 0
    clock.advance(1)
    assert await cache.get("k", loader.load) == 0


async def test_failure_is_not_kept() -> None:
    """What could not be loaded is tried again by the next who asks."""
    clock, loader = FakeClock(), _Loader()
    cache = _cache(clock, limit=5)
    loader.error = OSError("once")
    with pytest.raises(OSError, match="once"):
        await cache.get("k", loader.load)
    loader.error = None
    assert await cache.get("k", loader.load) == 2


async def test_size_is_bounded() -> None:
    """Beyond the limit the oldest value goes."""
    # DESIGN P6
    clock, loader = FakeClock(), _Loader()
    cache = _cache(clock, limit=2)
    for key in ("1", "2", "3"):
        await cache.get(key, loader.load)
    assert await cache.get("3", loader.load) == 3
    assert await cache.get("1", loader.load) == 4
