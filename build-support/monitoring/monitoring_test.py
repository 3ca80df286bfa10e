"""The committed dashboards and rules are those that their Python gives."""

from pathlib import Path, PurePosixPath
from typing import Final

import yaml

from monitoring.__main__ import DIRECTORY, files, main

HINT: Final = "write them anew: deploy/monitoring/README.md has the command"
# Written by people.
_OTHERS: Final = {PurePosixPath("README.md")}


def _written(directory: Path) -> dict[PurePosixPath, str]:
    return {
        PurePosixPath(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_committed_files_are_of_this_source() -> None:
    """Who installs deploy/monitoring gets what is described here."""
    wanted, committed = dict(files()), _written(DIRECTORY)
    assert sorted(map(str, wanted)) == sorted(map(str, committed.keys() - _OTHERS)), HINT
    stale = [str(path) for path, text in wanted.items() if committed[path] != text]
    assert stale == [], HINT


def test_the_command_writes_the_files_and_removes_old_ones(tmp_path: Path) -> None:
    """``python -m monitoring`` leaves no dashboard that is no more."""
    old = tmp_path / "dashboards" / "old.json"
    old.parent.mkdir()
    old.write_text("{}")
    main([str(tmp_path)])
    assert _written(tmp_path) == dict(files())


def test_runbooks_may_be_served_elsewhere(tmp_path: Path) -> None:
    """Alerts lead to where an operator has the pages."""
    main([str(tmp_path), "--runbooks", "https://wiki.example/danm/"])
    rules = yaml.safe_load((tmp_path / "rules" / "danm.yaml").read_text())["groups"][0]["rules"]
    assert [each["annotations"]["runbook_url"] for each in rules] == [
        f"https://wiki.example/danm/{each['alert']}.md" for each in rules
    ]


def test_the_kustomization_wraps_all_dashboards_and_rules() -> None:
    """None is left out of the ConfigMaps, and Grafana's side-car finds the dashboards."""
    kustomization = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())
    maps = kustomization["configMapGenerator"]
    wrapped = [file for each in maps for file in each["files"]]
    boards = sorted(f"dashboards/{path.name}" for path in (DIRECTORY / "dashboards").iterdir())
    assert wrapped == [*boards, "rules/danm.yaml"]
    labelled = [each for each in maps if "options" in each]
    assert [each["files"][0] for each in labelled] == boards
    assert all(each["options"]["labels"] == {"grafana_dashboard": "1"} for each in labelled)
