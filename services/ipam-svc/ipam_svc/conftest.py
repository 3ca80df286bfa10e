"""The tests of the whole service run on the event loop that it has in a Pod."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import pytest

from danm_api.uv_loop import UvLoop

_WHOLE_SERVICE: Final = frozenset({"access_matrix_test.py", "process_test.py"})


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give uvloop to those files, and asyncio's own loop to others."""
    if item.path.name in _WHOLE_SERVICE:
        return {"uvloop": UvLoop}
    return {"asyncio": asyncio.new_event_loop}
