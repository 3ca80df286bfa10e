"""Both sides of a comparison, in turns: without metrics and traces, and with all of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.overhead.switched as _switched
from tests.lab.bench.launch import Launch
from tests.lab.bench.overhead.observers import Collector
from tests.lab.bench.overhead.switch import VARIABLE, Switch
from tests.lab.errors import LabError

# Of what is left to send: five times as often as by default, so that each side ends with its own.
_SEND_EVERY_MS: Final = 1000
_SENT_S: Final = 1.5

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Takes turns.

    Attributes:
        collector: Of the observed side's traces.
        switch: Which side it is.
        rounds: How often each side is measured.
    """

    collector: Collector
    switch: Switch
    rounds: int

    @property
    def launch(self) -> Launch:
        """How a process is started that is measured on both sides."""
        return Launch(
            wrapper=("-m", str(_switched.__spec__.name)),
            environment={
                VARIABLE: str(self.switch.path),
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.endpoint,
                "OTEL_BSP_SCHEDULE_DELAY": str(_SEND_EVERY_MS),
            },
        )

    @asynccontextmanager
    async def side(self, *, observed: bool) -> AsyncIterator[None]:
        """Measure in the block; afterwards what was recorded in it is sent."""
        self.switch.turn(on=observed)
        try:
            yield
            await asyncio.sleep(_SENT_S)
        finally:
            self.switch.turn(on=True)

    def traced(self, before: int) -> int:
        """Return what came to the collector since it had taken that many bytes.

        Raises:
            LabError: Nothing came, so nothing was traced.
        """
        traced = self.collector.taken - before
        if not traced:
            raise LabError("No trace came to the collector.")
        return traced


async def in_turns(
    measure: Callable[[bool], Awaitable[_Found]], number: int
) -> tuple[_Found, _Found]:
    """Measure without and with; who is first changes from round to round."""
    if number % 2:
        observed = await measure(True)  # noqa: FBT003  (the measure's only argument)
        return await measure(False), observed  # noqa: FBT003
    without = await measure(False)  # noqa: FBT003
    return without, await measure(True)  # noqa: FBT003
