"""The frame of the processes: signals, grace, exit codes."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from danm_api.errors import ApiError
from danm_api.service_main import run_service

Main = Callable[[asyncio.Event], Awaitable[None]]


def exit_code(main: Main, *, grace_s: float = 5) -> int:
    """Run a service and return the code that its process would leave."""
    with pytest.raises(SystemExit) as caught:
        run_service(main, grace_s=grace_s)
    code = caught.value.code
    assert isinstance(code, int)
    return code


async def returns(_: asyncio.Event) -> None:
    """End at once."""


async def fails(_: asyncio.Event) -> None:
    """Fail as an operator can put right."""
    raise ApiError("no usable configuration", status=0)


async def port_taken(_: asyncio.Event) -> None:
    """Fail inside of a task group."""

    async def listen() -> None:
        raise OSError(98, "Address already in use")

    async with asyncio.TaskGroup() as group:
        group.create_task(listen())


async def bug(_: asyncio.Event) -> None:
    """Fail as nobody expects."""
    raise KeyError("x")


@pytest.mark.parametrize(
    ("main", "code"),
    [
        pytest.param(returns, 0, id="orderly"),
        pytest.param(fails, 1, id="DanmError"),
        pytest.param(port_taken, 1, id="OSError in a group"),
        pytest.param(bug, 70, id="bug"),
    ],
)
def test_the_exit_code_says_how_it_ended(main: Main, code: int) -> None:
    """Supervisors tell orderly ends, configuration faults and bugs apart."""
    assert exit_code(main) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_in_order(number: signal.Signals) -> None:
    """A signal sets the event, and the service ends its work itself."""
    ended = False

    async def main(stop: asyncio.Event) -> None:
        nonlocal ended
        os.kill(os.getpid(), number)
        await stop.wait()
        ended = True

    assert exit_code(main) == 0
    assert ended


def test_a_service_that_does_not_stop_is_cancelled() -> None:
    """After its grace the service is cancelled, so that its process never needs a SIGKILL."""
    cancelled = False

    async def main(_: asyncio.Event) -> None:
        nonlocal cancelled
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    assert exit_code(main, grace_s=0.01) == 0
    assert cancelled


def test_a_second_signal_cancels() -> None:
    """Who asks twice does not wait for the grace."""

    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    assert exit_code(main, grace_s=600) == 0
