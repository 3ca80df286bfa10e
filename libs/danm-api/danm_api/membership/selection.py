"""Which Pods and which network a Service asks for in its annotations. Pure.

Source: SPEC S1. A Service is DANM's when it carries either annotation. One that then cannot be
served gets a Refusal, which becomes an Event on it and concerns nobody else (SPEC S4); it has no
endpoints until it is corrected, since endpoints that follow nothing would soon be wrong.
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from danm_api.model.service import Service
from danm_api.names import GROUP, Namespace, NetworkName

SELECTOR_ANNOTATION: Final = f"{GROUP}/selector"
NETWORK_ANNOTATION: Final = f"{GROUP}/network"
# The old spelling of ``publishNotReadyAddresses``; Kubernetes itself has forgotten it.
TOLERATE_UNREADY_ANNOTATION: Final = "service.alpha.kubernetes.io/tolerate-unready-endpoints"

# A DNS subdomain (RFC 1123), which every object's name is.
_OBJECT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
# What the API server takes as a label: (prefix/)name and value, of which the value may be empty.
_LABEL_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_SELECTOR_EXAMPLE: Final = '{"app": "loadbalancer"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a Service asks for.

    Attributes:
        labels: All must be on the Pod; at least one, sorted by key.
        tolerate_unready: Addresses count as ready whatever their Pods say.
    """

    namespace: Namespace
    network: NetworkName
    labels: tuple[tuple[str, str], ...]
    tolerate_unready: bool = False

    def admits(self, labels: dict[str, str]) -> bool:
        """Say whether a Pod's labels hold all that is asked for."""
        return all(labels.get(key) == value for key, value in self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a Service with DANM's annotations has no endpoints.

    Attributes:
        reason: A sentence that says what to do.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotOurs:
    """The Service is none of DANM's business."""


Verdict = Selection | Refusal | NotOurs


def select(service: Service) -> Verdict:
    """Read a Service's annotations."""
    selector = service.annotations.get(SELECTOR_ANNOTATION)
    network = service.annotations.get(NETWORK_ANNOTATION)
    # A Service on its way out is left to the garbage collector, which must not be raced.
    if service.deleting or (selector is None and network is None):
        return NotOurs()
    if selector is None or network is None:
        missing = SELECTOR_ANNOTATION if selector is None else NETWORK_ANNOTATION
        return Refusal(reason=f"The annotation {missing} is missing; DANM needs both, or neither")
    if service.selector:
        return Refusal(
            reason="spec.selector is set, so the endpoints are Kubernetes' own; remove it to get "
            f"those of {NETWORK_ANNOTATION}, or remove DANM's annotations"
        )
    if not service.headless:
        return Refusal(
            reason="the Service is not headless; re-create it with spec.clusterIP: None, or remove "
            "DANM's annotations"
        )
    if not _OBJECT_NAME.fullmatch(network):
        return Refusal(
            reason=f"The annotation {NETWORK_ANNOTATION} holds {network!r}, which is no DanmNet's "
            "name; give the name of a DanmNet of this namespace"
        )
    labels = _labels(selector)
    if isinstance(labels, Refusal):
        return labels
    return Selection(
        namespace=service.namespace,
        network=NetworkName(network),
        labels=labels,
        tolerate_unready=service.publish_not_ready
        or service.annotations.get(TOLERATE_UNREADY_ANNOTATION, "").lower() == "true",
    )


def _labels(text: str) -> tuple[tuple[str, str], ...] | Refusal:
    """Parse the selector."""
    wanted = f"give a JSON map of labels, such as {_SELECTOR_EXAMPLE}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Refusal(
            reason=f"The annotation {SELECTOR_ANNOTATION} is not JSON ({error}); {wanted}"
        )
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        return Refusal(
            reason=f"The annotation {SELECTOR_ANNOTATION} is no map of text to text; {wanted}"
        )
    if not value:
        # Kubernetes' own empty selector selects nothing; here it would select every Pod.
        return Refusal(reason=f"The annotation {SELECTOR_ANNOTATION} is empty; {wanted}")
    impossible = [(key, text) for key, text in value.items() if not _may_be_label(key, text)]
    if impossible:
        key, text = impossible[0]
        return Refusal(
            reason=f"The annotation {SELECTOR_ANNOTATION} asks for the label {key!r} with the "
            f"value {text!r}, which Kubernetes lets no Pod have; {wanted}"
        )
    return tuple(sorted(value.items()))


def _may_be_label(key: str, value: str) -> bool:
    """Say whether the API server takes a label, so that a Pod could have it."""
    prefix, slash, name = key.rpartition("/")
    return (
        _LABEL_NAME.fullmatch(name) is not None
        and (not slash or _OBJECT_NAME.fullmatch(prefix) is not None)
        and (not value or _LABEL_NAME.fullmatch(value) is not None)
    )
