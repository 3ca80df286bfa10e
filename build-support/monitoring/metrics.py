"""The names of the metrics that dashboards and alerts ask for, from the objects that count."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from danm_api.kube import metrics as kube
from danm_api.telemetry import scrapes
from danm_cni import metrics as danmd
from ipam_svc import metrics as ipam
from ipam_svc.network_addresses import ADDRESSES_NAME, POOL_SIZE_NAME
from netwatcher import metrics as netwatcher
from svcwatcher import metrics as svcwatcher


def gauge(metric: Gauge) -> str:
    """Return the name of a gauge's samples."""
    return _family(metric)


def total(metric: Counter) -> str:
    """Return the name of a counter's samples."""
    return f"{_family(metric)}_total"


def _family(metric: Counter | Gauge | Histogram) -> str:
    (family,) = metric.describe()
    return family.name


class Buckets:
    """The names of a histogram's samples."""

    def __init__(self, metric: Histogram) -> None:
        """Name the samples of a histogram."""
        self.bucket: Final = f"{_family(metric)}_bucket"
        self.count: Final = f"{_family(metric)}_count"
        self.sum: Final = f"{_family(metric)}_sum"


# Prometheus' own, of each target.
UP: Final = "up"

# every process
READY: Final = gauge(scrapes.READY)
INFORMER_HEARD: Final = gauge(kube.INFORMER_HEARD)
INFORMER_OBJECTS: Final = gauge(kube.INFORMER_OBJECTS)
INFORMER_EVENTS: Final = total(kube.INFORMER_EVENTS)
INFORMER_LISTS: Final = total(kube.INFORMER_LISTS)
INFORMER_ERRORS: Final = total(kube.INFORMER_ERRORS)
INFORMER_UNDECODABLE: Final = total(kube.INFORMER_UNDECODABLE)
QUEUE_DEPTH: Final = gauge(kube.QUEUE_DEPTH)
RECONCILES: Final = total(kube.RECONCILES)
RECONCILE: Final = Buckets(kube.RECONCILE_SECONDS)
LEADING: Final = gauge(kube.LEADING)
EVENTS_LOST: Final = total(kube.EVENTS_LOST)

# danmd
REQUEST: Final = Buckets(danmd.REQUESTS)
STEP: Final = Buckets(danmd.STEPS)
ERRORS: Final = total(danmd.ERRORS)
SANDBOXES: Final = gauge(danmd.SANDBOXES)
FAKEIPAM_ADDRESSES: Final = gauge(danmd.ALLOCATIONS)
WAITING: Final = gauge(danmd.WAITING)
UNFINISHED_REMOVALS: Final = gauge(danmd.UNFINISHED_REMOVALS)
UNKNOWN_ADDRESSES: Final = gauge(danmd.ADDRESSES_UNKNOWN)
GIVEN_BACK: Final = total(danmd.ADDRESSES_GIVEN_BACK)
CLAIMED: Final = total(danmd.ADDRESSES_CLAIMED)
LOST: Final = total(danmd.ADDRESSES_LOST)
ENDPOINTS_RESTORED: Final = total(danmd.ENDPOINTS_RESTORED)

# ipam-svc
ADDRESSES: Final = ADDRESSES_NAME
POOL_SIZE: Final = POOL_SIZE_NAME
RESERVES: Final = total(ipam.RESERVES)
RELEASES: Final = total(ipam.RELEASES)
IPAM_REQUEST: Final = Buckets(ipam.REQUEST_SECONDS)
IN_FLIGHT: Final = gauge(ipam.IN_FLIGHT)
REFUSED: Final = total(ipam.REFUSED)
CONNECTIONS: Final = gauge(ipam.CONNECTIONS)
BLOCK_WRITE: Final = Buckets(ipam.WRITE_SECONDS)
BATCH: Final = Buckets(ipam.BATCH_SIZE)
CONFLICTS: Final = total(ipam.CONFLICTS)
CONSISTENT_LISTS: Final = total(ipam.CONSISTENT_LISTS)
RECLAIMED: Final = total(ipam.RECLAIMED)
UNREADABLE_BLOCKS: Final = gauge(ipam.UNREADABLE_BLOCKS)
RECLAIM_FAILURES: Final = total(ipam.RECLAIM_FAILURES)
ENDPOINTS_DELETED: Final = total(ipam.ENDPOINTS_DELETED)
CERTIFICATE_ENDS: Final = gauge(ipam.CERTIFICATE_ENDS)

# netwatcher
LINKS: Final = gauge(netwatcher.LINKS)
LINK_UP: Final = gauge(netwatcher.LINK_UP)
LINK_ACTIONS: Final = total(netwatcher.LINK_ACTIONS)
LINK_LOSSES: Final = total(netwatcher.LINK_LOSSES)
KERNEL_EVENTS_LOST: Final = total(netwatcher.EVENTS_LOST)
VERDICTS: Final = total(netwatcher.VERDICTS)

# svcwatcher
WRITES: Final = total(svcwatcher.WRITES)
FOLLOW: Final = Buckets(svcwatcher.CONVERGENCE_SECONDS)
COMPLAINTS: Final = total(svcwatcher.COMPLAINTS)
