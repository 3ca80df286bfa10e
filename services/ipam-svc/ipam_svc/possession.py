"""Judging claims of addresses that a Pod does not ask for, or not any more.

danmd claims again what its Pods' interfaces have when the record has forgotten it (DESIGN, "Nodes
fence"). By then the Pod's annotation, or its network, may say something else than it did when the
Pod got the address, and the interface lives all the same: a refusal that is not final would leave
it there for ever, beside whoever gets the address next (DESIGN, P1).
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from danm_api.errors import AddressTakenError, DanmError, DeadlineExceededError
from danm_api.ipam_api import MAX_TIMEOUT_S
from danm_api.model.addresses import IPAddress
from danm_api.model.attachment import Dynamic, StaticIPv4, StaticIPv6
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import ExternalOwner, Held, Owner, owner_key
from danm_api.names import NetworkUid
from danm_api.record.entries import GIVE_BACK_S, OwnerKey, has_expired
from danm_api.validation import effective_pool, effective_pool6, is_excluded
from ipam_svc.block_ref import NetworkRef
from ipam_svc.ledger import Ledger
from ipam_svc.orders import OrderedAttachment, ReserveOrder
from ipam_svc.owners import without_interface
from ipam_svc.readings import entry_at, is_of
from ipam_svc.taking import Taker

# After that the record tells whether a claim was granted in vain.
_GRANTED_S: Final = MAX_TIMEOUT_S + GIVE_BACK_S


class Possessions:
    """Says which addresses a node may claim for what runs there, whatever is asked for by now."""

    def __init__(self, *, taker: Taker, ledger: Ledger, clock: Callable[[], float]) -> None:
        """Judge by the record."""
        self._taker = taker
        self._ledger = ledger
        self._clock = clock
        # Interfaces whose claims were granted, by network and owner, and until when they count.
        self._granted: dict[tuple[NetworkUid, OwnerKey], dict[str, float]] = {}

    async def require(
        self,
        net: DanmNet,
        order: ReserveOrder,
        attachment: OrderedAttachment,
        *,
        asked: int,
        otherwise: DanmError,
    ) -> None:
        """Make sure that an owner may have just these addresses.

        What somebody else has is taken, so that danmd takes its interface down; by whom is not told
        to somebody whom it does not concern. What the owner has already it may keep. What nobody
        has, an interface that lives keeps best: but of that there is only the node's word, which
        must not be worth more than its Pods are. So it gets an address of the pool only, and only
        while the Pod has fewer interfaces on the network than it asks for by now, whatever they are
        called.

        Args:
            net: The network.
            order: On behalf of whom; the caller is known to act for it.
            attachment: What the owner is not known to ask for.
            asked: How many interfaces on the network it asks for.
            otherwise: What to raise when it may not.

        Raises:
            AddressTakenError: Somebody else has such an address.
            DeadlineExceededError: The record could not be read in time.
        """
        wanted = list(_addresses_of(attachment))
        if not wanted or isinstance(attachment.ip, Dynamic) or isinstance(attachment.ip6, Dynamic):
            raise otherwise
        ref = NetworkRef.of(net)
        try:
            async with asyncio.timeout(order.timeout_s):
                await self._taker.refresh(ref)
        except TimeoutError as error:
            reason = f"{ref} could not be read within {order.timeout_s:g} s"
            raise DeadlineExceededError(reason) from error
        missing = [each for each in wanted if not self._has(ref, attachment.owner, order, each)]
        spec = net.status.applied
        if missing and not (
            isinstance(spec, NetworkSpec)
            and all(_is_dynamic(each, spec) for each in missing)
            and self._grant(ref, order, attachment, asked)
        ):
            raise otherwise

    def _has(self, ref: NetworkRef, owner: Owner, order: ReserveOrder, address: IPAddress) -> bool:
        """Say whether an address is the owner's; it may be free.

        Raises:
            AddressTakenError: It is neither.
        """
        place = ref.block_of(address)
        block = self._ledger.get(ref.uid, place.version, place.start)
        entry = None if block is None else entry_at(block, address)
        if not isinstance(entry, Held) or has_expired(entry, now=self._ledger.moment()):
            return False
        if is_of(entry, owner, order.node):
            return True
        raise AddressTakenError(f"{address} of {ref} is somebody else's by now")

    def _grant(
        self, ref: NetworkRef, order: ReserveOrder, attachment: OrderedAttachment, asked: int
    ) -> bool:
        """Count an interface among those of its owner, unless these are enough.

        What was granted a moment ago counts before the record tells of it: so of many claims at
        once only as many are granted as there are replicas.
        """
        now, key = self._clock(), owner_key(attachment.owner)
        self._granted = {
            place: left
            for place, until in self._granted.items()
            if (left := {name: end for name, end in until.items() if end > now})
        }
        granted = self._granted.setdefault((ref.uid, without_interface(key)), {})
        others = {
            *(
                _interface_of(held.owner)
                for held in self._ledger.held_by_any(ref.uid, key)
                if held.node == order.node
            ),
            *(
                _interface_of(each.owner)
                for each in order.attachments
                if each.network == attachment.network
            ),
            *granted,
        } - {_interface_of(attachment.owner)}
        if len(others) >= asked:
            return False
        granted[_interface_of(attachment.owner)] = now + _GRANTED_S
        return True


def _addresses_of(attachment: OrderedAttachment) -> Iterator[IPAddress]:
    for wanted in (attachment.ip, attachment.ip6):
        if isinstance(wanted, StaticIPv4 | StaticIPv6):
            yield wanted.interface.ip


def _is_dynamic(address: IPAddress, spec: NetworkSpec) -> bool:
    """Say whether an address is one that the network gives to whoever asks for any."""
    pool = effective_pool(spec) if address.version == 4 else effective_pool6(spec)  # noqa: PLR2004
    return pool is not None and address in pool and not is_excluded(spec, address)


def _interface_of(owner: Owner) -> str:
    return "" if isinstance(owner, ExternalOwner) else owner.interface
