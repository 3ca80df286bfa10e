"""What each value of the chart changes, with Helm itself; no server runs here."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from chart.documents import walk
from chart.kustomization import read
from danm_api.names import SYSTEM_NAMESPACE
from tests.deploy.helm import CHART, RELEASE, REPOSITORY, Objects, Tools, leaves

# Building Helm and kubectl, where the cache is empty.
pytestmark = [pytest.mark.apiserver(), pytest.mark.timeout(1500)]

DEPLOY: Final = REPOSITORY / "deploy"
TAGS: Final = read(DEPLOY).tags
_KEEP: Final = "helm.sh/resource-policy"
_DIGEST: Final = "sha256:" + "0123456789abcdef" * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value shows.

    Attributes:
        kind, name: Of the object.
        path: In it, as a JSON pointer; empty for the object itself.
        shown: What is there then; None for nothing.
    """

    kind: str
    name: str
    path: str = ""
    shown: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A value, changed, and every place where that shows."""

    path: str
    value: object
    places: tuple[Place, ...]

    @property
    def values(self) -> dict[str, Any]:
        """As a user writes it."""
        return nested(self.path, self.value)


def nested(path: str, value: object) -> dict[str, Any]:
    """Return a mapping of mappings with one value."""
    *above, last = path.split(".")
    tree: dict[str, Any] = {last: value}
    for key in reversed(above):
        tree = {key: tree}
    return tree


def _part(key: str, kind: str, name: str, image: str, *, args: int = 0, env: int) -> Iterator[Row]:
    """Yield the rows of what every part has.

    Args:
        key: Of its values.
        kind: Of its workload.
        name: Of its workload.
        image: Its repository.
        args: How many the manifest has.
        env: How many variables the manifest has.
    """

    def row(path: str, value: object, *where: tuple[str, object]) -> Row:
        places = (Place(kind=kind, name=name, path=each, shown=shown) for each, shown in where)
        return Row(path=f"{key}.{path}", value=value, places=tuple(places))

    pod = "/spec/template/spec"
    container = f"{pod}/containers/0"
    terms: dict[str, Any] = {"nodeSelectorTerms": []}
    node = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    variable = {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}
    toleration = {"key": "mine", "operator": "Exists"}
    yield row("image.repository", "my/image", (f"{container}/image", f"my/image:{TAGS[image]}"))
    yield row("image.tag", "9.9.9", (f"{container}/image", f"{image}:9.9.9"))
    yield row("image.digest", _DIGEST, (f"{container}/image", f"{image}@{_DIGEST}"))
    yield row("image.pullPolicy", "Always", (f"{container}/imagePullPolicy", "Always"))
    yield row(
        "resources", {"limits": {"memory": "3Gi"}}, (f"{container}/resources/limits/memory", "3Gi")
    )
    yield row("nodeSelector", {"a": "true"}, (f"{pod}/nodeSelector", {"a": "true"}))
    yield row("tolerations", [toleration], (f"{pod}/tolerations", [toleration]))
    yield row("affinity", {"nodeAffinity": node}, (f"{pod}/affinity/nodeAffinity", node))
    yield row("priorityClassName", "mine", (f"{pod}/priorityClassName", "mine"))
    yield row("podAnnotations", {"x/y": "1"}, ("/spec/template/metadata/annotations", {"x/y": "1"}))
    yield row("podLabels", {"team": "net"}, ("/spec/template/metadata/labels/team", "net"))
    yield row("extraArgs", ["--log-level=DEBUG"], (f"{container}/args/{args}", "--log-level=DEBUG"))
    yield row("extraEnv", [variable], (f"{container}/env/{env}", variable))


def _replicated(key: str, name: str) -> Iterator[Row]:
    """Yield the rows of what a part with replicas has beside those."""
    spread = [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}]
    deployment = functools.partial(Place, kind="Deployment", name=name)
    budget = functools.partial(Place, kind="PodDisruptionBudget", name=name)
    yield Row(path=f"{key}.replicas", value=3, places=(deployment(path="/spec/replicas", shown=3),))
    yield Row(
        path=f"{key}.topologySpreadConstraints",
        value=spread,
        places=(deployment(path="/spec/template/spec/topologySpreadConstraints", shown=spread),),
    )
    yield Row(path=f"{key}.podDisruptionBudget.enabled", value=False, places=(budget(),))
    yield Row(
        path=f"{key}.podDisruptionBudget.maxUnavailable",
        value=2,
        places=(budget(path="/spec/maxUnavailable", shown=2),),
    )


_IMAGES: Final = {
    ("Deployment", "danm-ipam"): "danm/ipam-svc",
    ("Deployment", "danm-validator"): "danm/netwatcher",
    ("Deployment", "danm-svcwatcher"): "danm/svcwatcher",
    ("DaemonSet", "danm-cni"): "danm/danm-cni",
    ("DaemonSet", "danm-netwatcher"): "danm/netwatcher",
}
_DEPLOYMENTS: Final = ("danm-ipam", "danm-validator", "danm-svcwatcher")
_CRDS: Final = ("danmnets", "danmeps", "danmipblocks", "danmnodes")


def _below(directory: str) -> tuple[Place, ...]:
    """Return all objects of a directory of deploy/, which go."""
    raws = (
        raw
        for path in (DEPLOY / directory).glob("*.yaml")
        for raw in yaml.safe_load_all(path.read_text())
    )
    return tuple(
        Place(kind=raw["kind"], name=raw["metadata"]["name"])
        for raw in raws
        if raw["kind"] != "Kustomization"
    )


ROWS: Final = (
    Row(
        path="global.imageRegistry",
        value="registry.example/mirror",
        places=tuple(
            Place(
                kind=kind,
                name=name,
                path="/spec/template/spec/containers/0/image",
                shown=f"registry.example/mirror/{image}:{TAGS[image]}",
            )
            for (kind, name), image in _IMAGES.items()
        ),
    ),
    Row(
        path="global.imageTag",
        value="nightly",
        places=tuple(
            Place(
                kind=kind,
                name=name,
                path="/spec/template/spec/containers/0/image",
                shown=f"{image}:nightly",
            )
            for (kind, name), image in _IMAGES.items()
        ),
    ),
    Row(
        path="global.imagePullSecrets",
        value=[{"name": "key"}],
        places=tuple(
            Place(
                kind=kind,
                name=name,
                path="/spec/template/spec/imagePullSecrets",
                shown=[{"name": "key"}],
            )
            for kind, name in _IMAGES
        ),
    ),
    Row(
        path="oneNode",
        value=True,
        places=tuple(
            Place(kind="Deployment", name=name, path="/spec/replicas", shown=1)
            for name in _DEPLOYMENTS
        ),
    ),
    *(
        Row(path=f"{directory}.enabled", value=False, places=_below(directory))
        for directory in ("crds", "policies", "tenants", "svcwatcher")
    ),
    Row(
        path="crds.keep",
        value=False,
        places=tuple(
            Place(
                kind="CustomResourceDefinition",
                name=f"{plural}.danm.k8s.io",
                path=f"/metadata/annotations/{_KEEP.replace('/', '~1')}",
            )
            for plural in _CRDS
        ),
    ),
    *_part("ipamSvc", "Deployment", "danm-ipam", "danm/ipam-svc", env=4),
    *_part("validator", "Deployment", "danm-validator", "danm/netwatcher", args=1, env=2),
    *_part("svcwatcher", "Deployment", "danm-svcwatcher", "danm/svcwatcher", env=2),
    *_part("danmCni", "DaemonSet", "danm-cni", "danm/danm-cni", env=4),
    *_part("netwatcher", "DaemonSet", "danm-netwatcher", "danm/netwatcher", args=1, env=2),
    *_replicated("ipamSvc", "danm-ipam"),
    *_replicated("validator", "danm-validator"),
    *_replicated("svcwatcher", "danm-svcwatcher"),
)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """Return the programs, with a home of their own."""
    return Tools.obtain(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def usual(tools: Tools) -> Objects:
    """Return what the chart gives with its own values."""
    return tools.objects()


def _differences(one: Objects, other: Objects) -> Iterator[tuple[str, str, str]]:
    """Yield where two sets of objects differ: kind, name, and path to each leaf of an object."""
    for kind, name in {*one, *other}:
        if (kind, name) not in one or (kind, name) not in other:
            yield kind, name, ""
            continue
        before, after = (dict(leaves(each[kind, name])) for each in (one, other))
        for path in {*before, *after}:
            if path not in before or path not in after or before[path] != after[path]:
                yield kind, name, path


def _shown(objects: Objects, place: Place) -> object:
    found: Any = objects.get((place.kind, place.name))
    for step in place.path.split("/")[1:]:
        key = step.replace("~1", "/")
        found = found[int(key)] if isinstance(found, list) else found.get(key)
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.path)
def test_a_value_shows_in_its_places_and_nowhere_else(
    tools: Tools, usual: Objects, row: Row
) -> None:
    """Whoever sets one value changes what it says, and nothing besides."""
    changed = tools.objects(row.values)
    differing = set(_differences(usual, changed))
    for place in row.places:
        assert _shown(changed, place) == place.shown, place
        here = {
            each
            for each in differing
            if each[:2] == (place.kind, place.name)
            and (each[2] == place.path or each[2].startswith(f"{place.path}/"))
        }
        assert here, place
        differing -= here
    assert differing == set()


def test_every_value_has_a_row() -> None:
    """A new value comes with what it changes."""
    leaf_values = {".".join(value.path) for value in walk() if not value.section}
    # ipamOnly changes more than a table can tell: it has a test of its own.
    assert {row.path for row in ROWS} == leaf_values - {"ipamOnly"}
    assert len({row.path for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    ("values", "overlay"),
    [
        pytest.param({}, "resources: [deploy]", id="all"),
        pytest.param({"ipamOnly": True}, "resources: [deploy/ipam-only]", id="ipam-only"),
        pytest.param(
            {"oneNode": True},
            "resources: [deploy]\ncomponents: [deploy/one-node]",
            id="one-node",
        ),
        pytest.param(
            {"svcwatcher": {"enabled": False}},
            "resources: [deploy]\ncomponents: [deploy/without-svcwatcher]",
            id="without-svcwatcher",
        ),
        pytest.param(
            {"svcwatcher": {"enabled": False}, "oneNode": True},
            "resources: [deploy]\ncomponents: [deploy/one-node, deploy/without-svcwatcher]",
            id="one-node-without-svcwatcher",
        ),
    ],
)
def test_the_chart_gives_what_kustomize_gives(
    tools: Tools, tmp_path: Path, values: Mapping[str, object], overlay: str
) -> None:
    """Both installations are one: object for object, but the namespace, which Helm makes."""
    (tmp_path / "deploy").symlink_to(DEPLOY)
    (tmp_path / "kustomization.yaml").write_text(overlay)
    wanted = dict(tools.kustomized(tmp_path))
    del wanted["Namespace", SYSTEM_NAMESPACE]
    given = tools.objects(values)
    for plural in _CRDS:
        metadata = given["CustomResourceDefinition", f"{plural}.danm.k8s.io"]["metadata"]
        # Of Helm alone: see crds.keep.
        assert metadata["annotations"].pop(_KEEP) == "keep"
    assert given.keys() == wanted.keys()
    assert given == wanted


def test_a_parts_tag_goes_before_the_one_for_all(tools: Tools) -> None:
    """One part can be tried in another version, whatever the others are."""
    values = {"global": {"imageTag": "nightly"}, "svcwatcher": {"image": {"tag": "9.9.9"}}}
    objects = tools.objects(values)
    images = {
        name: objects[kind, name]["spec"]["template"]["spec"]["containers"][0]["image"]
        for kind, name in _IMAGES
    }
    assert images.pop("danm-svcwatcher") == "danm/svcwatcher:9.9.9"
    assert {image.rpartition(":")[2] for image in images.values()} == {"nightly"}


@pytest.mark.parametrize("key", ["tolerations", "affinity", "priorityClassName", "resources"])
def test_null_takes_a_default_away(tools: Tools, usual: Objects, key: str) -> None:
    """A manifest that need not have something has it no more when users say null."""
    before, after = (
        objects["Deployment", "danm-validator"]["spec"]["template"]["spec"]
        for objects in (usual, tools.objects({"validator": {key: None}}))
    )
    assert key in before or key in before["containers"][0]
    assert key not in after
    assert key not in after["containers"][0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"ipamsvc": {}}, ["'ipamsvc'"], id="part"),
        pytest.param({"ipamSvc": {"replica": 3}}, ["ipamSvc", "'replica'"], id="value"),
        pytest.param({"danmCni": {"replicas": 3}}, ["danmCni", "'replicas'"], id="has-none"),
        pytest.param({"ipamSvc": {"replicas": "3"}}, ["ipamSvc/replicas", "integer"], id="text"),
        pytest.param({"ipamSvc": {"replicas": 0}}, ["ipamSvc/replicas", "1"], id="zero"),
        pytest.param({"ipamSvc": {"replicas": None}}, ["ipamSvc", "'replicas'"], id="null"),
        pytest.param({"netwatcher": {"image": {"tag": 1.0}}}, ["image/tag", "string"], id="tag"),
        pytest.param({"netwatcher": {"image": {"digest": "1"}}}, ["image/digest"], id="digest"),
        pytest.param({"oneNode": "yes"}, ["oneNode", "boolean"], id="switch"),
        pytest.param(
            {"ipamSvc": {"resources": {"limit": {}}}}, ["ipamSvc/resources", "'limit'"], id="limit"
        ),
        pytest.param(
            {"ipamSvc": {"podLabels": {"app.kubernetes.io/name": "x"}}},
            ["ipamSvc/podLabels/app.kubernetes.io~1name"],
            id="own-label",
        ),
        pytest.param(
            {"ipamSvc": {"tolerations": [{"keys": "x"}]}},
            ["ipamSvc/tolerations/0", "'keys'"],
            id="toleration",
        ),
        pytest.param(
            {"ipamSvc": {"podDisruptionBudget": {"maxUnavailable": 0}}},
            ["podDisruptionBudget/maxUnavailable", "1"],
            id="budget",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(
    tools: Tools, values: object, words: list[str]
) -> None:
    """Nothing is taken for a value that it is not, and the message says where it is."""
    done = tools.with_values("template", values)
    assert done.returncode != 0
    assert [word for word in words if word not in done.stderr] == [], done.stderr


def test_a_release_in_another_namespace_is_refused(tools: Tools) -> None:
    """Clients look for ipam-svc in one namespace, so a release in another one serves nobody."""
    done = tools.run(tools.helm, "template", RELEASE, str(CHART), "--namespace=elsewhere")
    assert done.returncode != 0
    assert f"--namespace {SYSTEM_NAMESPACE}" in done.stderr
    assert "elsewhere" in done.stderr


def test_an_old_kubernetes_is_refused(tools: Tools) -> None:
    """README.md names the oldest one; one from a provider, with its own suffix, counts too."""
    minimum = "1.34"
    assert f"Kubernetes {minimum} or later" in (REPOSITORY / "README.md").read_text()
    for version, status in (("v1.33.9", 1), (f"v{minimum}.0-provider.1", 0)):
        done = tools.with_values("template", None, f"--kube-version={version}")
        assert min(done.returncode, 1) == status, done.stderr
        assert status == 0 or "kubeVersion" in done.stderr


def test_helm_finds_no_fault(tools: Tools) -> None:
    """``helm lint --strict`` passes."""
    done = tools.with_values("lint", None, "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
