"""What the chart says to people."""

from chart.__main__ import CHART
from chart.documents import walk
from chart.texts import label_arguments, notes


def test_every_value_says_what_it_means() -> None:
    """values.yaml and README.md have no value without a sentence."""
    values = list(walk())
    assert [value.path for value in values if not value.meaning.endswith(".")] == []
    text = (CHART / "README.md").read_text()
    names = {
        value.path: (".".join(value.path), ".".join(value.path[1:]))
        for value in values
        if not value.section
    }
    assert [
        path for path, ways in names.items() if not any(f"| `{way}` |" in text for way in ways)
    ] == []


def test_labels_are_told_as_they_are_typed() -> None:
    """The notes name each label that the namespace needs, and look for each of them."""
    labels = {"a/b": "c", "d": "e"}
    assert label_arguments(labels) == "a/b=c d=e"
    text = notes("some-system", labels)
    assert "kubectl label namespace some-system --overwrite a/b=c d=e" in text
    assert '(eq (dig "a/b" "" $labels) "c") (eq (dig "d" "" $labels) "e")' in text
    assert "@" not in text
