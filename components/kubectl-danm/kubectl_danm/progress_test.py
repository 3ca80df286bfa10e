"""What long work says while it goes on."""

import io

import pytest

from kubectl_danm.progress import Progress


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_terminal_is_told_what_is_done_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, without what could steer it."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with Progress() as progress:
        progress.begin("Reading pods")
        progress.begin("Log of a\x1b[2Jb")
    said = stream.getvalue()
    assert "Log of a" in said
    assert "\x1b[2J" not in said


def test_a_pipe_is_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What a program reads is the answer alone."""
    with Progress() as progress:
        progress.begin("Reading pods")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
