"""What serves fakeipam, put together: the same in the full danmd and with --ipam-only."""

from danm_cni.allocation_journal import AllocationJournal
from danm_cni.allocation_release import AllocationRelease
from danm_cni.allocation_upkeep import AllocationUpkeep
from danm_cni.allocations import Allocations
from danm_cni.concurrency import Admission
from danm_cni.config import Config
from danm_cni.edges import AddressService, InterfaceMaker, NetworkSource, PodSource
from danm_cni.news import AddressNews
from danm_cni.request import Program
from danm_cni.tombstones import Tombstones


def allocation_service(
    config: Config,
    *,
    addresses: AddressService,
    kernel: InterfaceMaker,
    networks: NetworkSource,
    pods: PodSource,
    news: AddressNews,
) -> AllocationUpkeep:
    """Put the parts together; the caller loads the journal."""
    journal = AllocationJournal(config.paths.allocations)
    return AllocationUpkeep(
        journal=journal,
        allocations=Allocations(
            journal=journal,
            addresses=addresses,
            release=AllocationRelease(
                node=config.node, journal=journal, addresses=addresses, kernel=kernel, news=news
            ),
            kernel=kernel,
            pods=pods,
            networks=networks,
            tombstones=Tombstones(config.paths.fakeipam_tombstones, program=Program.FAKEIPAM),
            admission=Admission(limit=config.max_sandboxes, queue_limit=config.max_waiting),
        ),
        addresses=addresses,
        kernel=kernel,
        news=news,
    )
