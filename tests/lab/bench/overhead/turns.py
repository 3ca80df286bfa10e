"""Both sides of a comparison, in turns: without metrics and traces, and with all of them."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.overhead.switched as _switched
from tests.lab.bench.launch import Launch
from tests.lab.bench.overhead.observers import Collector
from tests.lab.bench.overhead.switch import VARIABLE, Switch
from tests.lab.errors import LabError

WARM_UP_TURN: Final = 1
"""For `in_turns`, of what is not measured: what happens once in a process's life, such as that a
series is looked up, which many keep, is to happen on the observed side."""

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
            },
        )

    @contextmanager
    def side(self, *, observed: bool) -> Iterator[None]:
        """Have the block on one side."""
        self.switch.turn(on=observed)
        try:
            yield
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
