"""What netwatcher counts, beside what informers and queues count."""

from typing import Final

from prometheus_client import Counter, Gauge

LINK_ACTIONS: Final = Counter(
    "danm_netwatcher_link_actions_total", "Changes made to host links, by kind", ["action"]
)
LINKS: Final = Gauge("danm_netwatcher_links", "Host links that are wanted, by state", ["state"])
EVENTS_LOST: Final = Counter(
    "danm_netwatcher_kernel_events_lost_total", "Times that the kernel's events ran over"
)
VERDICTS: Final = Counter(
    "danm_netwatcher_verdicts_total", "Verdicts written about DanmNets, by verdict", ["verdict"]
)
