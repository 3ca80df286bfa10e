"""The committed chart is the one that deploy/ and the values give."""

from pathlib import Path, PurePosixPath
from typing import Final

import pytest
import yaml

from chart.__main__ import CHART, ROOT, files, main
from chart.kustomization import read
from chart.parts import NETWATCHER
from danm_api.names import SYSTEM_NAMESPACE

HINT: Final = "write it anew: PYTHONPATH=build-support python -m chart"


def _committed() -> dict[PurePosixPath, str]:
    return {
        PurePosixPath(path.relative_to(CHART)): path.read_text()
        for path in CHART.rglob("*")
        if path.is_file()
    }


def test_the_committed_chart_is_of_this_source() -> None:
    """Who installs charts/danm gets what who applies deploy/ gets."""
    wanted, committed = dict(files(ROOT / "deploy")), _committed()
    assert sorted(map(str, wanted)) == sorted(map(str, committed)), HINT
    stale = [str(path) for path, text in wanted.items() if committed[path] != text]
    assert stale == [], HINT


def test_the_command_writes_the_chart_and_removes_old_templates(tmp_path: Path) -> None:
    """``python -m chart`` leaves exactly what is committed."""
    old = tmp_path / "templates" / "gone" / "old.yaml"
    old.parent.mkdir(parents=True)
    old.write_text("kind: Old\n")
    main([str(tmp_path)])
    written = {
        PurePosixPath(path.relative_to(tmp_path)): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert written == _committed()


@pytest.mark.parametrize("arguments", [["--help"], ["a", "b"]])
def test_what_is_no_directory_is_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option is not taken for a place to write to."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="usage"):
        main(arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_chart_names_the_namespace_of_all_parts() -> None:
    """Where DANM's own programs look for ipam-svc is where the chart may be installed."""
    check = (CHART / "templates" / "release-namespace.yaml").read_text()
    assert f'ne .Release.Namespace "{SYSTEM_NAMESPACE}"' in check


def test_addresses_alone_are_known_by_what_they_lack() -> None:
    """The check looks for a DaemonSet of DANM that deploy/ipam-only has not."""
    check = (CHART / "templates" / "ipam-only.yaml").read_text()
    assert f'lookup "apps/v1" "DaemonSet" "{SYSTEM_NAMESPACE}" "{NETWATCHER}"' in check
    identity = ("DaemonSet", NETWATCHER)
    whole, alone = read(ROOT / "deploy"), read(ROOT / "deploy", "ipam-only")
    assert identity in {source.identity for source in whole.sources}
    assert identity not in {source.identity for source in alone.sources}


def test_the_chart_says_its_license_and_version() -> None:
    """Chart.yaml tells the license of the repository, and the release of the images."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["annotations"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert chart["appVersion"] in read(ROOT / "deploy").tags.values()
