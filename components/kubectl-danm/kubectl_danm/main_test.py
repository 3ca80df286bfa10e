"""The program as a whole: its names, its help, a real kubeconfig."""

from pathlib import Path

import pytest

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


def test_a_kubeconfig_that_is_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is named, and the status says that nothing could be looked at."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(SystemExit) as ended:
        start(["danmctl", "networks"])
    assert ended.value.code == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
