"""Who uses a DanmNet, read consistently: its blocks' entries and its DanmEps.

All lists go by label, so they cost what the networks are, and they are read only when an edit
depends on the answer (SPEC N1, N5). With ``fence`` the blocks concerned are written first, so that
whatever ipam-svc writes by what it has read before fails: what is read then stays so (decision
0010).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol

from danm_api import labels
from danm_api.codec.danmep import decode_endpoint_identity
from danm_api.codec.ip_block import decode_ip_block
from danm_api.errors import ConflictError, NotFoundError
from danm_api.kube.api import DANMEPS, DANMIPBLOCKS, KubeApi, RawObject
from danm_api.kube.backoff import delay_after
from danm_api.model.addresses import IPAddress, IPNetwork
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.model.ip_block import ContainerOwner, ExternalOwner, Held, IPBlock, Owner, PodOwner
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
                if fence(decode_ip_block(raw).cidr):
                    await self._fence(raw)
        blocks = await self._blocks(net, f"{labels.NETWORK_UID}={net.uid}")
        endpoints = await self._api.list(
            DANMEPS,
            namespace=net.namespace,
            label_selector=f"{labels.NETWORK}={labels.label_value(net.name)}",
        )
        return NetworkUse(
            interfaces=tuple(
                f"Pod {endpoint.namespace}/{endpoint.pod}"
                # Whatever else a DanmEp says, it uses the network.
                for endpoint in map(decode_endpoint_identity, endpoints.items)
                # A label may be the hash of a long name.
                if endpoint.network == net.name
            ),
            holders={
                entry.address: _in_words(entry.owner)
                for block in map(decode_ip_block, blocks)
                for entry in _held(block)
            },
        )

    async def holders_in_pools(
        self, net: DanmNet, spec: NetworkSpec, others: Iterable[DanmNet], *, fence: bool
    ) -> Mapping[IPAddress, str]:
        """Return who holds addresses of a network's pools without being of that network."""
        found: dict[IPAddress, str] = {}
        for other in others:
            for raw in await self._blocks(other, f"{labels.NETWORK_UID}={other.uid}"):
                if not reaches_into_pools(spec, decode_ip_block(raw).cidr):
                    continue
                where = f"DanmNet {other.namespace}/{other.name}"
                for entry in await self._held(raw, fence=fence):
                    if is_in_pools(spec, entry.address):
                        found[entry.address] = f"{_in_words(entry.owner)} on {where}"
        where = f"a former DanmNet {net.namespace}/{net.name}"
        for raw in await self._blocks(net, f"{labels.NETWORK}={labels.label_value(net.name)}"):
            block = decode_ip_block(raw)
            if block.network == net.name and block.network_uid != net.uid:
                for entry in await self._held(raw, fence=fence):
                    if is_in_subnets(spec, entry.address):
                        found[entry.address] = f"{_in_words(entry.owner)} on {where}"
        return found

    async def _held(self, raw: RawObject, *, fence: bool) -> list[Held]:
        block = await self._fence(raw) if fence else decode_ip_block(raw)
        return _held(block)

    async def _blocks(self, net: DanmNet, selector: str) -> list[RawObject]:
        listed = await self._api.list(
            DANMIPBLOCKS, namespace=net.namespace, label_selector=selector
        )
        return listed.items

    async def _fence(self, raw: RawObject) -> IPBlock | None:
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
                return decode_ip_block(written)
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
        raise ConflictError(
            f"DanmIPBlock {metadata['namespace']}/{metadata['name']} was written by somebody else"
            f" {_FENCE_TRIES} times in a row"
        )


def _held(block: IPBlock | None) -> list[Held]:
    return [] if block is None else [each for each in block.entries if isinstance(each, Held)]


def _in_words(owner: Owner) -> str:
    match owner:
        case PodOwner(namespace=namespace, name=name):
            return f"Pod {namespace}/{name}"
        case ContainerOwner(container_id=container_id):
            return f"container {container_id[:_CONTAINER_ID_SHOWN]}"
        case ExternalOwner(name=name):
            return f"external owner {name}"
