"""The program as a whole: its names, its help, a real kubeconfig."""

from pathlib import Path

import pytest

from danm_api.errors import ApiError, KindNotServedError
from danm_api.kube.api import DANMNETS, PODS, SERVICES, Resource
from kubectl_danm.__main__ import main, name_of, start
from kubectl_danm.testing.stage import Stage


@pytest.mark.parametrize(
    ("path", "name"),
    [("/usr/bin/kubectl-danm", "kubectl danm"), ("./danmctl", "danmctl")],
)
def test_users_see_the_name_that_they_typed(path: str, name: str) -> None:
    """Kubectl starts a plugin by its file's name."""
    assert name_of(path) == name


def test_kubectl_s_completion_is_another_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A link of that name is enough."""
    with pytest.raises(SystemExit):
        start(["/bin/kubectl_complete-danm", "netw"])
    assert capsys.readouterr().out.splitlines()[0].startswith("networks")


@pytest.mark.parametrize("command", sorted(main.commands))
def test_each_command_explains_itself(command: str) -> None:
    """And names no internal type; the hidden one is asked by machines alone."""
    if command == "__complete":
        return
    said = Stage().ask(command, "--help").stdout
    assert "Usage: " in said
    assert "namespace" in said or command in {"check", "completion"}


@pytest.mark.parametrize(
    ("command", "resource"),
    [
        (("networks",), DANMNETS),
        (("pod", "a"), PODS),
        (("who", "10.0.0.1"), DANMNETS),
        (("services",), SERVICES),
        (("check", "--between-looks", "0"), PODS),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_a_fault_of_the_program_is_no_answer(command: tuple[str, ...], resource: Resource) -> None:
    """Its status is not that of "nobody has it"; one line says where it is, and no traceback."""
    stage = Stage()
    for method in ("get", "list"):
        stage.kube.fail_next(method, resource, RuntimeError("unfore\x1b[2Jseen"))
    (line,) = stage.ask(*command, status=2).output.splitlines()
    assert line.startswith("Error: RuntimeError: unfore\ufffd[2Jseen (fake_plans.py:")
    assert "please report it" in line


def test_where_danm_is_not_installed() -> None:
    """It is said so, and not that a path is not found."""
    stage = Stage()
    absent = KindNotServedError("GET danmnets x: 404 page not found")
    stage.kube.fail_next("get", DANMNETS, absent)
    stage.kube.fail_next("list", DANMNETS, absent, times=2)
    for words in (("networks",), ("networks", "internal")):
        assert "DANM is not installed in this cluster" in stage.ask(*words, status=2).stderr


def test_an_error_of_the_api_server_steers_no_terminal() -> None:
    """Such as one of a webhook, or of what answers in its place."""
    stage = Stage()
    stage.kube.fail_next("list", DANMNETS, ApiError("no\x1b[2J", status=400))
    assert stage.ask("networks", status=2).stderr == "Error: no\ufffd[2J\n"


def test_a_kubeconfig_that_is_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is named, and the status says that nothing could be looked at."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(SystemExit) as ended:
        start(["danmctl", "networks"])
    assert ended.value.code == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
