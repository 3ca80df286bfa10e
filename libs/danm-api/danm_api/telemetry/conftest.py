"""The tests of this directory run on asyncio's own event loop, and on the one that services use."""

import asyncio
from collections.abc import Callable, Mapping

from danm_api.uv_loop import UvLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give both."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": UvLoop}
