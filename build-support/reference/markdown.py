"""Tables in Markdown. Pure."""

from collections.abc import Iterator, Sequence

NOTE = (
    "Written by `. build-support/monitoring/paths && python -m reference` out of the code; a test "
    "says when to write it anew."
)


def cell(text: str) -> str:
    """Return a text as it stands in a table, where it is one line and no HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def code(text: str) -> str:
    """Return a text as code in a table; nothing for an empty one."""
    return f"`{text.replace('|', chr(92) + '|')}`" if text else ""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table whose cells are Markdown, and an empty line."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
