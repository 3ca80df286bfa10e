"""Entries of this node in ipam-svc that no journal knows of (DESIGN, "Nodes fence")."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from danm_api.errors import LinkSetupError
from danm_api.ipam_api import ReleaseRequest, Reservation
from danm_api.model.addresses import IPAddress
from danm_api.names import NodeName
from danm_api.telemetry import get_logger
from danm_cni.allocation_journal import AllocationRecord
from danm_cni.edges import AddressService, InterfaceMaker
from danm_cni.journal import SandboxRecord
from danm_cni.metrics import ADDRESSES_UNKNOWN
from danm_cni.netns import NetnsGoneError
from danm_cni.news import UNKNOWN, AddressNews, of_entry
from danm_cni.rounds import attempt, side_by_side

log = get_logger(__name__)

_RELEASE_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """Releases such entries, unless a namespace has the address and no journal explains that.

    A journal may have been lost, or one record of it, and what it told of may live (DESIGN, P3). So
    while there are such entries, all namespaces are read; usually there are none.
    """

    node: NodeName
    addresses: AddressService
    kernel: InterfaceMaker
    news: AddressNews

    async def release(
        self,
        entries: Sequence[Reservation],
        *,
        sandboxes: Iterable[SandboxRecord],
        allocations: Iterable[AllocationRecord],
    ) -> bool:
        """Release entries that nobody knows.

        Args:
            entries: The unknown ones.
            sandboxes: All records.
            allocations: All records.

        Returns:
            Whether none of them is left.

        Raises:
            LinkSetupError: The node's namespaces cannot be read, so nothing is released.
        """
        ADDRESSES_UNKNOWN.set(len(entries))
        if not entries:
            return True
        live = await self._live_addresses(_explained(sandboxes, allocations))
        released: list[Reservation] = []

        async def release(entry: Reservation) -> None:
            if ip_address(entry.address) in live:
                log.warning(
                    "Unknown address is in use on this node",
                    network=entry.network,
                    address=entry.address,
                )
            elif await attempt("Unknown address", self._release(entry)):
                released.append(entry)

        await side_by_side(release(each) for each in entries)
        left = len(entries) - len(released)
        ADDRESSES_UNKNOWN.set(left)
        return left == 0

    async def _release(self, entry: Reservation) -> None:
        answer = await self.addresses.release(
            ReleaseRequest(
                owner=entry.owner,
                attempt=entry.attempt,
                networks=[entry.network],
                interfaces=[entry.interface],
                node=self.node,
                timeout_s=_RELEASE_TIMEOUT_S,
            ),
            deadline_s=time.monotonic() + _RELEASE_TIMEOUT_S,
        )
        self.news.note(UNKNOWN, map(of_entry, answer.released))

    async def _live_addresses(
        self, explained: Mapping[str, frozenset[IPAddress]]
    ) -> frozenset[IPAddress]:
        """Return the addresses of all namespaces less those that records of each tell of.

        Tenants use the same addresses: one that is another's network's is no reason to stay.
        """
        paths = {path: path for path in explained}
        paths |= {_canonical(path): path for path in await self.kernel.named_namespaces()}
        found: set[IPAddress] = set()
        for name, path in paths.items():
            try:
                present = await self.kernel.addresses(path)
            except NetnsGoneError:
                continue
            except LinkSetupError as error:
                log.warning("Namespace cannot be read", netns=path, error=error.reason)
                raise
            found |= present - explained.get(name, frozenset())
        return frozenset(found)


def _explained(
    sandboxes: Iterable[SandboxRecord], allocations: Iterable[AllocationRecord]
) -> Mapping[str, frozenset[IPAddress]]:
    """Return the addresses that records tell of, by the paths of their namespaces; pure."""
    found: defaultdict[str, frozenset[IPAddress]] = defaultdict(frozenset)
    for sandbox in sandboxes:
        for interface in sandbox.interfaces:
            found[_canonical(sandbox.netns)] |= {ip_address(each) for each in interface.addresses}
    for allocation in allocations:
        found[_canonical(allocation.netns)] |= allocation.addresses
    # Of a container that has none.
    found.pop("", None)
    return found


def _canonical(path: str) -> str:
    """Return a path as all name it: /run and /var/run are one directory."""
    return f"/var{path}" if path.startswith("/run/") else path
