"""Write the chart: ``python -m chart [DIRECTORY]``, charts/danm by default."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from chart import documents, texts
from chart.kustomization import read, read_replicas
from chart.objects import NAMESPACE, templates
from chart.parts import NETWATCHER, defaults

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "charts" / "danm"
_TEMPLATES: Final = PurePosixPath("templates")


def files(deploy: Path) -> Mapping[PurePosixPath, str]:
    """Return the chart of what is in a directory as deploy/: its files' contents.

    Raises:
        UnknownKustomizationError: It uses something of kustomize that is not known here.
        UnequalObjectsError: Its parts differ in what the chart cannot tell apart.
    """
    whole = read(deploy)
    (namespace,) = (source.raw for source in whole.sources if source.raw["kind"] == NAMESPACE)
    name, labels = namespace["metadata"]["name"], namespace["metadata"]["labels"]
    values = defaults(whole)
    objects = templates(whole, read(deploy, "ipam-only"), read_replicas(deploy, "one-node"))
    return {
        PurePosixPath("Chart.yaml"): documents.chart_yaml(whole.tags),
        PurePosixPath("README.md"): texts.readme(values, name, labels, whole.tags),
        PurePosixPath("values.yaml"): documents.values_yaml(values),
        PurePosixPath("values.schema.json"): documents.schema_json(),
        _TEMPLATES / "NOTES.txt": texts.notes(name, labels),
        _TEMPLATES / "_helpers.tpl": texts.HELPERS,
        _TEMPLATES / "release-namespace.yaml": texts.release_check(name),
        _TEMPLATES / "ipam-only.yaml": texts.ipam_only_check(name, NETWATCHER),
        **{_TEMPLATES / path: text for path, text in objects.items()},
    }


def main(arguments: list[str]) -> None:
    """Write the chart's files, and remove others of its templates.

    Raises:
        SystemExit: What is given is no directory's name.
    """
    if len(arguments) > 1 or any(each.startswith("-") for each in arguments):
        raise SystemExit("usage: python -m chart [DIRECTORY]   (by default charts/danm)")
    directory = Path(arguments[0]) if arguments else CHART
    contents = files(ROOT / "deploy")
    shutil.rmtree(directory / _TEMPLATES, ignore_errors=True)
    for path, text in contents.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
