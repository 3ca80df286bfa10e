"""The OpenAPI 3.1 document of the HTTP API, from the same types that the code uses."""

from typing import Any, Final

import msgspec

from danm_api.ipam_api import (
    AUDIENCE,
    NETWORK_RESERVATIONS_PATH,
    NETWORK_USAGE_PATH,
    NODE_RESERVATIONS_PATH,
    RELEASE_PATH,
    RESERVE_PATH,
    NetworkUsage,
    Problem,
    ReleaseAnswer,
    ReleaseRequest,
    ReservationList,
    ReserveAnswer,
    ReserveRequest,
)
from danm_api.ipam_problem import CONTENT_TYPE

_REF: Final = "#/components/schemas/{name}"
_TYPES: Final = (
    ReserveRequest,
    ReserveAnswer,
    ReleaseRequest,
    ReleaseAnswer,
    ReservationList,
    NetworkUsage,
    Problem,
)


def openapi_document() -> dict[str, Any]:
    """Return the document."""
    schemas, components = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    refs = dict(zip(_TYPES, schemas, strict=True))
    text = {"type": "string"}

    def parameter(name: str, place: str, what: str) -> dict[str, Any]:
        return {
            "name": name,
            "in": place,
            "required": place == "path",
            "description": what,
            "schema": text,
        }

    def operation(
        summary: str,
        answer: type[msgspec.Struct],
        *,
        request: type[msgspec.Struct] | None = None,
        parameters: tuple[dict[str, Any], ...] = (),
    ) -> dict[str, Any]:
        made: dict[str, Any] = {
            "summary": summary,
            "parameters": list(parameters),
            "responses": {
                "200": {
                    "description": "Done.",
                    "content": {"application/json": {"schema": refs[answer]}},
                },
                "default": {
                    "description": "Refused; the document names the object, the rule and the way"
                    " out.",
                    "content": {CONTENT_TYPE: {"schema": refs[Problem]}},
                },
            },
        }
        if request is not None:
            made["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": refs[request]}},
            }
        return made

    namespace = parameter("namespace", "path", "The DanmNet's namespace.")
    network = parameter("network", "path", "The DanmNet's name.")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DANM IPAM",
            "version": "1",
            "description": "Addresses of DanmNets: reserve, release, look up, list, usage."
            " Kubernetes authenticates and authorises every request.",
        },
        "security": [{"token": []}],
        "paths": {
            RESERVE_PATH: {
                "post": operation(
                    "Reserve all attachments of an owner: all or nothing.",
                    ReserveAnswer,
                    request=ReserveRequest,
                )
            },
            RELEASE_PATH: {
                "post": operation(
                    "Give back what an owner holds under exactly one attempt.",
                    ReleaseAnswer,
                    request=ReleaseRequest,
                )
            },
            NETWORK_RESERVATIONS_PATH: {
                "get": operation(
                    "List the entries of a network, in the order of addresses.",
                    ReservationList,
                    parameters=(
                        namespace,
                        network,
                        parameter("address", "query", "Only this address."),
                        parameter("owner", "query", "Only entries of owners of this name."),
                        parameter("limit", "query", "At most so many entries."),
                        parameter("continue", "query", 'The "next" of the page before.'),
                    ),
                )
            },
            NETWORK_USAGE_PATH: {
                "get": operation(
                    "Say how full a network is.", NetworkUsage, parameters=(namespace, network)
                )
            },
            NODE_RESERVATIONS_PATH: {
                "get": operation(
                    "List the entries of a node; send If-None-Match to hear of changes only.",
                    ReservationList,
                    parameters=(parameter("node", "path", "The node's name."),),
                )
            },
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"A Kubernetes token for the audience {AUDIENCE}.",
                }
            },
        },
    }
