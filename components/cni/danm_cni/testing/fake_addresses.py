"""ipam-svc in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from danm_api.errors import AddressTakenError
from danm_api.ipam_api import (
    AttachmentAnswer,
    AttachmentRequest,
    ContainerOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    ReleaseAnswer,
    ReleaseRequest,
    Reservation,
    ReserveAnswer,
)
from danm_cni.testing.failures import Failures


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Who holds an address."""

    owner: OwnerMessage
    interface: str
    network: str
    address: str
    attempt: int


class FakeAddresses:
    """ipam-svc with one subnet; owners and attempts are judged as by the real one."""

    def __init__(self, node: str) -> None:
        """Hold nothing."""
        self.node = node
        self.entries: list[Entry] = []
        self.fresh: list[bool] = []
        self.via_fakeipam: list[bool] = []
        # Of DanmNets that were made anew: name -> uid.
        self.network_uids: dict[str, str] = {}
        # What is told of a DanmNet's wire: name -> text; nothing by default.
        self.wires: dict[str, str] = {}
        self.failures = Failures()
        self._attempt = 0
        self._next = 10

    async def reserve(
        self,
        owner: OwnerMessage,
        attachments: Sequence[AttachmentRequest],
        *,
        deadline_s: float,
        note_attempt: Callable[[int], None],
        fresh: bool,
        via_fakeipam: bool = False,
    ) -> ReserveAnswer:
        """Reserve; a failure planned as ``reserve-lost`` comes after the effect."""
        self._attempt += 1
        note_attempt(self._attempt)
        self.fresh.append(fresh)
        self.via_fakeipam.append(via_fakeipam)
        await self.failures.meet("reserve")
        for each in attachments:
            self._refuse_taken(owner, each)
        answers = [self._take(owner, each) for each in attachments]
        await self.failures.meet("reserve-lost")
        return ReserveAnswer(attempt=self._attempt, attachments=answers)

    def _refuse_taken(self, owner: OwnerMessage, wanted: AttachmentRequest) -> None:
        """Refuse an address that another owner has; another interface is another owner."""
        for each in self.entries:
            is_own = (identity(each.owner), each.interface) == (identity(owner), wanted.interface)
            if not is_own and each.network == wanted.network and each.address in _asked(wanted):
                holder = f"{identity(each.owner)} ({each.interface})"
                raise AddressTakenError(f"{each.address} is held by {holder}")

    def _take(self, owner: OwnerMessage, wanted: AttachmentRequest) -> AttachmentAnswer:
        taken = {
            key: self._take_one(owner, wanted, asked, new)
            for key, asked, new in (
                ("ip", wanted.ip, f"198.18.0.{self._next}/24"),
                ("ip6", wanted.ip6, f"2001:db8::{self._next:x}/64"),
            )
            if asked != "none"
        }
        self._next += 1
        number = int(ip_address(next(iter(taken.values())).partition("/")[0])) & 0xFFFFFF
        mac = f"fa:16:3e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        return AttachmentAnswer(
            network=wanted.network,
            network_uid=self._network_uid(owner, wanted.network),
            interface=wanted.interface,
            mac=mac,
            wire=self.wires.get(wanted.network),
            **taken,
        )

    def _take_one(
        self, owner: OwnerMessage, wanted: AttachmentRequest, asked: str, new: str
    ) -> str:
        """Return what the owner has already, or take a new one, or the one asked for."""
        address = new if asked == "dynamic" else asked
        for each in self.entries:
            same = (each.network, each.interface) == (wanted.network, wanted.interface)
            if (
                same
                and identity(each.owner) == identity(owner)
                and (":" in each.address) == (":" in new)
            ):
                self.entries.remove(each)
                address = each.address
                break
        self.entries.append(
            Entry(
                owner=owner,
                interface=wanted.interface,
                network=wanted.network,
                address=address,
                attempt=self._attempt,
            )
        )
        return address

    async def release(self, request: ReleaseRequest, *, deadline_s: float) -> ReleaseAnswer:
        """Free what the owner holds under exactly that attempt."""
        await self.failures.meet("release")
        freed = [
            each
            for each in self.entries
            if identity(each.owner) == identity(request.owner)
            and each.attempt == request.attempt
            and each.network in request.networks
            and (not request.interfaces or each.interface in request.interfaces)
        ]
        self.entries = [each for each in self.entries if each not in freed]
        return ReleaseAnswer(released=[self._shown(each) for each in freed])

    async def node_reservations(self) -> Sequence[Reservation]:
        """Return all entries."""
        await self.failures.meet("list")
        return [self._shown(each) for each in self.entries]

    def _network_uid(self, owner: OwnerMessage, network: str) -> str:
        """Return what the builders of DanmNets give, unless it was made anew."""
        return self.network_uids.get(network, f"uid-{owner.namespace}-{network}")

    def _shown(self, entry: Entry) -> Reservation:
        return Reservation(
            network=entry.network,
            network_uid=self._network_uid(entry.owner, entry.network),
            address=entry.address.partition("/")[0],
            owner=entry.owner,
            interface=entry.interface,
            node=self.node,
            attempt=entry.attempt,
            since=datetime(2026, 1, 1, tzinfo=UTC),
            mac="",
        )


def _asked(wanted: AttachmentRequest) -> tuple[str, str]:
    return (wanted.ip, wanted.ip6)


def identity(owner: OwnerMessage) -> str:
    """Return what tells owners apart."""
    match owner:
        case PodOwnerMessage():
            return owner.uid
        case ContainerOwnerMessage():
            return owner.container_id
    return owner.name
