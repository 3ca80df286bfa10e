"""What netwatcher counts, beside what informers and queues count."""

from typing import Final

from prometheus_client import Counter, Gauge

LINK_ACTIONS: Final = Counter(
    "danm_netwatcher_link_actions_total", "Changes made to host links, by kind", ["action"]
)
LINK_REPAIRS: Final = Counter(
    "danm_netwatcher_link_repairs_total",
    "Repairs of host links by what had happened to them: deleted, down, renamed, mtu, source (the "
    "parent's address changed), unmarked (a netwatcher died while it made the link).",
    ["damage"],
)
LINKS: Final = Gauge(
    "danm_netwatcher_links",
    "Host links that are wanted, by state, once all have been compared",
    ["state"],
)
LINK_UP: Final = Gauge(
    "danm_netwatcher_link_up",
    "1 while interfaces can be made on a host link that is wanted, 0 while they cannot; nothing of "
    "a link that nobody has looked at yet",
    ["link"],
)
LINK_LOSSES: Final = Counter(
    "danm_netwatcher_link_losses_total",
    "Times that a host link that could be used no longer could, or had to be mended first",
    ["link"],
)
EVENTS_LOST: Final = Counter(
    "danm_netwatcher_kernel_events_lost_total", "Times that the kernel's events ran over"
)
VERDICTS: Final = Counter(
    "danm_netwatcher_verdicts_total", "Verdicts written about DanmNets, by verdict", ["verdict"]
)
NETWORKS: Final = Gauge(
    "danm_netwatcher_networks",
    "DanmNets by what the validator has said: valid, refused, unjudged. Each replica shows them.",
    ["state"],
)
