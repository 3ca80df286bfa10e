"""What svcwatcher counts, for /metrics; informers, queues and elections count themselves."""

from typing import Final

from prometheus_client import Counter, Histogram

WRITES: Final = Counter(
    "svcwatcher_writes_total",
    "Objects written, by kind and by what was done.",
    ["resource", "verb"],
)

# Around the promise of 1 s from a Pod's readiness to its slice, and beyond.
FOLLOW_SECONDS: Final = Histogram(
    "svcwatcher_follow_seconds",
    "From the first event that concerned a Service to the end of the writes of slices for it.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0, 15.0),
)

COMPLAINTS: Final = Counter(
    "svcwatcher_complaints_total",
    "Events recorded on Services, by reason.",
    ["reason"],
)
