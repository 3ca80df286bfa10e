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

# Clocks of nodes differ a little.
_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long certificates last, and how they follow each other.

    Attributes:
        authority: Of an authority.
        authority_renewal: So long before its end the next one is made: weeks without ipam-svc do
            no harm.
        overlap: So long the next one is trusted before it signs, and the previous one afterwards.
            Clients watch the ConfigMap, and replicas look every ``look_again``: a day is ample.
        serving: Of a replica's own certificate.
        serving_renewal: After so long a replica issues itself another one.
        look_again: How often replicas and the Lease holder look what is due.
    """

    authority: timedelta = timedelta(days=3650)
    authority_renewal: timedelta = timedelta(days=365)
    overlap: timedelta = timedelta(days=1)
    serving: timedelta = timedelta(days=30)
    serving_renewal: timedelta = timedelta(days=15)
    look_again: timedelta = timedelta(minutes=1)


USUAL: Final = Lifetimes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingCertificate:
    """What a replica shows to its clients.

    Attributes:
        pem: Certificate and key.
        issuer: The authority's certificate, as PEM.
        made: By the clock of then, which may have been set back since.
        begins: Before that no client takes it.
        renew_at: From when on a new one is due.
        ends: From when on no client takes it.
        issuer_ends: The same of the authority.
    """

    pem: str
    issuer: str
    made: datetime
    begins: datetime
    renew_at: datetime
    ends: datetime
    issuer_ends: datetime

    def __repr__(self) -> str:
        """Keep the key out of logs."""
        return f"ServingCertificate(renew_at={self.renew_at})"


def make_authority(*, now: datetime, lifetimes: Lifetimes = USUAL) -> Authority:
    """Return a new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The name tells authorities apart: clients look for the issuer by it.
    name = _name(f"danm-ipam authority {now:%Y-%m-%dT%H:%M:%S}")
    certificate = (
        _builder(name, name, key, now=now, lifetime=lifetimes.authority)
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
    lifetimes: Lifetimes = USUAL,
) -> ServingCertificate:
    """Return a serving certificate for a replica's names and addresses."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    signer = _load_key(authority.key)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(address) for address in addresses]
    certificate = (
        _builder(_name(names[0]), issuer.subject, key, now=now, lifetime=lifetimes.serving)
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
        made=now,
        begins=certificate.not_valid_before_utc,
        renew_at=now + lifetimes.serving_renewal,
        ends=certificate.not_valid_after_utc,
        issuer_ends=issuer.not_valid_after_utc,
    )


def in_step(
    authorities: Authorities | None, *, now: datetime, lifetimes: Lifetimes = USUAL
) -> Authorities:
    """Return the authorities as they should be by now; the same ones when nothing is due."""
    if authorities is None:
        return Authorities(current=make_authority(now=now, lifetimes=lifetimes))
    present, following = authorities.current, authorities.next
    if now < _begin(present.certificate) - _SKEW:
        # It was made by a clock that was fast, and nobody takes it before that moment. Or this
        # clock is slow: so replicas that go on with it for a minute are trusted all the same.
        return Authorities(
            current=make_authority(now=now, lifetimes=lifetimes), previous=present.certificate
        )
    if now >= _end(present.certificate):
        # Nobody led for very long. What the present one signs is worth nothing, so the next one
        # need not wait until everybody trusts it.
        return Authorities(current=following or make_authority(now=now, lifetimes=lifetimes))
    if following is not None:
        if now < _begin(following.certificate) + lifetimes.overlap:
            return authorities
        return Authorities(current=following, previous=present.certificate)
    if authorities.previous and now >= _begin(present.certificate) + 2 * lifetimes.overlap:
        return Authorities(current=present)
    if now >= _end(present.certificate) - lifetimes.authority_renewal:
        return Authorities(
            current=present,
            next=make_authority(now=now, lifetimes=lifetimes),
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
