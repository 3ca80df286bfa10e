"""Python's garbage collector in processes that keep a cluster's objects in memory."""

import gc
from typing import Final

# By allocations: requests and events leave next to no cycles (decision 0012).
_COLLECT_AFTER: Final = 10_000


def spare_what_is_read() -> None:
    """Let the garbage collector leave alone what there is by now, and look less often.

    The record of a large cluster takes it up to a tenth of a second each time, in which nothing
    else goes on. Objects that are replaced are freed all the same, by their reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
