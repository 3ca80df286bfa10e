"""The parts and their values."""

from typing import Final

import msgspec
import pytest

from chart.__main__ import ROOT
from chart.kustomization import identity, read
from chart.parts import PARTS, Part, defaults
from chart.values import Values

MANIFESTS: Final = read(ROOT / "deploy")


def test_every_workload_is_a_part() -> None:
    """A new Deployment or DaemonSet of deploy/ comes with values."""
    workloads = {
        identity(source.raw)
        for source in MANIFESTS.sources
        if source.raw["kind"] in {"Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob"}
    }
    assert {part.identity for part in PARTS} == workloads


def test_every_part_has_values_of_its_type() -> None:
    """What the table of parts says is what values.yaml has."""
    fields = dict(zip(Values.__struct_encode_fields__, Values.__struct_fields__, strict=True))
    found = {part.key: type(getattr(defaults(MANIFESTS), fields[part.key])) for part in PARTS}
    assert found == {part.key: part.section for part in PARTS}


def test_defaults_are_the_manifests_own() -> None:
    """What deploy/ says of a part is its default."""
    values = msgspec.to_builtins(defaults(MANIFESTS))
    assert values["ipamSvc"]["replicas"] == 2
    assert values["ipamSvc"]["image"]["repository"] == "danm/ipam-svc"
    assert values["ipamSvc"]["resources"]["limits"] == {"memory": "640Mi"}
    assert values["danmCni"]["priorityClassName"] == "system-node-critical"
    assert values["danmCni"]["tolerations"] == [{"operator": "Exists"}]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.key)
def test_no_default_is_lost(part: Part) -> None:
    """Reading a manifest into values forgets nothing of it."""
    raws = {identity(source.raw): source.raw for source in MANIFESTS.sources}
    pod = raws[part.identity]["spec"]["template"]["spec"]
    values = msgspec.to_builtins(defaults(MANIFESTS))[part.key]
    for key in ("tolerations", "affinity", "topologySpreadConstraints", "priorityClassName"):
        assert pod.get(key) == (values.get(key) or None)
    assert pod["containers"][0]["resources"] == values["resources"]
