"""The life and death of a DanmNet (SPEC A5; DESIGN, "Life and death of a DanmNet").

Run by the Lease holder. Every DanmNet that may be used has the finalizer; it goes when the DanmNet
is being deleted and nothing uses it: no address, and no interface either.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Final

from danm_api import labels
from danm_api.codec.danmep import decode_endpoint_identity
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.danmnet_update import with_condition
from danm_api.errors import (
    InvalidNetworkError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    NotFoundError,
)
from danm_api.kube.api import DANMEPS, DANMNETS, KubeApi, RawObject
from danm_api.model.danmep import EndpointIdentity
from danm_api.model.danmnet import CONDITION_IN_USE, Condition, DanmNet
from danm_api.model.ip_block import Held, IPBlock, UnreadableBlock
from danm_api.names import Namespace, NetworkName
from danm_api.record.entries import describe_owner, held_entries
from danm_api.telemetry import get_logger
from ipam_svc.block_change import Seal
from ipam_svc.block_ref import NetworkRef
from ipam_svc.committer import Committer
from ipam_svc.kube_store import KubeStore
from ipam_svc.ledger import Ledger
from ipam_svc.steps import for_each
from ipam_svc.store import BlockList

_log = get_logger(__name__)

_SEAL_TIMEOUT_S: Final = 10.0
_SEALS_AT_ONCE: Final = 8
# A condition names some of the users; kubectl lists the rest.
_NAMED_USERS: Final = 5
# How often a DanmNet that is being deleted is looked at while something uses it: its blocks' watch
# tells of addresses, nothing tells of interfaces without one. The last of many is not gone soon.
_SHORTEST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 30.0
_SEEN_PER_S: Final = 50
# DESIGN, "Blocks": "otherwise at most every 30 s".
_QUIET_S: Final = 30.0


class NetworkKeeper:
    """Protects DanmNets and lets go of those that nothing uses."""

    def __init__(
        self,
        api: KubeApi,
        *,
        store: KubeStore,
        ledger: Ledger,
        committer: Committer,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """Keep the networks of a cluster."""
        self._api = api
        self._store = store
        self._ledger = ledger
        self._committer = committer
        self._now = now
        self._clock = clock
        # When each DanmNet in use was last told so, by this replica.
        self._said_at: dict[tuple[Namespace, NetworkName], float] = {}

    async def reconcile(self, namespace: Namespace, name: NetworkName) -> float | None:
        """Bring one DanmNet's finalizer in order.

        Returns:
            After how many seconds it has to be looked at again, since it is being deleted and still
            in use; None when it need not be.

        Raises:
            DanmError: The API server refuses, or somebody else writes at this moment.
        """
        try:
            raw = await self._api.get(DANMNETS, name, namespace=namespace)
        except NotFoundError:
            return None
        net = decode_danmnet(raw)
        if not net.deleting:
            await self._protect(net)
            return None
        if labels.DANMNET_FINALIZER not in net.finalizers:
            return None
        use = await self._use(net)
        if use is not None:
            await self._say_in_use(raw, net, use)
            return min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, use.seen / _SEEN_PER_S))
        try:
            await self._store.release_network(raw)
        except NotFoundError:
            # Another one was quicker.
            return None
        _log.info("Released DanmNet", namespace=namespace, name=name)
        return None

    async def _protect(self, net: DanmNet) -> None:
        try:
            net.spec_in_force()
        except (InvalidNetworkError, NetworkNotReadyError):
            return
        try:
            await self._store.protect_network(net)
        except (NetworkNotFoundError, NetworkNotReadyError):
            # It went away or is going: the next event tells.
            return

    async def _use(self, net: DanmNet) -> "_Use | None":
        """Return who uses a DanmNet that is being deleted; when nobody does, its blocks are gone.

        That somebody does may be believed of the watch, however late it is: the DanmNet stays then.
        That nobody does has to be read.

        A block that a creator is about to make is met by its own look at the DanmNet, which comes
        after the block's creation and so after this deletion (see Committer).
        """
        known = self._ledger.blocks_of(net.uid)
        await self._seal_all(net, known)
        use = _use_of(known, self._ledger.unreadable.of(net.uid))
        if use is not None:
            return use
        blocks = await self._store.list_blocks(net.namespace, net.uid)
        if await self._seal_all(net, blocks.blocks):
            blocks = await self._store.list_blocks(net.namespace, net.uid)
        use = _use_of(blocks.blocks, blocks.unreadable) or await self._interfaces(net)
        if use is None:
            await self._remove(blocks)
        return use

    async def _seal_all(self, net: DanmNet, blocks: Sequence[IPBlock]) -> bool:
        """Seal those that are not; say whether there was any."""
        unsealed = [block for block in blocks if not block.sealed]
        if not unsealed:
            return False
        await for_each(unsealed, lambda block: self._seal(net, block), at_once=_SEALS_AT_ONCE)
        return True

    async def _seal(self, net: DanmNet, block: IPBlock) -> None:
        await self._committer.commit(
            NetworkRef.of(net).block_of(block.cidr.network_address),
            Seal(),
            deadline=self._clock() + _SEAL_TIMEOUT_S,
        )

    async def _remove(self, blocks: BlockList) -> None:
        for block in blocks.blocks:
            await self._store.remove_block(block)

    async def _interfaces(self, net: DanmNet) -> "_Use | None":
        """Return whose interfaces are on a network, from as few pages as name enough of them."""
        found: list[str] = []
        pages = self._api.pages(
            DANMEPS,
            namespace=net.namespace,
            label_selector=f"{labels.NETWORK}={labels.label_value(net.name)}",
        )
        async with aclosing(pages):
            async for page in pages:
                endpoints = map(decode_endpoint_identity, page.items)
                # A long name's label is a hash.
                found += [_user_of(each) for each in endpoints if each.network == net.name]
                if len(found) > _NAMED_USERS:
                    break
        return _Use.of(found, seen=len(found))

    async def _say_in_use(self, raw: RawObject, net: DanmNet, use: "_Use") -> None:
        """Tell who uses a DanmNet. Every node reads it, so not at once which of many comes next."""
        message = (
            f"deletion waits for {', '.join(use.named)}"
            + (" and more" if use.more else "")
            + "; delete these Pods, or release what external owners hold"
        )
        known = net.status.condition(CONDITION_IN_USE)
        told = known is not None and known.status is True
        if told and known is not None and known.message == message:
            return
        key = (net.namespace, net.name)
        said_at = self._said_at.get(key)
        if told and use.more and said_at is not None and self._clock() < said_at + _QUIET_S:
            return
        condition = Condition(
            type=CONDITION_IN_USE,
            status=True,
            reason="InUse",
            message=message,
            observed_generation=net.generation,
            last_transition=(
                known.last_transition if known and known.status is True else self._now()
            ),
        )
        await self._api.replace(
            DANMNETS,
            with_condition(raw, condition),
            namespace=net.namespace,
            subresource="status",
        )
        now = self._clock()
        self._said_at = {each: at for each, at in self._said_at.items() if now < at + _QUIET_S}
        self._said_at[key] = now


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """Who uses a DanmNet.

    Attributes:
        named: Some of them.
        more: There are others.
        seen: About how many were met.
    """

    named: tuple[str, ...]
    more: bool
    seen: int

    @classmethod
    def of(cls, users: Iterable[str], *, seen: int) -> "_Use | None":
        """Return the use by users, of whom no more are looked at than are named."""
        named = tuple(dict.fromkeys(islice(users, _NAMED_USERS + 1)))
        if not named:
            return None
        return cls(named=named[:_NAMED_USERS], more=len(named) > _NAMED_USERS, seen=seen)


def _use_of(blocks: Sequence[IPBlock], unreadable: Sequence[UnreadableBlock]) -> _Use | None:
    """Return who holds addresses in blocks, or may: one that cannot be read may hold any."""
    held = (_user(each) for block in blocks for each in held_entries(block))
    odd = (
        f"a block that may be in use until it is repaired ({each.reason})" for each in unreadable
    )
    return _Use.of(chain(odd, held), seen=sum(len(block.entries) for block in blocks))


def _user(held: Held) -> str:
    return f"{held.address} of {describe_owner(held.owner)}"


def _user_of(endpoint: EndpointIdentity) -> str:
    if not endpoint.pod or not endpoint.interface:
        return f"DanmEp {endpoint.namespace}/{endpoint.name}"
    return f"interface {endpoint.interface} of Pod {endpoint.namespace}/{endpoint.pod}"
