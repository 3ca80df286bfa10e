"""Pods of a node that come and go while everything around them breaks."""

import json
import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.lab.chaos.cni.lab_world import NAMESPACE, SHAPES, pod_object
from tests.lab.cluster import Cluster, objects
from tests.lab.errors import LabError

# On two emulated processors. Those that are on their way out count: a node that is behind gets no
# new ones, or it would never catch up, and nothing but its overload would be seen.
PODS_A_NODE: Final = 3
# From before their ADD has begun to long enough for another sandbox, on a slow node too.
_LIVES_S: Final = (8.0, 75.0)
_BREATH_S: Final = (0.5, 4.0)


@dataclass(slots=True, kw_only=True)
class Churn:
    """Makes and deletes Pods of one node, until it is told to stop."""

    cluster: Cluster
    node: str
    image: str
    seed: int
    made: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _dies_at: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Go on for the whole time; an API server that does not answer is asked again."""
        chance = Random(f"{self.seed}/{self.node}")  # noqa: S311  (nothing secret)
        while not self._stop.wait(chance.uniform(*_BREATH_S)):
            try:
                self.step(time.monotonic(), chance)
            except LabError:
                continue

    def step(self, now: float, chance: Random) -> None:
        """Delete the Pods whose life is over, and make one if fewer than PODS_A_NODE are there.

        Raises:
            LabError: The API server did not answer.
        """
        for name in [name for name, end in self._dies_at.items() if end < now]:
            self.cluster.kubectl(
                "delete", "pod", name, "-n", NAMESPACE, "--ignore-not-found", "--wait=false"
            )
            del self._dies_at[name]
        if self._count() < PODS_A_NODE:
            self._make(chance.choice(sorted(SHAPES)), now + chance.uniform(*_LIVES_S))

    def _count(self) -> int:
        """Return how many of its Pods are there, with those that may have been made."""
        there = {
            pod["metadata"]["name"]
            for pod in objects(self.cluster, "pods", "-n", NAMESPACE)
            if pod["spec"]["nodeName"] == self.node
        }
        return len(there | self._dies_at.keys())

    def _make(self, shape: str, dies_at: float) -> None:
        self.made += 1
        name = f"p-{self.seed}-{self.node}-{self.made}"
        pod = pod_object(name, node=self.node, shape=shape, image=self.image)
        # Noted before: whether a call that failed has made it is not known.
        self._dies_at[name] = dies_at
        self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

    def stop(self) -> None:
        """Let the Pods that there are live on."""
        self._stop.set()
