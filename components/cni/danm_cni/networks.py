"""The DanmNets, from a watch; one that a Pod names and the watch has not shown yet is fetched."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from danm_api.codec.danmnet import decode_danmnet
from danm_api.errors import DanmError, NetworkNotFoundError, NotFoundError
from danm_api.kube.api import DANMNETS, KubeApi
from danm_api.kube.informer import Informer, ObjectKey
from danm_api.model.danmnet import DanmNet, StaticDelegate
from danm_api.names import Namespace, NetworkName
from danm_api.telemetry import get_logger

log = get_logger(__name__)

# For what an ADD can do without: a Pod of the control plane comes before its API server.
_GLANCE_S: Final = 1.0


class Networks:
    """Reads DanmNets of all namespaces."""

    def __init__(self, api: KubeApi) -> None:
        """Watch all of them: any Pod may come to this node."""
        self._api = api
        self.informer: Informer[DanmNet] = Informer(api, DANMNETS, decode_danmnet)
        # Fetched; the watch's own copy wins as soon as it is no older.
        self._fetched: dict[ObjectKey, DanmNet] = {}
        self.informer.subscribe_restore(self._forget_fetched)

    def _forget_fetched(self) -> None:
        """Forget what was fetched of a history that is no more; its versions come again."""
        self._fetched = {}

    async def refresh(self, namespace: Namespace, names: Sequence[NetworkName]) -> None:
        """Fetch those that the watch has not shown: they may have been made just before the Pod."""
        self._fetched = {key: net for key, net in self._fetched.items() if self._counts(key, net)}
        for name in dict.fromkeys(names):
            key = ObjectKey(namespace=namespace, name=name)
            if self.informer.get(key) is not None:
                continue
            self._fetched.pop(key, None)
            try:
                raw = await self._api.get(DANMNETS, name, namespace=namespace)
            except NotFoundError:
                continue
            self._fetched[key] = decode_danmnet(raw)

    async def glance(self, namespace: Namespace, name: NetworkName) -> None:
        """Fetch one that the watch has not shown, if the API server answers at once."""
        try:
            async with asyncio.timeout(_GLANCE_S):
                await self.refresh(namespace, [name])
        except (DanmError, TimeoutError) as error:
            log.warning(
                "Whether a DanmNet has just been made cannot be told",
                namespace=namespace,
                network=name,
                error=str(error) or f"no answer within {_GLANCE_S} s",
            )

    async def read(self, namespace: Namespace, name: NetworkName) -> DanmNet:
        """Return a DanmNet as the API server has it now, whatever the watch has shown.

        It counts until the watch has come as far: a watch that is dead, and that nobody has found
        out about yet, goes on showing what was.

        Raises:
            NetworkNotFoundError: There is none.
        """
        try:
            net = decode_danmnet(await self._api.get(DANMNETS, name, namespace=namespace))
        except NotFoundError as error:
            raise NetworkNotFoundError(
                f"there is no DanmNet {namespace}/{name}; create it, or name one that exists"
            ) from error
        self._fetched[ObjectKey(namespace=namespace, name=name)] = net
        return net

    def get(self, namespace: Namespace, name: NetworkName) -> DanmNet | None:
        """Return a DanmNet, or None when there is none."""
        key = ObjectKey(namespace=namespace, name=name)
        fetched = self._fetched.get(key)
        if fetched is not None and self._counts(key, fetched):
            return fetched
        return self.informer.get(key)

    def _counts(self, key: ObjectKey, fetched: DanmNet) -> bool:
        """Say whether the watch has not come as far as what was fetched."""
        shown = self.informer.get(key)
        if shown is None:
            return True
        # While the watch reads all anew it is nowhere, and yet knows what it has shown.
        seen = max(self.informer.version, int(shown.resource_version))
        return int(fetched.resource_version) > seen

    def static_types(self) -> frozenset[str]:
        """Return the static types of all DanmNets that Pods may use."""
        found = set()
        for net in self.informer.items():
            with suppress(DanmError):
                network_type = net.spec_in_force().network_type
                if isinstance(network_type, StaticDelegate):
                    found.add(network_type.name)
        return frozenset(found)
