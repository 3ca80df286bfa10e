"""Who uses a DanmNet, read consistently: its blocks' entries and its DanmEps.

All lists go by label, so they cost what the networks are, and they are read only when an edit
depends on the answer (SPEC N1, N5). With ``fence`` the blocks concerned are written first, so that
whatever ipam-svc writes by what it has read before fails: what is read then stays so (decision
0010).

A block that this release cannot read hides nobody: each of its addresses counts as held, by it.
Nor need it be fenced, as nothing that is written there could make more of them held.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, Protocol

from danm_api import labels
from danm_api.codec.danmep import decode_endpoint_identity
from danm_api.codec.ip_block import read_ip_block
from danm_api.errors import ConflictError, NotFoundError
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, KubeApi, RawObject
from danm_api.kube.backoff import delay_after
from danm_api.model.addresses import IPAddress, IPNetwork
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import (
    ContainerOwner,
    ExternalOwner,
    Held,
    IPBlock,
    Owner,
    PodOwner,
    UnreadableBlock,
)
from netwatcher.applied import NetworkUse, is_in_pools, is_in_subnets, reaches_into_pools

_CONTAINER_ID_SHOWN = 12

# About two seconds of tries: a block that ipam-svc writes without end must not keep the validator,
# which judges one DanmNet after the other, from all others.
_FENCE_TRIES: Final = 10
_FENCE_BASE_S: Final = 0.01
_FENCE_MAX_S: Final = 0.5


class UseReader(Protocol):
    """Finds out who uses a network."""

    async def use_of(
        self, net: DanmNet, *, fence: Callable[[IPNetwork], bool] | None = None
    ) -> NetworkUse:
        """Return who uses a network now.

        Args:
            net: The network.
            fence: Which of its blocks to fence before.

        Raises:
            DanmError: Nobody can tell now; what depends on it has to wait.
        """
        ...

    async def holders_in_pools(
        self, net: DanmNet, spec: NetworkSpec, others: Iterable[DanmNet], *, fence: bool
    ) -> Mapping[IPAddress, str]:
        """Return who holds addresses of a network's pools without being of that network.

        Args:
            net: The network.
            spec: Its spec with the pools.
            others: The DanmNets on its wire. Of a former DanmNet of its name, which somebody has
                deleted by force, all addresses of the subnets count too.
            fence: Fence the blocks that reach into the pools before.

        Raises:
            DanmError: Nobody can tell now; what depends on it has to wait.
        """
        ...


class ClusterUseReader:
    """Asks the API server."""

    def __init__(
        self, api: KubeApi, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._api = api
        self._sleep = sleep

    async def use_of(
        self, net: DanmNet, *, fence: Callable[[IPNetwork], bool] | None = None
    ) -> NetworkUse:
        """Return who uses a network now."""
        if fence is not None:
            for raw in await self._blocks(net, f"{labels.NETWORK_UID}={net.uid}"):
                block = read_ip_block(raw)
                if isinstance(block, IPBlock) and fence(block.cidr):
                    await self._fence(raw)
        listed = await self._blocks(net, f"{labels.NETWORK_UID}={net.uid}")
        blocks = [read_ip_block(raw) for raw in listed]
        endpoints = await self._api.list(
            DANMEPS,
            namespace=net.namespace,
            label_selector=f"{labels.NETWORK}={labels.label_value(net.name)}",
        )
        return NetworkUse(
            interfaces=(
                *(
                    f"Pod {endpoint.namespace}/{endpoint.pod}"
                    # Whatever else a DanmEp says, it uses the network.
                    for endpoint in map(decode_endpoint_identity, endpoints.items)
                    # A label may be the hash of a long name.
                    if endpoint.network == net.name
                ),
                # One whose name tells no place may hold anything.
                *(_unreadable(block) for block in blocks if isinstance(block, UnreadableBlock)),
            ),
            holders=dict(chain.from_iterable(map(_holders, blocks))),
        )

    async def holders_in_pools(
        self, net: DanmNet, spec: NetworkSpec, others: Iterable[DanmNet], *, fence: bool
    ) -> Mapping[IPAddress, str]:
        """Return who holds addresses of a network's pools without being of that network."""
        found: dict[IPAddress, str] = {}
        for other in others:
            for raw in await self._blocks(other, f"{labels.NETWORK_UID}={other.uid}"):
                block = read_ip_block(raw)
                # No address is handed out of one whose name tells no place.
                if block.cidr is None or not reaches_into_pools(spec, block.cidr):
                    continue
                where = f"DanmNet {other.namespace}/{other.name}"
                for address, holder in await self._held(raw, block, fence=fence):
                    if is_in_pools(spec, address):
                        found[address] = f"{holder} on {where}"
        where = f"a former DanmNet {net.namespace}/{net.name}"
        for raw in await self._blocks(net, f"{labels.NETWORK}={labels.label_value(net.name)}"):
            block = read_ip_block(raw)
            # What cannot be read has its label only to tell the name.
            is_of_name = isinstance(block, UnreadableBlock) or block.network == net.name
            if is_of_name and block.network_uid != net.uid:
                for address, holder in await self._held(raw, block, fence=fence):
                    if is_in_subnets(spec, address):
                        found[address] = f"{holder} on {where}"
        return found

    async def _held(
        self, raw: RawObject, block: IPBlock | UnreadableBlock, *, fence: bool
    ) -> list[tuple[IPAddress, str]]:
        fenced = await self._fence(raw) if fence and isinstance(block, IPBlock) else block
        return [] if fenced is None else list(_holders(fenced))

    async def _blocks(self, net: DanmNet, selector: str) -> list[RawObject]:
        listed = await self._api.list(
            DANMIPBLOCKS, namespace=net.namespace, label_selector=selector
        )
        return listed.items

    async def _fence(self, raw: RawObject) -> IPBlock | UnreadableBlock | None:
        """Write a block unchanged but for its fence, and return what it holds then.

        Its JSON form is kept: it may have fields of another release.

        Raises:
            ConflictError: Others write it all the time.
        """
        metadata = raw["metadata"]
        for tries in range(1, _FENCE_TRIES + 1):
            spec = {**raw["spec"], "fence": raw["spec"].get("fence", 0) + 1}
            try:
                written = await self._api.replace(
                    DANMIPBLOCKS, {**raw, "spec": spec}, namespace=metadata["namespace"]
                )
                return read_ip_block(written)
            except ConflictError:
                # ipam-svc writes it: read what it holds now.
                await self._sleep(delay_after(tries, base_s=_FENCE_BASE_S, max_s=_FENCE_MAX_S))
            except NotFoundError:
                return None
            try:
                raw = await self._api.get(
                    DANMIPBLOCKS, metadata["name"], namespace=metadata["namespace"]
                )
            except NotFoundError:
                return None
            block = read_ip_block(raw)
            if isinstance(block, UnreadableBlock):
                return block
        raise ConflictError(
            f"DanmIPBlock {metadata['namespace']}/{metadata['name']} was written by somebody else"
            f" {_FENCE_TRIES} times in a row"
        )


def _holders(block: IPBlock | UnreadableBlock) -> Iterator[tuple[IPAddress, str]]:
    """Yield the addresses that are held in a block, and by whom."""
    match block:
        case IPBlock(entries=entries):
            for entry in entries:
                if isinstance(entry, Held):
                    yield entry.address, _in_words(entry.owner)
        case UnreadableBlock(cidr=cidr):
            for address in () if cidr is None else cidr:
                yield address, _unreadable(block)


def _unreadable(block: UnreadableBlock) -> str:
    return f"the unreadable DanmIPBlock {block.namespace}/{block.name}"


def _in_words(owner: Owner) -> str:
    match owner:
        case PodOwner(namespace=namespace, name=name):
            return f"Pod {namespace}/{name}"
        case ContainerOwner(container_id=container_id):
            return f"container {container_id[:_CONTAINER_ID_SHOWN]}"
        case ExternalOwner(name=name):
            return f"external owner {name}"
