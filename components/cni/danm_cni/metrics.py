"""danmd's metrics."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# From a CHECK's millisecond to an ADD's deadline.
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)

REQUESTS: Final = Histogram(
    "danmd_request_duration_seconds",
    "Time from a request's arrival to its answer.",
    ["verb", "result"],
    buckets=_BUCKETS,
)
STEPS: Final = Histogram(
    "danmd_step_duration_seconds",
    "Time that a step took; steps of one request may run side by side. Result: ok, error, timeout. "
    "Verb: the runtime's, or upkeep for what nobody waits for.",
    ["verb", "step", "result"],
    buckets=(0.0005, 0.001, *_BUCKETS[:-1]),
)
ERRORS: Final = Counter(
    "danmd_errors_total",
    "CNI errors answered, by code: the specification's and DANM's own; other for a delegate's.",
    ["verb", "code"],
)
SANDBOXES: Final = Gauge("danmd_sandboxes", "Sandboxes in the journal, by state.", ["state"])
UNFINISHED_REMOVALS: Final = Gauge(
    "danmd_unfinished_removals",
    "Sandboxes that a whole round of upkeep tried to remove and could not.",
)
ALLOCATIONS: Final = Gauge(
    "danmd_fakeipam_addresses", "Interfaces that fakeipam serves, by state.", ["state"]
)
TOMBSTONES: Final = Gauge(
    "danmd_tombstones",
    "DELs that were left for later, as danmd was away or could not know, by executable.",
    ["program"],
)
WAITING: Final = Gauge("danmd_waiting_requests", "ADDs that wait for their turn.")
ADDRESSES_GIVEN_BACK: Final = Counter(
    "danmd_addresses_given_back_total",
    "Addresses given back without a DEL: nobody here knew them, or their namespace is gone.",
)
ADDRESSES_UNKNOWN: Final = Gauge(
    "danmd_unknown_addresses",
    "Addresses recorded for this node that nobody here knows, left by the last comparison.",
)
ADDRESSES_CLAIMED: Final = Counter(
    "danmd_addresses_claimed_total",
    "Addresses of live interfaces that ipam-svc had forgotten: claimed again.",
)
ADDRESSES_LOST: Final = Counter(
    "danmd_addresses_lost_total",
    "Addresses that ipam-svc had forgotten or freed and nobody here may claim: taken down.",
)
ENDPOINTS_RESTORED: Final = Counter(
    "danmd_endpoints_restored_total",
    "DanmEps of live interfaces that the API server had forgotten: created again.",
)
