"""Entries of this node in ipam-svc that no journal knows of (DESIGN, "Nodes fence")."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from danm_api.errors import LinkSetupError
from danm_api.ipam_api import ReleaseRequest, Reservation
from danm_api.model.addresses import IPAddress
from danm_api.names import NodeName
from danm_api.telemetry import get_logger
from danm_cni.edges import AddressService, InterfaceMaker
from danm_cni.metrics import ADDRESSES_UNKNOWN
from danm_cni.netns import NetnsGoneError
from danm_cni.news import UNKNOWN, AddressNews, of_entry
from danm_cni.rounds import attempt, side_by_side

log = get_logger(__name__)

_RELEASE_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """Releases such entries, unless a namespace that no journal explains has the address.

    A journal may have been lost, and what it told of may live (DESIGN, P3).
    """

    node: NodeName
    addresses: AddressService
    kernel: InterfaceMaker
    news: AddressNews

    async def release(
        self, entries: Sequence[Reservation], *, known_namespaces: Collection[str]
    ) -> bool:
        """Release entries that nobody knows.

        Args:
            entries: The unknown ones.
            known_namespaces: Those whose addresses the journals explain.

        Returns:
            Whether none of them is left.

        Raises:
            LinkSetupError: The node's namespaces cannot be read, so nothing is released.
        """
        ADDRESSES_UNKNOWN.set(len(entries))
        if not entries:
            return True
        live = await self._live_addresses(known_namespaces)
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

    async def _live_addresses(self, known_namespaces: Collection[str]) -> frozenset[IPAddress]:
        """Return the addresses of the namespaces that no journal explains."""
        known = {_file_name(path) for path in known_namespaces}
        found: set[IPAddress] = set()
        for path in await self.kernel.named_namespaces():
            if _file_name(path) in known:
                continue
            try:
                found |= await self.kernel.addresses(path)
            except NetnsGoneError:
                continue
            except LinkSetupError as error:
                log.warning("Namespace cannot be read", netns=path, error=error.reason)
                raise
        return frozenset(found)


def _file_name(path: str) -> str:
    """Namespaces have names of their own; /run and /var/run are one directory."""
    return path.rpartition("/")[2]
