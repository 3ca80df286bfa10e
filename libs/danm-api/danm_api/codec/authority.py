"""ipam-svc's certificate authorities in a Secret, and the trust in them in a ConfigMap. Pure."""

import base64
from typing import Final

import msgspec

from danm_api.codec.meta import RawObject
from danm_api.errors import InvalidObjectError
from danm_api.ipam_api import CA_SECRET, TRUST_CONFIG_MAP, TRUST_KEY
from danm_api.model.authority import Authorities, Authority

_TYPE: Final = "Opaque"


def encode_authorities(
    authorities: Authorities, *, namespace: str, resource_version: str = ""
) -> RawObject:
    """Return the Secret; with a resource_version to PUT it, without to create it."""
    texts = {
        "tls.crt": authorities.current.certificate,
        "tls.key": authorities.current.key,
        "next.crt": authorities.next.certificate if authorities.next else "",
        "next.key": authorities.next.key if authorities.next else "",
        "previous.crt": authorities.previous,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": _TYPE,
        "metadata": _metadata(CA_SECRET, namespace, resource_version),
        "data": {
            key: base64.b64encode(text.encode()).decode() for key, text in texts.items() if text
        },
    }


def decode_authorities(raw: RawObject) -> Authorities:
    """Read the Secret.

    Raises:
        InvalidObjectError: The current authority is missing, or a value is not base64.
    """
    try:
        data = msgspec.convert(raw.get("data") or {}, dict[str, str])
        texts = {
            key: base64.b64decode(value, validate=True).decode() for key, value in data.items()
        }
        current = Authority(certificate=texts["tls.crt"], key=texts["tls.key"])
    # Those of msgspec and of base64 are ValueErrors.
    except (KeyError, ValueError) as error:
        raise InvalidObjectError(
            f"Secret {CA_SECRET} is unreadable: {error!r}; delete it, and ipam-svc makes a new one"
        ) from error
    following = None
    if texts.get("next.crt") and texts.get("next.key"):
        following = Authority(certificate=texts["next.crt"], key=texts["next.key"])
    return Authorities(current=current, next=following, previous=texts.get("previous.crt", ""))


def encode_trust(pem: str, *, namespace: str, resource_version: str = "") -> RawObject:
    """Return the ConfigMap with the certificates to trust."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(TRUST_CONFIG_MAP, namespace, resource_version),
        "data": {TRUST_KEY: pem},
    }


def decode_trust(raw: RawObject) -> str:
    """Return the certificates to trust; empty when there are none yet."""
    return str((raw.get("data") or {}).get(TRUST_KEY, ""))


def _metadata(name: str, namespace: str, resource_version: str) -> dict[str, str]:
    version = {"resourceVersion": resource_version} if resource_version else {}
    return {"name": name, "namespace": namespace, **version}
