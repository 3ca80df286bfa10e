"""Every part has one version, and all places have it."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import click
import pytest
import yaml
from click.testing import CliRunner

import danm_cni.__main__
import danm_cni.version
import fakeipam.version
import ipam_svc.__main__
import ipam_svc.version
import kubectl_danm.__main__
import kubectl_danm.version
import netwatcher.__main__
import netwatcher.version
import svcwatcher.__main__
import svcwatcher.version
from versions.__main__ import ROOT, due, main, places, raise_version, version_of
from versions.history import tag_of
from versions.parts import PARTS, Part
from versions.texts import Step, VersionError

HINT: Final = "write it anew: PYTHONPATH=build-support python -m versions"
_MODULES: Final = {
    module.__name__: module.VERSION
    for module in (
        danm_cni.version,
        fakeipam.version,
        ipam_svc.version,
        kubectl_danm.version,
        netwatcher.version,
        svcwatcher.version,
    )
}


@pytest.fixture()
def copy(tmp_path: Path) -> Path:
    """Have a tree with what versions stand in, as this one has it."""
    for path in (*places(ROOT), *(ROOT / part.module for part in PARTS)):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def test_all_places_have_the_parts_versions() -> None:
    """The image's tag and the one that is deployed are what the program says."""
    stale = [str(path) for path, text in places(ROOT).items() if path.read_text() != text]
    assert stale == [], HINT


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_says_what_its_module_says(part: Part) -> None:
    """Nothing runs to learn a version: what is read is what is imported."""
    assert version_of(ROOT, part) == _MODULES[f"{part.package}.version"]


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        (danm_cni.__main__.main, f"danmd, version {danm_cni.version.VERSION}\n"),
        (ipam_svc.__main__.main, f"ipam-svc, version {ipam_svc.version.VERSION}\n"),
        (kubectl_danm.__main__.main, f"kubectl-danm, version {kubectl_danm.version.VERSION}\n"),
        (netwatcher.__main__.main, f"netwatcher, version {netwatcher.version.VERSION}\n"),
        (svcwatcher.__main__.main, f"svcwatcher, version {svcwatcher.version.VERSION}\n"),
    ],
)
def test_every_program_answers_with_its_version(program: click.Command, answer: str) -> None:
    """The executables are asked in build-support/frozen and in their image."""
    asked = CliRunner().invoke(program, ["--version"])
    assert (asked.exit_code, asked.output) == (0, answer)


@pytest.mark.parametrize(
    "program", [danm_cni.__main__.main, ipam_svc.__main__.main, svcwatcher.__main__.main]
)
def test_a_variable_does_not_ask_for_the_version(program: click.Command) -> None:
    """A DANM_VERSION that somebody sets for other reasons ends no program at its start."""
    asked = CliRunner().invoke(program, ["--health-port=x"], env={"DANM_VERSION": "1"})
    assert "is not a valid integer" in asked.output


def test_every_deployed_image_is_a_part() -> None:
    """An image that comes into deploy/ gets a version of its own."""
    workloads = (
        raw
        for path in (ROOT / "deploy").glob("*/*.yaml")
        for raw in yaml.safe_load_all(path.read_text())
        if raw is not None and raw.get("kind") in {"Deployment", "DaemonSet"}
    )
    images = {raw["spec"]["template"]["spec"]["containers"][0]["image"] for raw in workloads}
    assert images == {part.image for part in PARTS if part.image}


def test_a_part_is_raised_alone(copy: Path) -> None:
    """Its image's tag, the one that is deployed, and its module change; no other part's."""
    before = {path: path.read_text() for path in copy.rglob("*") if path.is_file()}
    version = raise_version(copy, "svcwatcher", Step.MINOR)
    changed = {
        str(path.relative_to(copy)) for path, text in before.items() if path.read_text() != text
    }
    assert changed == {
        "services/svcwatcher/svcwatcher/version.py",
        "services/svcwatcher/BUILD",
        "deploy/svcwatcher/kustomization.yaml",
    }
    for path in changed:
        assert re.search(rf"\b{re.escape(version)}\b", (copy / path).read_text())


def test_a_part_that_is_not_there_is_told(copy: Path) -> None:
    """With the names of those that are."""
    with pytest.raises(VersionError, match="'svc-watcher'; the parts are ipam-svc, "):
        raise_version(copy, "svc-watcher", Step.PATCH)


def test_a_changed_part_is_due(copy: Path) -> None:
    """Once its version is tagged, a change of what it consists of asks for the next one."""

    def git(*words: str) -> None:
        author = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run(["git", "-C", str(copy), *author, *words], check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    assert due(copy) == []
    for part in PARTS:
        git("tag", tag_of(part, version_of(copy, part)))
    assert due(copy) == []
    module = copy / "components" / "fakeipam" / "fakeipam" / "answer.py"
    module.write_text("x = 1\n")
    git("add", ".")
    # The image of danm-cni carries it.
    assert [sentence.split()[0] for sentence in due(copy)] == ["danm-cni", "fakeipam"]
    raise_version(copy, "fakeipam", Step.PATCH)
    raise_version(copy, "danm-cni", Step.PATCH)
    assert due(copy) == []


@pytest.mark.parametrize(
    "words", [["raise", "fakeipam"], ["raise", "fakeipam", "2.0.0"], ["--help"]]
)
def test_other_words_are_explained(words: list[str]) -> None:
    """Nothing is written."""
    with pytest.raises(SystemExit, match="python -m versions raise PART"):
        main(words)
