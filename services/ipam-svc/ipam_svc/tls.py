"""TLS of the API: authorities in a Secret, trust in a ConfigMap, certificates in memory.

The Lease holder keeps the authorities and publishes the trust. Each replica reads the Secret and
issues its own serving certificate, whose key never leaves the process.
"""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from danm_api.codec.authority import (
    decode_authorities,
    decode_trust,
    encode_authorities,
    encode_trust,
)
from danm_api.errors import DanmError, InvalidObjectError, NotFoundError
from danm_api.ipam_api import CA_SECRET, SERVICE_NAME, TRUST_CONFIG_MAP
from danm_api.kube.api import CONFIG_MAPS, SECRETS, KubeApi
from danm_api.model.authority import Authorities
from danm_api.telemetry import get_logger
from ipam_svc import metrics
from ipam_svc.certificates import USUAL, Lifetimes, ServingCertificate, in_step, issue

_log = get_logger(__name__)

# While there is no certificate to serve with.
_FIRST_LOOK_S: Final = 0.5


class AuthorityKeeper:
    """What the Lease holder does for TLS."""

    def __init__(
        self,
        api: KubeApi,
        *,
        namespace: str,
        now: Callable[[], datetime],
        lifetimes: Lifetimes = USUAL,
    ) -> None:
        """Keep the Secret and the ConfigMap of a namespace."""
        self._lifetimes = lifetimes
        self._api = api
        self._namespace = namespace
        self._now = now

    async def reconcile(self) -> None:
        """Make, follow up and publish the authorities.

        Raises:
            DanmError: The API server refuses, or somebody else writes at this moment.
        """
        secret, version = await self._read()
        wanted = in_step(secret, now=self._now(), lifetimes=self._lifetimes)
        if secret is None:
            # Nobody can have issued by it yet. A Lease holder that was frozen here finds that
            # another one has made an authority, and must not publish its own instead.
            await self._write(wanted, version)
            await self._publish(wanted)
            return
        # A trust is published before its authority may sign.
        await self._publish(wanted)
        if wanted != secret:
            await self._write(wanted, version)

    async def _write(self, wanted: Authorities, version: str) -> None:
        body = encode_authorities(wanted, namespace=self._namespace, resource_version=version)
        if version:
            await self._api.replace(SECRETS, body, namespace=self._namespace)
        else:
            await self._api.create(SECRETS, body, namespace=self._namespace)
        _log.info("Wrote the certificate authorities", secret=CA_SECRET)

    async def _read(self) -> tuple[Authorities | None, str]:
        try:
            raw = await self._api.get(SECRETS, CA_SECRET, namespace=self._namespace)
        except NotFoundError:
            return None, ""
        version = raw["metadata"]["resourceVersion"]
        try:
            return decode_authorities(raw), version
        except InvalidObjectError as error:
            _log.error("Replacing the certificate authorities", secret=CA_SECRET, error=error)
            return None, version

    async def _publish(self, authorities: Authorities) -> None:
        try:
            raw = await self._api.get(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=self._namespace)
        except NotFoundError:
            body = encode_trust(authorities.trust, namespace=self._namespace)
            await self._api.create(CONFIG_MAPS, body, namespace=self._namespace)
            return
        if decode_trust(raw) != authorities.trust:
            body = encode_trust(
                authorities.trust,
                namespace=self._namespace,
                resource_version=raw["metadata"]["resourceVersion"],
            )
            await self._api.replace(CONFIG_MAPS, body, namespace=self._namespace)


class ServingTls:
    """A replica's own certificate, renewed while it serves.

    Attributes:
        context: For the server; new connections get the newest certificate.
        certificate: What is shown now; None before the first one.
    """

    def __init__(
        self,
        api: KubeApi,
        *,
        namespace: str,
        addresses: Sequence[IPv4Address | IPv6Address],
        now: Callable[[], datetime],
        lifetimes: Lifetimes = USUAL,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Serve under the Service's names and these addresses."""
        self._api = api
        self._namespace = namespace
        self._names = (
            f"{SERVICE_NAME}.{namespace}.svc",
            f"{SERVICE_NAME}.{namespace}",
            SERVICE_NAME,
            "localhost",
        )
        self._addresses = addresses
        self._now = now
        self._lifetimes = lifetimes
        self._sleep = sleep
        self.certificate: ServingCertificate | None = None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3

    @property
    def ready(self) -> bool:
        """Whether there is a certificate to serve with, which clients take now."""
        present = self.certificate
        return present is not None and present.begins <= self._now() < present.ends

    async def wait_ready(self) -> None:
        """Wait for the first certificate: the Lease holder may have to make the authority."""
        while not self.ready:
            if not await self._try():
                await self._sleep(_FIRST_LOOK_S)

    async def run(self) -> None:
        """Renew the certificate until cancelled."""
        while True:
            await self._sleep(self._lifetimes.look_again.total_seconds())
            await self._try()

    async def renew(self) -> None:
        """Issue a certificate when one is due.

        Raises:
            DanmError: There is no authority, or it cannot be read.
        """
        raw = await self._api.get(SECRETS, CA_SECRET, namespace=self._namespace)
        authority = decode_authorities(raw).current
        present = self.certificate
        if (
            present is not None
            and present.issuer == authority.certificate
            and present.made <= self._now() < present.renew_at
        ):
            return
        certificate = issue(
            authority,
            names=self._names,
            addresses=self._addresses,
            now=self._now(),
            lifetimes=self._lifetimes,
        )
        _load(self.context, certificate.pem)
        self.certificate = certificate
        metrics.CERTIFICATE_ENDS.labels("serving").set(certificate.ends.timestamp())
        metrics.CERTIFICATE_ENDS.labels("authority").set(certificate.issuer_ends.timestamp())
        _log.info("Issued a serving certificate", renew_at=certificate.renew_at)

    async def _try(self) -> bool:
        try:
            await self.renew()
        except (DanmError, ssl.SSLError, ValueError, TypeError) as error:
            _log.warning("No new serving certificate", secret=CA_SECRET, error=error)
            return False
        return True


def _load(context: ssl.SSLContext, pem: str) -> None:
    """Load a certificate and its key, which never touch a disk: OpenSSL wants a path."""
    descriptor = os.memfd_create("serving-certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "w") as file:
            file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
