"""The object of 1 KB that raw requests write: a custom resource, as IPAMs' are. Pure."""

from typing import Any, Final

import msgspec

from danm_api.kube.api import Resource

GROUP: Final = "bench.danm.k8s.io"
SHARED: Final = "shared"
NAMESPACE: Final = "bench-raw"
RAW_OBJECTS: Final = Resource(group=GROUP, version="v1", plural="rawobjects", kind="RawObject")
PATH: Final = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}/rawobjects"
SIZE: Final = 1024


class _Metadata(msgspec.Struct, frozen=True):
    resourceVersion: str  # noqa: N815  (the wire's name)


class _Versioned(msgspec.Struct, frozen=True):
    metadata: _Metadata


_VERSIONED: Final = msgspec.json.Decoder(_Versioned)


def object_body(name: str, text: str, *, version: str) -> bytes:
    """Return an object of 1 KB; an empty version leaves it out."""
    metadata: dict[str, str] = {"name": name, "namespace": NAMESPACE}
    if version:
        metadata["resourceVersion"] = version
    body: dict[str, Any] = {
        "apiVersion": f"{GROUP}/v1",
        "kind": RAW_OBJECTS.kind,
        "metadata": metadata,
        "spec": {"text": text, "padding": ""},
    }
    missing = SIZE - len(msgspec.json.encode(body))
    body["spec"]["padding"] = "x" * max(missing, 0)
    return msgspec.json.encode(body)


def version_of(answer: bytes) -> str:
    """Return the resourceVersion of an object that the API server sent.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return _VERSIONED.decode(answer).metadata.resourceVersion


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition, with a schema as small as can be."""
    properties = {"text": {"type": "string"}, "padding": {"type": "string"}}
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": properties}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"rawobjects.{GROUP}",
            "annotations": {
                "api-approved.kubernetes.io": "unapproved, for measurements on a server of its own"
            },
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "rawobjects",
                "singular": "rawobject",
                "kind": RAW_OBJECTS.kind,
                "listKind": "RawObjectList",
            },
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
