"""What clients of the API server, informers, queues, elections and event recorders count."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# From a read out of the API server's memory to the client's time-out.
REQUEST_SECONDS: Final = Histogram(
    "danm_kube_request_duration_seconds",
    "Time of a request to the API server, without watches; by result: ok, conflict, refused (what "
    "asking again does not help against), unavailable.",
    ["method", "resource", "result"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)

INFORMER_EVENTS: Final = Counter(
    "danm_informer_events_total", "Watch events received", ["resource", "type"]
)
INFORMER_LISTS: Final = Counter(
    "danm_informer_lists_total", "Full lists, at start and after lost watches", ["resource"]
)
INFORMER_RESTORES: Final = Counter(
    "danm_informer_restores_total", "Times the API server's history went back", ["resource"]
)
INFORMER_ERRORS: Final = Counter(
    "danm_informer_errors_total", "Lists and watches that failed", ["resource"]
)
INFORMER_WATCH_RESTARTS: Final = Counter(
    "danm_informer_watch_restarts_total",
    "Watches that ended and were begun again, by why: ended (by the server, in good order), "
    "failed, expired (the server has forgotten the version, so all is listed anew)",
    ["resource", "reason"],
)
INFORMER_HEARD: Final = Gauge(
    "danm_informer_last_heard_timestamp_seconds",
    "When the last list, event or bookmark came, as Unix time; bookmarks come about every minute",
    ["resource"],
)
INFORMER_UNDECODABLE: Final = Counter(
    "danm_informer_undecodable_total", "Objects that did not decode", ["resource"]
)
INFORMER_OBJECTS: Final = Gauge("danm_informer_objects", "Objects in memory", ["resource"])

QUEUE_DEPTH: Final = Gauge("danm_queue_depth", "Keys that wait, ready or delayed", ["queue"])
RECONCILES: Final = Counter(
    "danm_reconciles_total", "Reconciles by outcome: ok, retry, bug", ["queue", "outcome"]
)
RECONCILE_SECONDS: Final = Histogram(
    "danm_reconcile_seconds",
    "Time that one reconcile took",
    ["queue"],
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
)

LEADING: Final = Gauge(
    "danm_leading", "1 while this process holds the Lease, 0 while it waits for it", ["lease"]
)

EVENTS_LOST: Final = Counter(
    "danm_events_lost_total", "Kubernetes Events not written: error or rate", ["cause"]
)
# Shown before the first one, so that it is an increase.
for _cause in ("error", "rate"):
    EVENTS_LOST.labels(_cause)
