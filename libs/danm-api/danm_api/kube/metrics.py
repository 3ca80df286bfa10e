"""What the informers, queues, elections and event recorders of a process count."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

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

LEADING: Final = Gauge("danm_leading", "1 while this process holds the Lease", ["lease"])

EVENTS_LOST: Final = Counter(
    "danm_events_lost_total", "Kubernetes Events not written: error or rate", ["cause"]
)
