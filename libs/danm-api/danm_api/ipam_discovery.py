"""Where ipam-svc is: found by a watch and never by DNS, trusted by a ConfigMap (DESIGN).

    discovery = IpamDiscovery(api, system_namespace="danm-system", token_file=Path("/run/token"))
    async with IpamClient(discovery.endpoints, discovery.trust, discovery.token) as client:
        task_group.create_task(discovery.run())
        await discovery.wait_synced(timeout_s=10)

A Pod's network must not depend on cluster DNS, which is itself a Pod.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from danm_api.codec.endpoint_slice import decode_endpoint_slice
from danm_api.errors import IpamUnavailableError
from danm_api.ipam_api import SERVICE_NAME, TRUST_CONFIG_MAP, TRUST_KEY
from danm_api.kube.api import CONFIG_MAPS, ENDPOINT_SLICES, KubeApi, RawObject
from danm_api.kube.informer import Informer
from danm_api.model.endpoint_slice import EndpointSlice


class IpamDiscovery:
    """Where ipam-svc is, whom to trust, and the caller's token; all may change at any time."""

    def __init__(self, api: KubeApi, *, system_namespace: str, token_file: Path) -> None:
        """Watch the Service's EndpointSlices and the trust's ConfigMap.

        Args:
            api: Whose user may get, list and watch both in the system namespace.
            system_namespace: Where ipam-svc runs.
            token_file: A token for ipam-svc's audience, as kubelet projects and renews it.
        """
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

    async def run(self) -> None:
        """Follow both until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.slices.run())
            group.create_task(self.trust_maps.run())

    async def wait_synced(self, timeout_s: float | None) -> None:
        """Wait until both have been read once; None waits for as long as it takes.

        Raises:
            DeadlineExceededError: They were not read within ``timeout_s``.
        """
        await self.slices.wait_synced(timeout_s)
        await self.trust_maps.wait_synced(timeout_s)

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
        """Return the token, read anew: kubelet replaces it before it expires.

        Raises:
            IpamUnavailableError: There is none.
        """
        try:
            return self._token_file.read_text().strip()
        except OSError as error:
            raise IpamUnavailableError(
                f"the token for ipam-svc cannot be read: {error.strerror}"
            ) from error


def _host_port(address: str, port: int) -> str:
    try:
        return f"[{IPv6Address(address)}]:{port}"
    except ValueError:
        return f"{address}:{port}"


def _trust_of(raw: RawObject) -> str:
    data: dict[str, Any] = raw.get("data") or {}
    return str(data[TRUST_KEY])
