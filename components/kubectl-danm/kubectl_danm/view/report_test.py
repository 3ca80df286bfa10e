"""Texts of tables."""

import pytest

from kubectl_danm.view.report import Cell


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[31mred\x1b[0m", "\ufffd[31mred\ufffd[0m"),
        ("\u202eright to left", "\ufffdright to left"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
        ("Grüße", "Grüße"),
    ],
)
def test_no_text_of_the_cluster_steers_the_terminal(given: str, shown: str) -> None:
    """Whoever writes an Event or a label writes no escape sequences to an administrator."""
    assert Cell(given).text == shown
