"""Which fields of objects may go into the archive. Pure.

A list of what is kept, not of what is removed: what a later Kubernetes or a tenant adds stays out.
No Secret and no ConfigMap is read at all.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from danm_api.codec.meta import RawObject
from danm_api.names import GROUP
from kubectl_danm.bundle.censor import REMOVED, Censor


class All(Enum):
    """Whatever is there, its texts censored."""

    ALL = "all"


ALL: Final = All.ALL
# Keys of an object and what is kept of each; of a list, the same of each item.
Shape = All | Mapping[str, "Shape"]

_METADATA: Final[Shape] = {
    "name": ALL,
    "namespace": ALL,
    "uid": ALL,
    "generation": ALL,
    "resourceVersion": ALL,
    "creationTimestamp": ALL,
    "deletionTimestamp": ALL,
    "finalizers": ALL,
    "labels": ALL,
    "ownerReferences": ALL,
}
# Annotations by which DANM, or a plugin that stands beside it, works. Never
# kubectl.kubernetes.io/last-applied-configuration, which repeats the whole manifest.
_ANNOTATIONS: Final = frozenset(
    {
        "kubernetes.io/config.mirror",
        "k8s.v1.cni.cncf.io/network-status",
        "service.alpha.kubernetes.io/tolerate-unready-endpoints",
    }
)
_CONDITIONS: Final[Shape] = {
    key: ALL
    for key in ("type", "status", "reason", "message", "lastTransitionTime", "observedGeneration")
}
_WHOLE: Final[Shape] = {"spec": ALL, "status": ALL}
# Of a container that ended, neither its message nor anything that it wrote.
_CONTAINER_STATE: Final[Shape] = {
    "running": {"startedAt": ALL},
    "waiting": {"reason": ALL},
    "terminated": {key: ALL for key in ("reason", "exitCode", "signal", "startedAt", "finishedAt")},
}
_CONTAINER_STATUSES: Final[Shape] = {
    "name": ALL,
    "ready": ALL,
    "restartCount": ALL,
    "image": ALL,
    "imageID": ALL,
    "containerID": ALL,
    "state": _CONTAINER_STATE,
    "lastState": _CONTAINER_STATE,
}
_POD_STATUS: Final[Shape] = {
    "phase": ALL,
    "reason": ALL,
    "message": ALL,
    "podIP": ALL,
    "podIPs": ALL,
    "hostIP": ALL,
    "startTime": ALL,
    "conditions": _CONDITIONS,
    "containerStatuses": _CONTAINER_STATUSES,
    "initContainerStatuses": _CONTAINER_STATUSES,
}
_POD_SPEC: Final[dict[str, Shape]] = {
    "nodeName": ALL,
    "hostNetwork": ALL,
    "hostname": ALL,
    "subdomain": ALL,
    "priorityClassName": ALL,
}
_CONTAINER: Final[dict[str, Shape]] = {"name": ALL, "image": ALL}
# Of DANM's own Pods also how they were started; of the environment the names alone.
_OWN_CONTAINER: Final[Shape] = {
    **_CONTAINER,
    "command": ALL,
    "args": ALL,
    "env": {"name": ALL},
    "ports": ALL,
    "resources": ALL,
}
POD: Final[Shape] = {
    "spec": {**_POD_SPEC, "containers": _CONTAINER, "initContainers": _CONTAINER},
    "status": _POD_STATUS,
}
OWN_POD: Final[Shape] = {
    "spec": {
        **_POD_SPEC,
        "containers": _OWN_CONTAINER,
        "initContainers": _OWN_CONTAINER,
        "tolerations": ALL,
        "serviceAccountName": ALL,
    },
    "status": _POD_STATUS,
}
# By the plural of the kind.
SHAPES: Final[Mapping[str, Shape]] = {
    "danmnets": _WHOLE,
    "danmeps": _WHOLE,
    "danmipblocks": _WHOLE,
    "danmnodes": _WHOLE,
    "leases": _WHOLE,
    "nodes": {
        "spec": {"taints": ALL, "unschedulable": ALL},
        "status": {
            "conditions": _CONDITIONS,
            "addresses": ALL,
            "nodeInfo": {
                key: ALL
                for key in (
                    "architecture",
                    "containerRuntimeVersion",
                    "kernelVersion",
                    "kubeletVersion",
                    "osImage",
                )
            },
        },
    },
    "services": {
        "spec": {
            key: ALL
            for key in (
                "clusterIP",
                "ipFamilies",
                "ipFamilyPolicy",
                "ports",
                "publishNotReadyAddresses",
                "selector",
                "type",
            )
        }
    },
    "endpointslices": {"addressType": ALL, "endpoints": ALL, "ports": ALL},
    "events": {
        key: ALL
        for key in (
            "type",
            "reason",
            "note",
            "action",
            "regarding",
            "reportingController",
            "reportingInstance",
            "eventTime",
            "series",
            "deprecatedSource",
            "deprecatedCount",
            "deprecatedFirstTimestamp",
            "deprecatedLastTimestamp",
        )
    },
    "pods": POD,
}


def kept(raw: RawObject, shape: Shape, censor: Censor) -> RawObject:
    """Return what of an object goes into the archive."""
    metadata = _kept(raw.get("metadata") or {}, _METADATA, censor)
    annotations = {
        key: censor.text(str(value))
        for key, value in (raw.get("metadata", {}).get("annotations") or {}).items()
        if key in _ANNOTATIONS or key.startswith(f"{GROUP}/")
    }
    if annotations:
        metadata["annotations"] = annotations
    body = _kept(raw, shape, censor)
    return {
        "apiVersion": raw.get("apiVersion", ""),
        "kind": raw.get("kind", ""),
        "metadata": metadata,
        **body,
    }


def _kept(value: Any, shape: Shape, censor: Censor) -> Any:  # noqa: ANN401  (JSON)
    if isinstance(shape, All):
        return censored(value, censor)
    if isinstance(value, list):
        return [_kept(each, shape, censor) for each in value]
    if isinstance(value, dict):
        return {key: _kept(value[key], sub, censor) for key, sub in shape.items() if key in value}
    # Something else than what the shape is for.
    return None


def censored(value: Any, censor: Censor) -> Any:  # noqa: ANN401  (JSON)
    """Return a JSON value without secrets: every text in it, and whatever a key calls one."""
    match value:
        case str():
            return censor.text(value)
        case dict():
            return {
                censor.text(key): (
                    REMOVED if censor.names_a_secret(key) else censored(each, censor)
                )
                for key, each in value.items()
            }
        case list() if all(isinstance(each, str) for each in value):
            return censor.arguments(value)
        case list():
            return [censored(each, censor) for each in value]
        case _:
            return value


def environment_of(pod: RawObject) -> list[str]:
    """Return the values of a Pod's environment, so that they can be found elsewhere."""
    spec = pod.get("spec") or {}
    return [
        str(each["value"])
        for group in ("containers", "initContainers", "ephemeralContainers")
        for container in spec.get(group) or ()
        for each in container.get("env") or ()
        if each.get("value")
    ]
