"""The templates of the chart's objects: deploy/ with the values in their places. Pure."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import PurePosixPath
from typing import Any, Final

from chart.kustomization import Identity, Kustomized, Source
from chart.parts import BUDGET, PARTS, placed, placed_budget
from chart.template import Either, Only, conditional, rendered

NAMESPACE: Final = "Namespace"
"""Helm makes it (`--create-namespace`), or who installs."""

_IPAM_ONLY: Final = ".Values.ipamOnly"
_SWITCHES: Final = {
    part: f".Values.{part}.enabled" for part in ("crds", "policies", "tenants", "svcwatcher")
}
"""Directories of deploy/ that users may leave out, and what says so."""


class UnequalObjectsError(ValueError):
    """deploy/ipam-only differs from deploy/ in what the chart cannot tell apart."""


def templates(
    whole: Kustomized, ipam_only: Kustomized, one_node: Mapping[str, int]
) -> dict[PurePosixPath, str]:
    """Return the files of the chart's templates, by their paths below ``templates``.

    Args:
        whole: Of deploy/.
        ipam_only: Of deploy/ipam-only.
        one_node: Replicas of deploy/one-node by the Deployments' names.

    Raises:
        UnequalObjectsError: The two have differences that no rule here covers.
    """
    alone = {source.identity: source.raw for source in ipam_only.sources}
    usual = {source.identity for source in whole.sources}
    more = [source for source in ipam_only.sources if source.identity not in usual]
    files: dict[PurePosixPath, str] = {}
    for source in (*whole.sources, *more):
        if source.raw["kind"] == NAMESPACE:
            continue
        text = "---\n" + rendered(_tree(source, alone, one_node, whole.tags))
        if conditions := list(_conditions(source, usual, alone)):
            text = conditional(_both(conditions), text)
        files[source.path] = files.get(source.path, _header(source.path)) + text
    return files


def _header(path: PurePosixPath) -> str:
    return f"{{{{- /* Written by `python -m chart`: change deploy/{path} instead. */}}}}\n"


def _conditions(
    source: Source, usual: AbstractSet[Identity], alone: Mapping[Identity, object]
) -> Iterator[str]:
    """Yield what must hold for an object to be there."""
    if source.identity not in usual:
        yield _IPAM_ONLY
    if source.identity not in alone:
        yield f"not {_IPAM_ONLY}"
    directory = source.path.parts[0]
    if directory in _SWITCHES:
        yield _SWITCHES[directory]
    for part in PARTS:
        if source.identity == (BUDGET, part.name):
            yield f".Values.{part.key}.podDisruptionBudget.enabled"


def _both(conditions: list[str]) -> str:
    if len(conditions) == 1:
        return conditions[0]
    return "and " + " ".join(f"({each})" if " " in each else each for each in conditions)


def _tree(
    source: Source,
    alone: Mapping[Identity, dict[str, Any]],
    one_node: Mapping[str, int],
    tags: Mapping[str, str],
) -> dict[str, Any]:
    tree: dict[str, Any] = source.raw
    if source.identity in alone:
        tree = _merged(tree, alone[source.identity])
    for part in PARTS:
        if source.identity == part.identity:
            return placed(part, tree, one_node=one_node.get(part.name), tags=tags)
        if source.identity == (BUDGET, part.name):
            return placed_budget(part, tree)
    if source.raw["kind"] == "CustomResourceDefinition":
        keep = {"helm.sh/resource-policy": Either(".Values.crds.keep", "keep", None)}
        metadata = tree["metadata"]
        annotations = metadata.get("annotations", {}) | keep
        return {**tree, "metadata": metadata | {"annotations": annotations}}
    return tree


def _merged(whole: Any, alone: Any) -> Any:  # noqa: ANN401  (raw YAML)
    """Return a tree that is the one or the other, by what users want."""
    if whole == alone:
        return whole
    match whole, alone:
        case dict(), dict() if whole.keys() == alone.keys():
            return {key: _merged(value, alone[key]) for key, value in whole.items()}
        case [dict() as one], [dict() as other]:
            return [_merged(one, other)]
        case list(), list() if alone[: len(whole)] == whole:
            return [*whole, *(Only(_IPAM_ONLY, item) for item in alone[len(whole) :])]
        case _:
            raise UnequalObjectsError(f"{whole!r} and {alone!r}")
