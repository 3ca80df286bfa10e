"""How answers are printed."""

import io
import json

import pytest
import yaml

from kubectl_danm.rendering import Form, console_of, print_report, print_sections
from kubectl_danm.view.report import Cell, Report, Section, Tone

SECTION = Section(
    title="Things",
    columns=("NAME", "STATE"),
    rows=(
        (Cell("a", Tone.STRONG), Cell("[red]fine[/red]", Tone.GOOD)),
        (Cell("longer"), Cell("x" * 200)),
    ),
)
REPORT = Report(
    document={"things": [{"name": "a", "note": "äöü: yes"}]},
    names=("thing/a", "thing/longer"),
    sections=(SECTION, Section(columns=("NAME",), rows=(), empty="nothing else")),
    notes=("half of it was not to be seen",),
)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def printed(form: Form, report: Report = REPORT) -> str:
    """Return what a program that reads a pipe gets."""
    out = io.StringIO()
    print_report(report, form, out=out)
    return out.getvalue()


def test_a_pipe_gets_whole_lines_without_colour() -> None:
    """Nothing is broken, padded or coloured, and markup of the cluster stays what it is."""
    assert printed(Form.TABLE).splitlines() == [
        "Things",
        "NAME     STATE",
        "a        [red]fine[/red]",
        "longer   " + "x" * 200,
        "",
        "nothing else",
    ]


def test_a_terminal_gets_colour_unless_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the NO_COLOR convention."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = Terminal()
    print_sections((SECTION,), coloured)
    assert "\x1b[32m[red]fine[/red]" in coloured.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    print_sections((SECTION,), plain)
    assert "\x1b[32m" not in plain.getvalue()
    assert console_of(plain).is_terminal


def test_programs_get_documents_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON and YAML say the same; notes go where they harm no parser."""
    assert json.loads(printed(Form.JSON)) == REPORT.document
    assert yaml.safe_load(printed(Form.YAML)) == REPORT.document
    assert printed(Form.NAME) == "thing/a\nthing/longer\n"
    assert "half of it was not to be seen" in capsys.readouterr().err


# Sets a title and clears the screen; the same in single characters; and text that runs backwards.
STEERING = "a\x1b]0;pwned\x07\x1b[2J\r\n\x9b2J\u202eb\u2028c"
HOSTILE = Report(
    document={"things": [{STEERING: STEERING}]},
    names=(f"thing/{STEERING}",),
    sections=(
        Section(
            title=STEERING,
            columns=("NAME",),
            rows=((Cell(STEERING),),),
        ),
        Section(columns=("NAME",), rows=(), empty=STEERING),
    ),
    notes=(STEERING,),
)


@pytest.mark.parametrize("form", Form)
def test_nothing_of_the_cluster_steers_a_terminal(
    form: Form, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is in an object, in no form and in no note."""
    shown = printed(form, HOSTILE) + capsys.readouterr().err
    assert {char for char in shown if not (char.isprintable() or char == "\n")} == set()
    assert "pwned" in shown


@pytest.mark.parametrize("form", [Form.JSON, Form.YAML])
def test_programs_get_every_character(form: Form) -> None:
    """In the escapes of their format."""
    assert yaml.safe_load(printed(form, HOSTILE)) == HOSTILE.document


def test_a_name_is_one_line() -> None:
    """Whoever reads names line by line gets no other one; a path keeps its spaces."""
    assert len(printed(Form.NAME, HOSTILE).splitlines()) == 1
    path = Report(document={}, names=("my  file",))
    assert printed(Form.NAME, path) == "my  file\n"
