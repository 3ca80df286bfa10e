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
ERRORS: Final = Counter("danmd_errors_total", "CNI errors answered, by code.", ["verb", "code"])
SANDBOXES: Final = Gauge("danmd_sandboxes", "Sandboxes in the journal, by state.", ["state"])
ALLOCATIONS: Final = Gauge(
    "danmd_fakeipam_addresses", "Interfaces that fakeipam serves, by state.", ["state"]
)
WAITING: Final = Gauge("danmd_waiting_requests", "ADDs that wait for their turn.")
ADDRESSES_GIVEN_BACK: Final = Counter(
    "danmd_addresses_given_back_total",
    "Addresses given back without a DEL: nobody here knew them, or their namespace is gone.",
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
