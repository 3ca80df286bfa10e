"""Both sides of a comparison, in turns: without metrics and traces, and with all of them."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.overhead.unobserved as _unobserved
from tests.lab.bench.launch import Launch
from tests.lab.bench.overhead.observers import Collector, Target, scraping
from tests.lab.bench.replicas import Replica
from tests.lab.errors import LabError

_WITHOUT: Final = Launch(wrapper=("-m", str(_unobserved.__spec__.name)))

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Takes turns.

    Attributes:
        collector: Of the observed side's traces.
        rounds: How often each side is measured.
    """

    collector: Collector
    rounds: int

    def launch(self, *, observed: bool) -> Launch:
        """Return how a process of a side is started."""
        if not observed:
            return _WITHOUT
        return Launch(
            environment={
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.endpoint,
                "OTEL_SDK_DISABLED": "",
            }
        )

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


@contextmanager
def scraped(replicas: Sequence[Replica], token: str, authority: str) -> Iterator[None]:
    """Scrape the only replica, if there is one."""
    if not replicas:
        yield
        return
    (replica,) = replicas
    url = f"https://{replica.endpoint}/metrics"
    with scraping(Target(url=url, token=token, authority=authority)):
        yield
