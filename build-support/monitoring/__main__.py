"""Write deploy/monitoring: ``python -m monitoring [DIRECTORY] [--runbooks URL]``."""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitoring.alerts import alerts
from monitoring.dashboards import dashboards
from monitoring.kustomize import kustomization
from monitoring.rules import RUNBOOKS, rule_file, rule_text
from monitoring.scrape import scrape_configs

ROOT: Final = Path(__file__).resolve().parents[2]
DIRECTORY: Final = ROOT / "deploy" / "monitoring"
DASHBOARDS: Final = PurePosixPath("dashboards")
RULES: Final = PurePosixPath("rules")
SCRAPE: Final = PurePosixPath("scrape.yaml")
_HEAD: Final = "# Written by `python -m monitoring`: change build-support/monitoring instead.\n"


def files(*, runbooks: str = str(RUNBOOKS)) -> Mapping[PurePosixPath, str]:
    """Return the contents of all files, by their paths.

    Args:
        runbooks: Where the alerts' pages are: a URL, or a path in this repository.
    """
    boards = {
        DASHBOARDS / f"{name}.json": json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True)
        + "\n"
        for name, board in dashboards().items()
    }
    rules = {RULES / "danm.yaml": _HEAD + rule_text(rule_file(alerts(), runbooks=runbooks))}
    return {
        **boards,
        **rules,
        SCRAPE: _HEAD + _yaml({"scrape_configs": scrape_configs()}),
        PurePosixPath("kustomization.yaml"): _HEAD + _yaml(kustomization(boards, rules)),
    }


def _yaml(content: Mapping[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=100)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files, and remove dashboards and rules of before."""
    parser = argparse.ArgumentParser(prog="python -m monitoring", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=DIRECTORY)
    parser.add_argument(
        "--runbooks", default=str(RUNBOOKS), metavar="URL", help="where docs/runbooks is served"
    )
    options = parser.parse_args(arguments)
    contents = files(runbooks=options.runbooks)
    for directory in (DASHBOARDS, RULES):
        shutil.rmtree(options.directory / directory, ignore_errors=True)
    for path, text in contents.items():
        (options.directory / path).parent.mkdir(parents=True, exist_ok=True)
        (options.directory / path).write_text(text)


if __name__ == "__main__":
    main()
