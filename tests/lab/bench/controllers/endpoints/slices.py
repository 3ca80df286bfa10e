"""What slices say, as a client sees it that watches them."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from danm_api.codec.endpoint_slice import service_of_slice
from danm_api.kube.api import ENDPOINT_SLICES, KubeApi, RawObject
from danm_api.kube.informer import Change, Informer
from tests.lab.bench.controllers.endpoints.objects import NAMESPACE
from tests.lab.errors import LabError


@dataclass(frozen=True, slots=True)
class _Shown:
    """What one slice says: of each of its Pods, whether it is ready."""

    service: str
    pods: dict[str, bool]

    @property
    def ready(self) -> int:
        """How many of its endpoints are ready."""
        return sum(self.pods.values())


class Slices:
    """Sees when slices come to say something."""

    def __init__(self, api: KubeApi) -> None:
        """Prepare; nothing is seen before ``run``."""
        self._informer = Informer(api, ENDPOINT_SLICES, _decode, namespace=NAMESPACE)
        self._informer.subscribe(self._on_slice)
        self._expected: dict[str, tuple[bool, asyncio.Future[float]]] = {}
        self._ready: Counter[str] = Counter()
        self._total = 0
        self._wanted: dict[str, int] = {}
        self._complete: asyncio.Future[float] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._informer.run()

    async def wait_synced(self, timeout_s: float) -> None:
        """Wait until what is there has been read."""
        await self._informer.wait_synced(timeout_s)

    def expect(self, pod: str, *, ready: bool) -> asyncio.Future[float]:
        """Return when (monotonic seconds) a slice is seen that says this of a Pod.

        Of each Pod one thing is expected at a time, and not what slices say of it already.
        """
        seen: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._expected[pod] = ready, seen
        return seen

    async def until_complete(self, wanted: dict[str, int], timeout_s: float) -> float:
        """Wait until each Service has so many ready endpoints, and return when that was seen.

        Raises:
            LabError: That does not come to be.
        """
        self._wanted = wanted
        self._complete = asyncio.get_running_loop().create_future()
        self._look()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._complete
        except TimeoutError as error:
            few = [name for name, count in wanted.items() if self._ready[name] != count]
            raise LabError(
                f"{len(few)} of {len(wanted)} Services did not get their endpoints within"
                f" {timeout_s:.0f} s: {', '.join(few[:5])}"
            ) from error
        finally:
            self._complete = None

    def _on_slice(self, change: Change[_Shown]) -> None:
        for shown, sign in ((change.old, -1), (change.new, 1)):
            if shown is not None:
                self._ready[shown.service] += sign * shown.ready
                self._total += sign * shown.ready
        if change.new is not None and self._expected:
            now = time.monotonic()
            for pod in self._expected.keys() & change.new.pods.keys():
                ready, seen = self._expected[pod]
                if change.new.pods[pod] == ready:
                    del self._expected[pod]
                    if not seen.done():
                        seen.set_result(now)
        self._look()

    def _look(self) -> None:
        if (
            self._complete is not None
            and not self._complete.done()
            # Cheap, and nearly always enough to say no.
            and self._total == sum(self._wanted.values())
            and +self._ready == self._wanted
        ):
            self._complete.set_result(time.monotonic())


def _decode(raw: RawObject) -> _Shown:
    return _Shown(
        service_of_slice(raw),
        {e["targetRef"]["name"]: e["conditions"]["ready"] for e in raw.get("endpoints") or ()},
    )
