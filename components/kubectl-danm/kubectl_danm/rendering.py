"""Prints an answer: tables for people, JSON, YAML or names for programs."""

import json
import sys
from enum import StrEnum
from typing import Final, TextIO

import msgspec
import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubectl_danm.view.report import Report, Section, Tone, steers

STYLES: Final = {
    Tone.PLAIN: "",
    Tone.STRONG: "bold",
    Tone.FAINT: "dim",
    Tone.GOOD: "green",
    Tone.WARN: "yellow",
    Tone.BAD: "bold red",
}
# Where nobody looks at a line's end, as in a file or a pipe, none is broken.
_UNBROKEN: Final = 10_000


class Form(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def print_report(report: Report, form: Form, *, out: TextIO | None = None) -> None:
    """Print an answer; notes go to standard error, whatever the form."""
    target = sys.stdout if out is None else out
    match form:
        case Form.JSON:
            target.write(_json(report.document) + "\n")
        case Form.YAML:
            target.write(_yaml(report.document))
        case Form.NAME:
            target.writelines(f"{name}\n" for name in report.names)
        case Form.TABLE:
            print_sections(report.sections, target)
    errors = console_of(sys.stderr)
    for note in report.notes:
        errors.print(Text(f"Note: {note}", style=STYLES[Tone.WARN]))


def _json(document: object) -> str:
    """Return JSON in which nothing steers the terminal that it may be printed on.

    JSON itself lets pass what has come after ASCII, such as an escape in one character.
    """
    encoded = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    return "".join(
        json.dumps(char)[1:-1] if steers(char) and char != "\n" else char for char in encoded
    )


def _yaml(document: object) -> str:
    """Return the same of YAML, which has escapes for all characters or for none."""
    plain = _dumped(document, allow_unicode=True)
    if any(steers(char) and char != "\n" for char in plain):
        return _dumped(document, allow_unicode=False)
    return plain


def _dumped(document: object, *, allow_unicode: bool) -> str:
    return yaml.safe_dump(
        msgspec.to_builtins(document),
        sort_keys=False,
        allow_unicode=allow_unicode,
        width=_UNBROKEN,
    )


def console_of(stream: TextIO) -> Console:
    """Return a console that has colour where the stream is a terminal and NO_COLOR is not set."""
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNBROKEN
    return console


def print_sections(sections: tuple[Section, ...], stream: TextIO) -> None:
    """Print tables, with a line between them."""
    console = console_of(stream)
    for position, section in enumerate(sections):
        if position:
            console.print()
        if section.title:
            console.print(Text(section.title, style=STYLES[Tone.STRONG]))
        if not section.rows:
            console.print(Text(section.empty, style=STYLES[Tone.FAINT]))
            continue
        if console.is_terminal:
            console.print(_table(section))
        else:
            stream.writelines(f"{line}\n" for line in _plain_lines(section))


def _table(section: Section) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in section.columns:
        table.add_column(column, overflow="fold")
    for row in section.rows:
        table.add_row(*(Text(cell.text, style=STYLES[cell.tone]) for cell in row))
    return table


def _plain_lines(section: Section) -> list[str]:
    """Return a table as programs expect one: columns at one width, no line broken or padded."""
    texts = [section.columns, *(tuple(cell.text for cell in row) for row in section.rows)]
    widths = [max(len(text) for text in column) for column in zip(*texts, strict=True)]
    return [
        "   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in texts
    ]
