"""Makes readiness changes, and sees when slices say so."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from danm_api.kube.api import PODS, KubeApi
from tests.lab.bench.controllers.endpoints.cases import Change, Load, Round
from tests.lab.bench.controllers.endpoints.objects import NAMESPACE, pod_name, readiness
from tests.lab.bench.controllers.endpoints.slices import Slices
from tests.lab.errors import LabError

# Fewer than a client's connections, so that none waits for one.
_CALLERS: Final = 64
_SEEN_WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What came of a load.

    Attributes:
        seen_ms: Of each change, from before it was sent until a slice was seen that says so.
        accepted_ms: Of each change, from before it was sent until the API server had taken it.
        busy_s: From the begin of each round until the last of it was seen, all added up.
    """

    seen_ms: list[float]
    accepted_ms: list[float]
    busy_s: float


async def follow(
    api: KubeApi, slices: Slices, load: Load, *, seen_within_s: float = _SEEN_WITHIN_S
) -> Followed:
    """Make the changes of a load.

    Raises:
        LabError: One was not seen within ``seen_within_s``.
    """
    follower = _Follower(api, slices, seen_within_s)
    busy_s = 0.0
    for each in load.rounds:
        began = time.monotonic()
        await follower.do(each, began)
        ended = time.monotonic()
        busy_s += ended - began
        await asyncio.sleep(max(0.0, began + each.lasts_s - ended))
    return Followed(seen_ms=follower.seen_ms, accepted_ms=follower.accepted_ms, busy_s=busy_s)


class _Follower:
    """Makes changes, and notes what they took."""

    def __init__(self, api: KubeApi, slices: Slices, seen_within_s: float) -> None:
        self.seen_ms: list[float] = []
        self.accepted_ms: list[float] = []
        self._api = api
        self._slices = slices
        self._seen_within_s = seen_within_s
        self._callers = asyncio.Semaphore(_CALLERS)
        self._pods: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def do(self, changes: Round, began: float) -> None:
        await asyncio.gather(*(self._one(change, began) for change in changes.changes))

    async def _one(self, change: Change, began: float) -> None:
        await asyncio.sleep(max(0.0, began + change.due_s - time.monotonic()))
        name = pod_name(change.pod)
        # A Pod's next change waits until the one before has been seen.
        async with self._pods[change.pod]:
            async with self._callers:
                sent = time.monotonic()
                seen = self._slices.expect(name, ready=change.ready)
                await self._api.patch(
                    PODS,
                    name,
                    readiness(ready=change.ready),
                    namespace=NAMESPACE,
                    subresource="status",
                )
                self.accepted_ms.append(1000 * (time.monotonic() - sent))
            try:
                async with asyncio.timeout(self._seen_within_s):
                    self.seen_ms.append(1000 * (await seen - sent))
            except TimeoutError as error:
                raise LabError(
                    f"That the Pod {name} is {'' if change.ready else 'not '}ready was in no slice"
                    f" within {self._seen_within_s:g} s."
                ) from error
