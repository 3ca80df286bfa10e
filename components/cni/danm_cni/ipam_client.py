"""ipam-svc as danmd uses it: found by a watch and never by DNS, trusted by a ConfigMap (DESIGN).

A Pod's network must not depend on cluster DNS, which is itself a Pod.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, Final

from danm_api.codec.endpoint_slice import decode_endpoint_slice
from danm_api.errors import IpamUnavailableError
from danm_api.ipam_api import (
    SERVICE_NAME,
    TRUST_CONFIG_MAP,
    TRUST_KEY,
    AttachmentRequest,
    OwnerMessage,
    ReleaseRequest,
    Reservation,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_client import IpamClient
from danm_api.kube.api import CONFIG_MAPS, ENDPOINT_SLICES, KubeApi, RawObject
from danm_api.kube.informer import Informer
from danm_api.model.endpoint_slice import EndpointSlice
from danm_api.names import NodeName
from danm_cni.attempts import AttemptCounter

_LIST_TIMEOUT_S: Final = 5.0


class IpamDiscovery:
    """Where ipam-svc is, whom to trust, and danmd's own token; all may change at any time."""

    def __init__(self, api: KubeApi, *, system_namespace: str, token_file: Path) -> None:
        """Watch the Service's EndpointSlices and the trust's ConfigMap."""
        self._token_file = token_file
        self.slices: Informer[EndpointSlice] = Informer(
            api,
            ENDPOINT_SLICES,
            decode_endpoint_slice,
            namespace=system_namespace,
            label_selector=f"kubernetes.io/service-name={SERVICE_NAME}",
        )
        self.trust_maps: Informer[str] = Informer(
            api,
            CONFIG_MAPS,
            _trust_of,
            namespace=system_namespace,
            field_selector=f"metadata.name={TRUST_CONFIG_MAP}",
        )

    def endpoints(self) -> Sequence[str]:
        """Return ``host:port`` of every replica that serves, the ready ones first."""
        found: list[tuple[bool, str]] = []
        for each in self.slices.items():
            port = next((port.port for port in each.ports), None)
            if port is None:
                continue
            found.extend(
                (not endpoint.ready, _host_port(str(endpoint.address), port))
                for endpoint in each.endpoints
                if endpoint.ready or endpoint.serving
            )
        return [text for _, text in sorted(found)]

    def trust(self) -> str:
        """Return the certificates to trust, as PEM.

        Raises:
            IpamUnavailableError: ipam-svc has not published them yet.
        """
        for pem in self.trust_maps.items():
            return pem
        raise IpamUnavailableError(
            f"the ConfigMap {TRUST_CONFIG_MAP} is not there yet: ipam-svc writes it when it starts"
        )

    def token(self) -> str:
        """Return danmd's token, read anew: kubelet replaces it before it expires.

        Raises:
            IpamUnavailableError: There is none.
        """
        try:
            return self._token_file.read_text().strip()
        except OSError as error:
            raise IpamUnavailableError(
                f"danmd's token for ipam-svc cannot be read: {error.strerror}"
            ) from error


def _host_port(address: str, port: int) -> str:
    try:
        return f"[{IPv6Address(address)}]:{port}"
    except ValueError:
        return f"{address}:{port}"


def _trust_of(raw: RawObject) -> str:
    data: dict[str, Any] = raw.get("data") or {}
    return str(data[TRUST_KEY])


class NodeAddresses:
    """ipam-svc for this node's Pods and containers; every send carries a new attempt."""

    def __init__(self, client: IpamClient, *, node: NodeName, attempts: AttemptCounter) -> None:
        """Ask through a client."""
        self._client = client
        self._node = node
        self._attempts = attempts

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
        """Reserve all or nothing; every send carries a new attempt, which is noted before.

        Raises:
            DanmError: As ipam-svc says, or IpamUnavailableError.
        """

        async def next_attempt(above: int = 0) -> int:
            attempt = await asyncio.to_thread(self._attempts.next_attempt, above=above)
            note_attempt(attempt)
            return attempt

        request = ReserveRequest(
            owner=owner,
            attempt=await next_attempt(),
            attachments=list(attachments),
            node=self._node,
            timeout_s=deadline_s - time.monotonic(),
            fresh=fresh,
            via_fakeipam=via_fakeipam,
        )
        return await self._client.reserve(request, deadline=deadline_s, next_attempt=next_attempt)

    async def release(self, request: ReleaseRequest, *, deadline_s: float) -> None:
        """Give back what an owner holds under exactly that attempt; nothing there is no error."""
        await self._client.release(request, deadline=deadline_s)

    async def node_reservations(self) -> Sequence[Reservation]:
        """Return all entries of this node."""
        listed = await self._client.node_reservations(
            self._node, deadline=time.monotonic() + _LIST_TIMEOUT_S
        )
        return listed.items
