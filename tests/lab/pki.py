"""A certificate authority for one lab, its certificates, and kubeconfig files."""

import base64
import datetime
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# A lab lives for hours; the day before covers clocks that differ.
_BEFORE: Final = datetime.timedelta(days=1)
_AFTER: Final = datetime.timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The files of a certificate and its private key (PEM)."""

    certificate: Path
    key: Path


class Authority:
    """Makes the certificates of one lab and writes them into one directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _distinguished_name("danm-lab", organisation=None)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(constraints, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.certificate: Final = _write(
            directory / "ca.crt", certificate.public_bytes(serialization.Encoding.PEM)
        )
        self.key: Final = _write(directory / "ca.key", _private_bytes(self._key))

    def server(self, name: str, addresses: Sequence[str]) -> Credential:
        """Make a server's certificate.

        Args:
            name: Common name, and the files' name.
            addresses: IP addresses and DNS names under which the server is reached.
        """
        return self._issue(name, name, None, ExtendedKeyUsageOID.SERVER_AUTH, addresses)

    def client(self, name: str, user: str, group: str | None = None) -> Credential:
        """Make a client's certificate, which says who its bearer is for the API server."""
        return self._issue(name, user, group, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def signing_key(self, name: str) -> Credential:
        """Make a key pair that signs service account tokens (the certificate: a public key)."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return Credential(
            certificate=_write(self._directory / f"{name}.pub", public),
            key=_write(self._directory / f"{name}.key", _private_bytes(key)),
        )

    def _issue(
        self,
        name: str,
        common_name: str,
        organisation: str | None,
        usage: x509.ObjectIdentifier,
        addresses: Sequence[str],
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _distinguished_name(common_name, organisation)
        builder = _builder(subject, self._name, key.public_key()).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if addresses:
            names = x509.SubjectAlternativeName([_general_name(address) for address in addresses])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Credential(
            certificate=_write(
                self._directory / f"{name}.crt",
                certificate.public_bytes(serialization.Encoding.PEM),
            ),
            key=_write(self._directory / f"{name}.key", _private_bytes(key)),
        )


def write_kubeconfig(path: Path, *, server: str, authority: Path, credential: Credential) -> Path:
    """Write a kubeconfig file that needs no other file.

    Args:
        path: The file to write.
        server: The API server's URL.
        authority: File of the certificate that the server's is checked against.
        credential: Who the client is.
    """
    user = {
        "client-certificate-data": _base64(credential.certificate),
        "client-key-data": _base64(credential.key),
    }
    cluster = {"server": server, "certificate-authority-data": _base64(authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    # JSON is YAML.
    return _write(path, json.dumps(document, indent=1).encode())


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path


def _private_bytes(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _distinguished_name(common_name: str, organisation: str | None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
    )
