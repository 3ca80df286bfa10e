"""Which Pods there are, which Services find them, and whose readiness changes when. Pure."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

import msgspec

# Each Pod's interfaces, one on each of these networks.
NETWORKS: Final = ("management", "internal")
# Endpoints of each Service but the large one.
SMALL: Final = 5
LARGE_SERVICE: Final = "large"

# What kube-controller-manager runs with, beside how it reaches the API server; else its defaults.
KUBERNETES_FLAGS: Final = (
    "--controllers=endpointslice-controller",
    "--leader-elect=false",
    "--use-service-account-credentials",
)

# Slower than what either controller may write: svcwatcher ten times a second for one Service after
# a burst of ten, Kubernetes' 20 times a second for all Services after a burst of 30. So a change
# alone is what is measured, not how it waits for others.
_SMALL_EVERY_S: Final = 0.07
_LARGE_EVERY_S: Final = 0.12
# By then both may write as much at once as ever.
_AFTER_BURST_S: Final = 5.0
# Of a steady load, the part that concerns the large Service.
_ONE_OF: Final = 3

ALONE_SMALL: Final = "one at a time, small Services"
ALONE_LARGE: Final = "one at a time, the large Service"


class Size(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How large a cluster is.

    Every second Pod is of the large Service, the others of ``SMALL`` each. A larger cluster has all
    Pods of a smaller one, as they are there.
    """

    pods: int
    services: int

    @property
    def large(self) -> int:
        """Endpoints of the large Service."""
        return self.pods // 2

    @property
    def endpoints(self) -> int:
        """Endpoints of all Services."""
        return self.large + (self.services - 1) * SMALL

    def names(self) -> Iterator[str]:
        """Yield the Services."""
        yield LARGE_SERVICE
        yield from (f"small-{number}" for number in range(self.services - 1))

    def expected(self) -> dict[str, int]:
        """Return how many endpoints each Service has."""
        return {name: self.large if name == LARGE_SERVICE else SMALL for name in self.names()}


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        sizes: From small to large.
        alone: Changes one at a time, for small Services and for the large one each; even.
        rate: Changes per second of the steady load.
        steady_s: How long it is.
        burst: Pods that change at once.
    """

    sizes: Sequence[Size]
    alone: int
    rate: float
    steady_s: float
    burst: int


USUAL: Final = Amounts(
    sizes=(Size(pods=1_000, services=100), Size(pods=10_000, services=1_000)),
    alone=100,
    rate=15.0,
    steady_s=20.0,
    burst=500,
)
QUICK: Final = Amounts(
    sizes=(Size(pods=200, services=20), Size(pods=2_000, services=200)),
    alone=20,
    rate=15.0,
    steady_s=4.0,
    burst=100,
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One Pod becomes ready or not ready.

    Attributes:
        due_s: When, from the begin of its round.
    """

    pod: int
    ready: bool
    due_s: float = 0.0


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Changes that do not wait for one another; the next round begins when all were seen.

    Attributes:
        lasts_s: Nor does it begin sooner than so long after the begin of this one.
    """

    changes: Sequence[Change]
    lasts_s: float


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Changes after which every Pod is as it was.

    Attributes:
        at_once: Whether many Pods change at once: more than Kubernetes' controller may write in a
            second.
    """

    name: str
    rounds: Sequence[Round]
    at_once: bool = False

    @property
    def count(self) -> int:
        """How many changes there are."""
        return sum(len(each.changes) for each in self.rounds)


def service_of(pod: int, size: Size) -> str | None:
    """Return which Service finds a Pod; some Pods are not found by any."""
    if pod % 2 == 0:
        return LARGE_SERVICE
    number = pod // 2 // SMALL
    return f"small-{number}" if number < size.services - 1 else None


def app_of(pod: int) -> str:
    """Return a Pod's label ``app``, which is the name of its Service if it has one."""
    return LARGE_SERVICE if pod % 2 == 0 else f"small-{pod // 2 // SMALL}"


def network_of(service: str) -> str:
    """Return on which network a Service finds its Pods."""
    number = 0 if service == LARGE_SERVICE else int(service.rpartition("-")[2]) + 1
    return NETWORKS[number % len(NETWORKS)]


def of_large(size: Size, count: int) -> list[int]:
    """Return Pods of the large Service, from all over its slices."""
    few = min(count, size.large)
    return [2 * (position * size.large // few) for position in range(few)]


def of_small(size: Size, count: int) -> list[int]:
    """Return Pods of as many small Services as there are, before a second one of any."""
    services = range(size.services - 1)
    pods = [2 * (SMALL * number + member) + 1 for member in range(SMALL) for number in services]
    return pods[:count]


def loads(size: Size, amounts: Amounts) -> tuple[Load, ...]:
    """Return what is measured of one controller, in that order."""
    pairs = amounts.alone // 2
    half = amounts.burst // 2
    pods = _mixed(of_large(size, half), of_small(size, amounts.burst - half))
    return (
        _alone(ALONE_SMALL, of_small(size, pairs), _SMALL_EVERY_S),
        _alone(ALONE_LARGE, of_large(size, pairs), _LARGE_EVERY_S),
        _steady(size, amounts),
        Load(
            name=f"{len(pods)} at once",
            rounds=[
                Round(
                    changes=[Change(pod=pod, ready=ready) for pod in pods],
                    lasts_s=_AFTER_BURST_S,
                )
                for ready in (False, True)
            ],
            at_once=True,
        ),
    )


def _alone(name: str, pods: Sequence[int], every_s: float) -> Load:
    rounds = [
        Round(changes=[Change(pod=pod, ready=ready)], lasts_s=every_s)
        for pod in pods
        for ready in (False, True)
    ]
    return Load(name=name, rounds=rounds)


def _steady(size: Size, amounts: Amounts) -> Load:
    pairs = round(amounts.rate * amounts.steady_s / 2)
    large = of_large(size, pairs // _ONE_OF)
    small = of_small(size, pairs - len(large))
    # One of the large Service, some of small ones, and so on.
    mixed = _mixed(large, *(small[begin :: _ONE_OF - 1] for begin in range(_ONE_OF - 1)))
    changes = [
        Change(pod=pod, ready=ready, due_s=(position + (len(mixed) if ready else 0)) / amounts.rate)
        for ready in (False, True)
        for position, pod in enumerate(mixed)
    ]
    return Load(
        name=f"{amounts.rate:g} a second, a third of the large Service",
        rounds=[Round(changes=changes, lasts_s=0.0)],
    )


def _mixed(*of_each: Sequence[int]) -> list[int]:
    """Take Pods in turns."""
    return [pod for group in zip_longest(*of_each) for pod in group if pod is not None]
