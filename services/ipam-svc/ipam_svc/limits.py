"""How much one caller may ask and how much is done at once. Pure: the clock is an argument.

Whoever asks too much is told so at once and costs nothing more; nothing here grows with the number
of callers (DESIGN, P6).
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from danm_api.errors import OverloadedError, RateLimitedError
from danm_api.model.caller import Caller

K = TypeVar("K", bound=Hashable)

# A cluster's nodes and tools. One that asked longest ago is forgotten first, with a full bucket.
_MAX_BUCKETS: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket.

    Attributes:
        per_s: What may be asked for ever.
        burst: What may be asked at once after a pause.
    """

    per_s: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a replica.

    Attributes:
        in_flight: Requests at once. More than 500 simultaneous ADDs and every node's comparison;
            each takes some KB.
        caller_in_flight: Requests at once of one caller that is no danmd: half of all.
        caller: Requests of one caller that is no danmd: about a third of what a replica can answer.
        node: Requests of one node's danmd: above what a node can ask, and a replica answer. It is
            there for a danmd that has gone mad.
        reviews: Tokens of one address, and permissions of one caller, that have to be reviewed by
            the API server because they are not known or no longer fresh; and claims of one node
            that its Pods do not ask for, each of which is judged by what the API server says then.
        connections: More are refused; each takes 82 KB at most, with a body in part (decision
            0011).
        address_connections: Of one address.
        body_s: How long the body of a request may take, 64 KB at most.
        body_bytes: Of all bodies that have not come whole.
        caller_body_bytes: The same of one caller: 32 of the largest size. Most bodies have less
            than 1 KB, come with their heads, and do not count.
    """

    in_flight: int = 2048
    caller_in_flight: int = 1024
    caller: Rate = field(default_factory=lambda: Rate(per_s=1000, burst=2000))
    node: Rate = field(default_factory=lambda: Rate(per_s=10_000, burst=20_000))
    reviews: Rate = field(default_factory=lambda: Rate(per_s=50, burst=1000))
    connections: int = 4096
    address_connections: int = 1024
    body_s: float = 10.0
    body_bytes: int = 8 * 2**20
    caller_body_bytes: int = 2 * 2**20


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimiter(Generic[K]):
    """Token buckets by key, of a bounded number."""

    def __init__(
        self, rate: Rate, *, clock: Callable[[], float], limit: int = _MAX_BUCKETS
    ) -> None:
        """Start with full buckets; beyond ``limit`` keys the one that asked longest ago goes."""
        self._rate = rate
        self._clock = clock
        self._limit = limit
        self._buckets: OrderedDict[K, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are known."""
        return len(self._buckets)

    def take(self, key: K) -> float:
        """Take a token of a key.

        Returns:
            0 when there was one, else the seconds until the next one.
        """
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._rate.burst, now)
            if len(self._buckets) > self._limit:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
            self._fill(bucket, now)
        wait_s = self._until_next(bucket)
        if not wait_s:
            bucket.tokens -= 1
        return wait_s

    def wait(self, key: K) -> float:
        """Return as ``take`` does, and take nothing."""
        bucket = self._buckets.get(key)
        if bucket is None:
            return 0.0
        self._fill(bucket, self._clock())
        return self._until_next(bucket)

    def _fill(self, bucket: _Bucket, now: float) -> None:
        gained = (now - bucket.filled_at) * self._rate.per_s
        bucket.tokens = min(self._rate.burst, bucket.tokens + gained)
        bucket.filled_at = now

    def _until_next(self, bucket: _Bucket) -> float:
        return 0.0 if bucket.tokens >= 1 else (1 - bucket.tokens) / self._rate.per_s


class Admission:
    """Lets authenticated callers in, each up to its share."""

    def __init__(self, limits: Limits, *, danmd_user: str, clock: Callable[[], float]) -> None:
        """Admit by limits.

        Args:
            limits: The bounds.
            danmd_user: The user name of every node's danmd; each node is a caller.
            clock: Monotonic seconds.
        """
        self._limits = limits
        self._danmd_user = danmd_user
        self._users: RateLimiter[str] = RateLimiter(limits.caller, clock=clock)
        self._nodes: RateLimiter[str] = RateLimiter(limits.node, clock=clock)
        self._in_flight: dict[str, int] = {}

    def enter(self, caller: Caller) -> None:
        """Let one request in; ``leave`` must follow.

        Raises:
            RateLimitedError: The caller asks too much; ``leave`` must not follow.
            OverloadedError: Too much of it is under way; ``leave`` must not follow.
        """
        if caller.node is not None and caller.username == self._danmd_user:
            _require(self._nodes.take(caller.node), self._limits.node, f"danmd of {caller.node}")
            return
        user = caller.username
        under_way = self._in_flight.get(user, 0)
        if under_way >= self._limits.caller_in_flight:
            raise OverloadedError(
                f"{under_way} requests of {user} are being answered; wait for their answers"
            )
        _require(self._users.take(user), self._limits.caller, user)
        self._in_flight[user] = under_way + 1

    def leave(self, caller: Caller) -> None:
        """Note that a request of a caller has been answered."""
        if caller.node is not None and caller.username == self._danmd_user:
            return
        left = self._in_flight[caller.username] - 1
        if left:
            self._in_flight[caller.username] = left
        else:
            del self._in_flight[caller.username]


class BodyBudget:
    """Bounds the bytes of bodies that have not come whole, in all and of each caller."""

    def __init__(self, limits: Limits) -> None:
        """Start with nothing."""
        self._limits = limits
        self._held: Counter[tuple[str, str | None]] = Counter()
        self._total = 0

    def add(self, caller: Caller, size: int) -> None:
        """Count bytes of a body; ``remove`` must follow.

        Raises:
            OverloadedError: They are too many; nothing was counted.
        """
        who = (caller.username, caller.node)
        if self._held[who] + size > self._limits.caller_body_bytes:
            raise OverloadedError(
                f"{self._held[who]} bytes of {caller.username} wait for the rest of their bodies;"
                " send each body at once"
            )
        if self._total + size > self._limits.body_bytes:
            raise OverloadedError("too many bodies have come in part; try again later")
        self._held[who] += size
        self._total += size

    def remove(self, caller: Caller, size: int) -> None:
        """Note that a body is read, or given up."""
        who = (caller.username, caller.node)
        self._held[who] -= size
        self._total -= size
        if not self._held[who]:
            del self._held[who]

    def __len__(self) -> int:
        """Return how many callers are known."""
        return len(self._held)


def _require(wait_s: float, rate: Rate, who: str) -> None:
    if wait_s > 0:
        raise RateLimitedError(
            f"{who} asks more than {rate.per_s:g} times a second; ask more slowly",
            retry_after_s=wait_s,
        )
