"""Certificates: making them, and when one takes over from another. Clock as an argument.

An authority is followed by the next one before it ends: first every client learns to trust the next
(for a day), then it signs, and for a day more the previous one is trusted as well. So no client
ever meets a certificate that it does not trust yet or any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from danm_api.model.authority import Authorities, Authority

_AUTHORITY_LIFETIME: Final = timedelta(days=3650)
# When the next authority is made: long before the end, so that weeks without ipam-svc do no harm.
_AUTHORITY_RENEWAL: Final = timedelta(days=365)
# Clients watch the ConfigMap and replicas read the Secret every minute; a day is ample.
_OVERLAP: Final = timedelta(days=1)
_SERVING_LIFETIME: Final = timedelta(days=30)
_SERVING_RENEWAL: Final = timedelta(days=15)
# Clocks of nodes differ a little.
_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCertificate:
    """What a replica shows to its clients.

    Attributes:
        pem: Certificate and key.
        issuer: The authority's certificate, as PEM.
        renew_at: From when on a new one is due.
    """

    pem: str
    issuer: str
    renew_at: datetime

    def __repr__(self) -> str:
        """Keep the key out of logs."""
        return f"ServingCertificate(renew_at={self.renew_at})"


def make_authority(*, now: datetime) -> Authority:
    """Return a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The name tells authorities apart: clients look for the issuer by it.
    name = _name(f"danm-ipam authority {now:%Y-%m-%dT%H:%M:%S}")
    certificate = (
        _builder(name, name, key, now=now, lifetime=_AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate=_certificate_text(certificate), key=_key_text(key))


def issue(
    authority: Authority,
    *,
    names: Sequence[str],
    addresses: Sequence[IPv4Address | IPv6Address],
    now: datetime,
) -> ServingCertificate:
    """Return a serving certificate for a replica's names and addresses."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    signer = _load_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(address) for address in addresses]
    certificate = (
        _builder(_name(names[0]), issuer.subject, key, now=now, lifetime=_SERVING_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )
    return ServingCertificate(
        pem=_certificate_text(certificate) + _key_text(key),
        issuer=authority.certificate,
        renew_at=now + _SERVING_RENEWAL,
    )


def in_step(authorities: Authorities | None, *, now: datetime) -> Authorities:
    """Return the authorities as they should be by now; the same ones when nothing is due."""
    if authorities is None:
        return Authorities(current=make_authority(now=now))
    if authorities.next is not None:
        if now < _begin(authorities.next.certificate) + _OVERLAP:
            return authorities
        return Authorities(current=authorities.next, previous=authorities.current.certificate)
    if authorities.previous and now >= _begin(authorities.current.certificate) + 2 * _OVERLAP:
        return Authorities(current=authorities.current)
    if now >= _end(authorities.current.certificate) - _AUTHORITY_RENEWAL:
        return Authorities(
            current=authorities.current,
            next=make_authority(now=now),
            previous=authorities.previous,
        )
    return authorities


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _begin(certificate: str) -> datetime:
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_before_utc + _SKEW


def _end(certificate: str) -> datetime:
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


def _certificate_text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _load_key(text: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        # What danm-ipam made is one; anything else was put there by somebody.
        raise TypeError("the authority's key is no elliptic curve key")
    return key
