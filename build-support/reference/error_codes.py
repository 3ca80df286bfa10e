"""The page of errors: codes of CNI error objects, and problems of ipam-svc's HTTP API. Pure."""

from collections.abc import Iterator
from typing import Final

from danm_api import errors
from danm_api.errors import DanmError
from danm_api.ipam_problem import CONTENT_TYPE, HTTP_STATUS, type_of
from danm_cni.cni_errors import CniCode, code_of_class
from reference.markdown import NOTE, cell, code, table

_HEAD: Final = f"""# Errors

{NOTE}

Every error is one sentence that names the object, the rule and the way out. A Pod's Events show it,
and so does the member `detail` of ipam-svc's answers.
"""
_FIRST_OWN: Final = 100
# Its docstring speaks of the tree around it.
_ROOT: Final = "Any error that has no class of its own, so a bug."

# The specification's, and how DANM uses them.
MEANINGS: Final = {
    CniCode.INCOMPATIBLE_VERSION: "The `cniVersion` is not supported, or lacks the verb.",
    CniCode.UNSUPPORTED_FIELD: "What the runtime asks for cannot be done, such as a capability.",
    CniCode.CONTAINER_UNKNOWN: "The container is not known; nothing need be cleaned up.",
    CniCode.INVALID_ENVIRONMENT: "A `CNI_` variable is missing or wrong.",
    CniCode.IO_FAILURE: "Input could not be read, or was too much.",
    CniCode.UNDECODABLE: "The configuration is not JSON, or not of its type.",
    CniCode.INVALID_CONFIG: "The configuration, or a DanmNet, breaks a rule.",
    CniCode.TRY_AGAIN: "The same request may succeed later without anybody changing it; the "
    "kubelet tries again by itself.",
    CniCode.NOT_AVAILABLE: "danmd has not been ready since the node booted: no Pod can start here "
    "until it is.",
    CniCode.NOT_AVAILABLE_LIMITED: "Not used: running Pods keep their networks without DANM.",
    CniCode.POOL_EXHAUSTED: "No address of the DanmNet is free.",
    CniCode.ADDRESS_TAKEN: "The static address that the Pod asks for is somebody else's.",
    CniCode.NETWORK_NOT_FOUND: "There is no such DanmNet in the Pod's namespace.",
    CniCode.LINK_SETUP: "The kernel refused a link, address, route or rule, or the node lacks the "
    "host link.",
    CniCode.INVALID_ATTACHMENT: "The Pod's annotation `danm.k8s.io/interfaces` breaks a rule.",
    CniCode.POD_NOT_FOUND: "The Pod is gone, or another one has its name.",
    CniCode.NOT_FOUND: "Something else that was named does not exist.",
    CniCode.DENIED: "danmd may not do this, or the DanmNet does not admit it.",
    CniCode.API_REFUSED: "The Kubernetes API server refused.",
    CniCode.DELEGATE: "Another CNI plugin failed without a code of its own; otherwise that one is "
    "passed through.",
    CniCode.INTERNAL: "A bug, or several errors that do not agree.",
}


def kinds() -> tuple[type[DanmError], ...]:
    """Return the classes of the error tree, parents before their children."""
    found: list[type[DanmError]] = []
    pending: list[type[DanmError]] = [DanmError]
    while pending:
        kind = pending.pop(0)
        if kind.__module__ == errors.__name__:
            found.append(kind)
            pending = [*kind.__subclasses__(), *pending]
    return tuple(found)


def page() -> str:
    """Return the page in Markdown."""
    return "\n".join(_lines()).rstrip("\n") + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## Codes of CNI error objects\n"
    yield f"Below {_FIRST_OWN} those of the CNI specification 1.1.0, section 5; from {_FIRST_OWN}"
    yield "on DANM's own.\n"
    yield from table(
        ("code", "meaning", "errors"),
        [
            (
                str(int(each)),
                MEANINGS[each],
                ", ".join(code(kind.__name__) for kind in kinds() if code_of_class(kind) is each),
            )
            for each in CniCode
        ],
    )
    yield "## Problems of ipam-svc\n"
    yield f"Answers of `{CONTENT_TYPE}` (RFC 9457). `transient` says that trying again may help;"
    yield "DANM's client turns `type` back into the error."
    yield "[The API's description](../ipam-api/openapi.html) has the other members.\n"
    yield from table(
        ("type", "status", "transient", "meaning"),
        [
            (
                code(type_of(kind)),
                str(int(next(HTTP_STATUS[each] for each in kind.__mro__ if each in HTTP_STATUS))),
                "yes" if kind.transient else "",
                _ROOT if kind is DanmError else cell((kind.__doc__ or "").partition("\n")[0]),
            )
            for kind in kinds()
        ],
    )
