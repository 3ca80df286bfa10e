"""What shells and kubectl are told while somebody types."""

import subprocess
from pathlib import Path

import pytest

from danm_api.errors import ApiUnavailableError
from danm_api.kube.api import DANMNETS
from danm_api.testing.builders import NAMESPACE
from kubectl_danm.completing import NAMESPACES
from kubectl_danm.testing.stage import Stage


def completed(stage: Stage, *words: str) -> list[str]:
    """Return what could stand in place of the last word, without explanations."""
    lines = stage.ask("__complete", *words).stdout.splitlines()
    return [line.partition("\t")[0] for line in lines]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ne"], ["networks", ":4"]),
        (["networks", "in"], ["internal", ":4"]),
        (["networks", "-n", "elsewhere", ""], ["other", ":4"]),
        (["networks", "-A", ""], ["internal", "other", ":4"]),
        (["pod", ""], ["processor-1", ":4"]),
        (["networks", "-n", "ex"], [NAMESPACE, ":4"]),
        (["networks", "-o", "j"], ["json", ":4"]),
        (["networks", "--all"], ["--all-namespaces", ":4"]),
        (["diagnose", "--file", "x"], [":0"]),
    ],
)
def test_names_and_options_are_completed(words: list[str], expected: list[str]) -> None:
    """In kubectl's form, of the namespace that was typed before."""
    stage = Stage()
    stage.network()
    stage.network("other", namespace="elsewhere")
    stage.pod()
    stage.kube.add(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    assert completed(stage, *words) == expected


def test_all_commands_are_offered_but_not_the_hidden_one() -> None:
    """What a person may call."""
    offered = completed(Stage(), "")
    assert {"networks", "pod", "who", "services", "check", "diagnose"} <= set(offered)
    assert "__complete" not in offered


@pytest.mark.parametrize(
    "error", [ApiUnavailableError("away", status=0), RuntimeError("unforeseen")]
)
def test_an_error_is_no_answer(error: Exception) -> None:
    """Nothing is printed into somebody's command line."""
    stage = Stage()
    stage.kube.fail_next("list", DANMNETS, error)
    assert stage.ask("__complete", "networks", "").output == ":4\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_script(shell: str) -> None:
    """By which they call danmctl back."""
    script = Stage().ask("completion", shell).stdout
    assert "_DANMCTL_COMPLETE" in script


def test_kubectl_gets_a_program(tmp_path: Path) -> None:
    """It is a script that the shell takes."""
    program = tmp_path / "kubectl_complete-danm"
    program.write_text(Stage().ask("completion", "kubectl").stdout)
    subprocess.run(["sh", "-n", str(program)], check=True)
    assert '__complete "$@"' in program.read_text()
