"""The life and death of a DanmNet (SPEC A5; DESIGN, "Life and death of a DanmNet").

Run by the Lease holder. Every DanmNet that may be used has the finalizer; it goes when the DanmNet
is being deleted and nothing uses it: no address, and no interface either.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from danm_api import labels
from danm_api.codec.danmep import decode_endpoint_identity
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.danmnet_update import with_status
from danm_api.errors import (
    InvalidNetworkError,
    NetworkNotFoundError,
    NetworkNotReadyError,
    NotFoundError,
)
from danm_api.kube.api import DANMEPS, DANMNETS, KubeApi, RawObject
from danm_api.model.danmep import EndpointIdentity
from danm_api.model.danmnet import CONDITION_IN_USE, Condition, DanmNet
from danm_api.model.ip_block import Held, IPBlock
from danm_api.names import Namespace, NetworkName
from danm_api.record.entries import describe_owner, held_entries
from danm_api.telemetry import get_logger
from ipam_svc.block import Seal
from ipam_svc.block_ref import NetworkRef
from ipam_svc.committer import Committer
from ipam_svc.kube_store import KubeStore
from ipam_svc.store import BlockList

_log = get_logger(__name__)

_SEAL_TIMEOUT_S: Final = 10.0
# A condition names some of the users; kubectl lists the rest.
_NAMED_USERS: Final = 5


class NetworkKeeper:
    """Protects DanmNets and lets go of those that nothing uses."""

    def __init__(
        self,
        api: KubeApi,
        *,
        store: KubeStore,
        committer: Committer,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        """Keep the networks of a cluster."""
        self._api = api
        self._store = store
        self._committer = committer
        self._now = now
        self._clock = clock

    async def reconcile(self, namespace: Namespace, name: NetworkName) -> bool:
        """Bring one DanmNet's finalizer in order.

        Returns:
            Whether it has to be looked at again: it is being deleted and still in use.

        Raises:
            DanmError: The API server refuses, or somebody else writes at this moment.
        """
        try:
            raw = await self._api.get(DANMNETS, name, namespace=namespace)
        except NotFoundError:
            return False
        net = decode_danmnet(raw)
        if not net.deleting:
            await self._protect(net)
            return False
        if labels.DANMNET_FINALIZER not in net.finalizers:
            return False
        users = await self._users(net)
        if users:
            await self._say_in_use(raw, net, users)
            return True
        try:
            await self._store.release_network(raw)
        except NotFoundError:
            # Another one was quicker.
            return False
        _log.info("Released DanmNet", namespace=namespace, name=name)
        return False

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

    async def _users(self, net: DanmNet) -> list[str]:
        """Return who uses a DanmNet that is being deleted; when nobody does, its blocks are gone.

        A block that a creator is about to make is met by its own look at the DanmNet, which comes
        after the block's creation and so after this deletion (see Committer).
        """
        blocks = await self._store.list_blocks(net.namespace, net.uid)
        for block in blocks.blocks:
            if not block.sealed:
                await self._seal(net, block)
        blocks = await self._store.list_blocks(net.namespace, net.uid)
        users = [_user(held) for block in blocks.blocks for held in held_entries(block)]
        users += [_user_of(endpoint) for endpoint in await self._endpoints(net)]
        if not users:
            await self._remove(blocks)
        return users

    async def _seal(self, net: DanmNet, block: IPBlock) -> None:
        await self._committer.commit(
            NetworkRef.of(net).block_of(block.cidr.network_address),
            Seal(),
            deadline=self._clock() + _SEAL_TIMEOUT_S,
        )

    async def _remove(self, blocks: BlockList) -> None:
        for block in blocks.blocks:
            await self._store.remove_block(block)

    async def _endpoints(self, net: DanmNet) -> list[EndpointIdentity]:
        found = await self._api.list(
            DANMEPS,
            namespace=net.namespace,
            label_selector=f"{labels.NETWORK}={labels.label_value(net.name)}",
        )
        endpoints = (decode_endpoint_identity(raw) for raw in found.items)
        # A long name's label is a hash.
        return [endpoint for endpoint in endpoints if endpoint.network == net.name]

    async def _say_in_use(self, raw: RawObject, net: DanmNet, users: Sequence[str]) -> None:
        named = ", ".join(dict.fromkeys(users[:_NAMED_USERS]))
        more = len(users) - _NAMED_USERS
        message = (
            f"deletion waits for {len(users)} in use: {named}"
            + (f" and {more} more" if more > 0 else "")
            + "; delete these Pods, or release what external owners hold"
        )
        known = net.status.condition(CONDITION_IN_USE)
        if known is not None and known.status is True and known.message == message:
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
        others = tuple(each for each in net.status.conditions if each.type != CONDITION_IN_USE)
        status = replace(net.status, conditions=(*others, condition))
        await self._api.replace(
            DANMNETS, with_status(raw, status), namespace=net.namespace, subresource="status"
        )


def _user(held: Held) -> str:
    return f"{held.address} of {describe_owner(held.owner)}"


def _user_of(endpoint: EndpointIdentity) -> str:
    if not endpoint.pod or not endpoint.interface:
        return f"DanmEp {endpoint.namespace}/{endpoint.name}"
    return f"interface {endpoint.interface} of Pod {endpoint.namespace}/{endpoint.pod}"
