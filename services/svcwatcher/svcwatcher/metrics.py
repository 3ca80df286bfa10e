"""What svcwatcher counts, for /metrics; informers, queues and elections count themselves."""

from typing import Final

from prometheus_client import Counter, Histogram

WRITES: Final = Counter(
    "danm_svcwatcher_writes_total",
    "Writes by kind, by what was to be done and by how it went: ok, conflict (somebody wrote "
    "first, or the plan was outdated), foreign (the name is taken by somebody else's object), "
    "error.",
    ["resource", "verb", "result"],
)

# Around the promise of 1 s from a Pod's readiness to its slice, and beyond.
CONVERGENCE_SECONDS: Final = Histogram(
    "danm_svcwatcher_endpoint_convergence_seconds",
    "From the arrival of the first watch event that concerned a Service (such as a Pod that became "
    "ready) and was not written yet, to the API server's answer to the last write of its slices, "
    "retries and pauses between writes included. Only where slices were written.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 5.0, 15.0),
)

COMPLAINTS: Final = Counter(
    "danm_svcwatcher_complaints_total",
    "Events recorded on Services, by reason.",
    ["reason"],
)
