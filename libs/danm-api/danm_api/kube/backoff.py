"""Exponential back-off with jitter. Pure, given its randomness."""

import random
from collections.abc import Callable

# A quarter is enough to spread those who were cut off together.
_JITTER = 0.25


def delay_after(
    failures: int, *, base_s: float, max_s: float, rng: Callable[[], float] = random.random
) -> float:
    """Return the seconds to wait after the ``failures``-th failure in a row, from 1 on.

    Args:
        failures: How often it failed; 0 waits as for 1.
        base_s: The wait after the first failure; each further one doubles it.
        max_s: The longest wait, before jitter.
        rng: Uniform in [0, 1).

    Returns:
        Between 75 % and 100 % of the exact value, so ``max_s`` is never exceeded.
    """
    # 2.0 ** 64 is beyond any max_s; the bound keeps the power finite.
    exact = min(max_s, base_s * 2.0 ** min(max(failures - 1, 0), 64))
    return exact * (1 - _JITTER * rng())
