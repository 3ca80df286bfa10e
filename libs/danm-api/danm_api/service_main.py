"""The frame of every long-running process: event loop, signals, exit code."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from danm_api.errors import DanmError, leaves
from danm_api.telemetry import get_logger, shutdown_tracing

# Kubernetes kills 30 s after SIGTERM (terminationGracePeriodSeconds); this leaves time to log.
_GRACE_S: Final = 25.0

# sysexits.h: EX_SOFTWARE, an internal error; 1 is for what an operator can put right.
_EXIT_BUG: Final = 70
_EXIT_FAILED: Final = 1

_log = get_logger(__name__)


def run_service(
    main: Callable[[asyncio.Event], Awaitable[None]], *, grace_s: float = _GRACE_S
) -> NoReturn:
    """Run ``main`` until it returns, and leave the process with its exit code.

    SIGTERM and SIGINT set the event that ``main`` gets; it then has ``grace_s`` to end before it
    is cancelled, and a second signal cancels it at once.

    Raises:
        SystemExit: Always: 0 after an orderly end, 1 after a DanmError or OSError (logged in one
            line), 70 after any other exception (logged with its traceback).
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        code = runner.run(_supervise(main, grace_s))
    shutdown_tracing()
    raise SystemExit(code)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from danm_api.uv_loop import UvLoop
    except ImportError:
        return None
    return UvLoop


async def _supervise(main: Callable[[asyncio.Event], Awaitable[None]], grace_s: float) -> int:
    stop = asyncio.Event()
    task = asyncio.ensure_future(main(stop))
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        _log.info("Stopping", signal=number.name)
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        await asyncio.wait((task,), timeout=grace_s)
    if not task.done():
        _log.warning("Did not stop in time", grace_s=grace_s)
        task.cancel()
        await asyncio.wait((task,), timeout=1)
    stopping.cancel()
    return _exit_code(task, stop_requested=stop.is_set())


def _exit_code(task: "asyncio.Future[None]", *, stop_requested: bool) -> int:
    if not task.done():
        _log.error("Main task ignores its cancellation")
        return _EXIT_BUG
    if task.cancelled():
        return 0 if stop_requested else _EXIT_BUG
    error = task.exception()
    if error is None:
        return 0
    flat = leaves(error)
    for each in flat:
        if isinstance(each, DanmError | OSError):
            _log.error("Failed", error=each)
    bugs = [each for each in flat if not isinstance(each, DanmError | OSError)]
    for bug in bugs:
        _log.exception("Failed unexpectedly", error=bug)
    return _EXIT_BUG if bugs else _EXIT_FAILED
