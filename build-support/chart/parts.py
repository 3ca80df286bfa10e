"""The parts of DANM that users set values of, and where these stand in the manifests. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from chart.kustomization import Identity, Kustomized, RawObject
from chart.template import Filled, More, Whole
from chart.values import DanmCni, Replicated, Svcwatcher, Values, Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A workload with values of its own.

    Attributes:
        key: Of its values.
        kind: Of the workload.
        name: Of the workload, and of its PodDisruptionBudget.
        section: The type of its values.
    """

    key: str
    kind: str
    name: str
    section: type[Workload]

    @property
    def identity(self) -> Identity:
        """Of the workload."""
        return self.kind, self.name


NETWATCHER: Final = "danm-netwatcher"
"""A DaemonSet that is not there where there are addresses alone."""

PARTS: Final = (
    Part(key="ipamSvc", kind="Deployment", name="danm-ipam", section=Replicated),
    Part(key="validator", kind="Deployment", name="danm-validator", section=Replicated),
    Part(key="svcwatcher", kind="Deployment", name="danm-svcwatcher", section=Svcwatcher),
    Part(key="danmCni", kind="DaemonSet", name="danm-cni", section=DanmCni),
    Part(key="netwatcher", kind="DaemonSet", name=NETWATCHER, section=Workload),
)
BUDGET: Final = "PodDisruptionBudget"

# What of a Pod is a value, by the names that both have, and what it is where it is missing.
_OF_PODS: Final[Mapping[str, object]] = {
    "priorityClassName": None,
    "nodeSelector": {},
    "tolerations": [],
    "affinity": {},
    "topologySpreadConstraints": [],
}


def defaults(manifests: Kustomized) -> Values:
    """Return the values with which the chart gives what the manifests say."""
    objects = {source.identity: source.raw for source in manifests.sources}
    return msgspec.convert({part.key: _defaults(part, objects) for part in PARTS}, Values)


def _defaults(part: Part, objects: Mapping[Identity, RawObject]) -> dict[str, Any]:
    spec = objects[part.identity]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    found = {
        "image": {
            "repository": container["image"],
            "pullPolicy": container["imagePullPolicy"],
        },
        "resources": container["resources"],
        "podLabels": {},
        "extraArgs": [],
        "extraEnv": [],
        "podAnnotations": spec["template"]["metadata"].get("annotations", {}),
        **{key: pod.get(key, _OF_PODS[key]) for key in _of_pods(part)},
    }
    if issubclass(part.section, Replicated):
        found["replicas"] = spec["replicas"]
        budget = objects[BUDGET, part.name]["spec"]
        found["podDisruptionBudget"] = {"maxUnavailable": budget["maxUnavailable"]}
    return found


def _of_pods(part: Part) -> list[str]:
    return [key for key in _OF_PODS if key in part.section.__struct_encode_fields__]


def placed(
    part: Part, tree: Mapping[str, Any], *, one_node: int | None, tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return a part's workload with its values in their places.

    Args:
        part: Whose it is.
        tree: The workload.
        one_node: Its replicas on a cluster of one node; None where it has none.
        tags: The versions of this release by the images' names.
    """
    values = f".Values.{part.key}"
    spec = tree["spec"]
    template = spec["template"]
    pod = template["spec"]
    (container,) = pod["containers"]
    placed_container = container | {
        "image": Filled(
            f'include "danm.image" (list .Values {values}.image "{tags[container["image"]]}")'
        ),
        "imagePullPolicy": Filled(f"{values}.image.pullPolicy"),
        "args": _extended(container.get("args"), f"{values}.extraArgs"),
        "env": _extended(container.get("env"), f"{values}.extraEnv"),
        "resources": Whole(f"{values}.resources"),
    }
    secrets = {"imagePullSecrets": Whole(".Values.global.imagePullSecrets")}
    placed_pod = pod | {key: Whole(f"{values}.{key}") for key in _of_pods(part)} | secrets
    metadata = template["metadata"] | {
        "labels": template["metadata"]["labels"] | {More(f"{values}.podLabels"): None},
        "annotations": Whole(f"{values}.podAnnotations"),
    }
    placed_spec = spec | {
        "template": template
        | {"metadata": metadata, "spec": placed_pod | {"containers": [placed_container]}}
    }
    if one_node is not None:
        count = f"ternary {one_node} (int {values}.replicas) .Values.oneNode"
        placed_spec["replicas"] = Filled(count)
    return {**tree, "spec": placed_spec}


def placed_budget(part: Part, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part's PodDisruptionBudget with its values in their places."""
    most = f"int .Values.{part.key}.podDisruptionBudget.maxUnavailable"
    return {**tree, "spec": tree["spec"] | {"maxUnavailable": Filled(most)}}


def _extended(items: list[Any] | None, path: str) -> object:
    return Whole(path) if items is None else [*items, More(path)]
