"""Histories in files."""

from pathlib import Path
from random import Random

from tests.lab.chaos.history import read_history, write_history
from tests.lab.chaos.model_histories import model_history


def test_a_file_holds_it(tmp_path: Path) -> None:
    """A history that was written is read as it was."""
    history = model_history(Random(3))
    write_history(tmp_path / "history.jsonl", history)
    assert list(read_history(tmp_path / "history.jsonl")) == history
