"""What ipam-svc counts."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from danm_api.record.reasons import DOUBLE, EXPIRED, LOST_NODE, UNFINISHED

RESERVES: Final = Counter(
    "danm_ipam_reserves", "Requests for addresses, by how they ended.", ["result"]
)
RELEASES: Final = Counter(
    "danm_ipam_releases", "Requests to give addresses back, by how they ended.", ["result"]
)
REQUEST_SECONDS: Final = Histogram(
    "danm_ipam_request_seconds",
    "Time to answer a request.",
    ["method", "path"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
IN_FLIGHT: Final = Gauge("danm_ipam_requests_in_flight", "Requests that are being answered.")
REFUSED: Final = Counter(
    "danm_ipam_requests_refused",
    "Requests refused because too much is asked: by all (503) or by one caller (429).",
    ["status"],
)
CONNECTIONS: Final = Gauge("danm_ipam_connections", "Connections that are open.")
WRITE_SECONDS: Final = Histogram(
    "danm_ipam_block_write_seconds",
    "Time to write a block.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
BATCH_SIZE: Final = Histogram(
    "danm_ipam_batch_size",
    "Changes carried by one write of a block.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
CONFLICTS: Final = Counter(
    "danm_ipam_block_conflicts", "Writes of a block that somebody else's write preceded."
)
RETRIES: Final = Counter(
    "danm_ipam_block_retries",
    "Tries of a block that had to be repeated, since the API server did not answer.",
)
QUEUED: Final = Gauge(
    "danm_ipam_queued_changes",
    "Changes of addresses that wait for a write of their block, or are in it.",
)
OPENED_AHEAD: Final = Counter(
    "danm_ipam_blocks_opened_ahead",
    "Blocks opened before a request needed them; exists: another replica was first.",
    ["result"],
)
UNREADABLE_BLOCKS: Final = Gauge(
    "danm_ipam_unreadable_blocks",
    "Blocks that this replica cannot read: another release or somebody by hand wrote them. Their"
    " addresses are out of use until they are repaired.",
)
CONSISTENT_LISTS: Final = Counter(
    "danm_ipam_consistent_lists", "Consistent lists of a network's blocks."
)
RECLAIMED: Final = Counter(
    "danm_ipam_reclaimed",
    "Addresses freed without their owner, by reason: lost_node, expired, double, unfinished.",
    ["reason"],
)
# Shown before the first one, so that it is an increase.
for _reason in (LOST_NODE, EXPIRED, DOUBLE, UNFINISHED):
    RECLAIMED.labels(_reason.label)
RECLAIM_FAILURES: Final = Counter(
    "danm_ipam_reclaim_failures",
    "Rounds of the Lease holder, or entries in them, that could not free what is dead.",
)
ENDPOINTS_DELETED: Final = Counter(
    "danm_ipam_endpoints_deleted", "DanmEps of lost nodes that were deleted."
)
CERTIFICATE_ENDS: Final = Gauge(
    "danm_ipam_certificate_expiry_timestamp_seconds",
    "When a certificate ends, as Unix time: the one that this replica shows, and its authority's.",
    ["certificate"],
)
