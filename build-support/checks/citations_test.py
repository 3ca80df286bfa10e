"""What the code cites of the architecture's page is found there, or told."""

import pytest

from checks.citations import citations, is_there

# In parts, so that the check of the tree does not take these for citations.
_NAME = "DES" + "IGN"

_PAGE = """# Page
- P1. A promise.
- **Nodes fence.** A node
  alone knows.

1. The first step.
"""


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        pytest.param("# {}, P2, P3\n", ["P2", "P3"], id="promises"),
        pytest.param('"""A thing ({}, "Nodes\n    fence")."""', ['"Nodes fence"'], id="words"),
        pytest.param('# SPEC G7; {}, "An ADD",\n# step 5\n', ['"An ADD"', "step 5"], id="comment"),
        pytest.param('# {} "A", P1 and "B": "c"', ['"A"', "P1", '"B"', '"c"'], id="several"),
        pytest.param('assert "{}" not in text', [], id="the word alone"),
    ],
)
def test_citations_are_found(text: str, cited: list[str]) -> None:
    """Whatever is named behind the word, over the ends of lines."""
    assert list(citations(text.format(_NAME))) == cited


@pytest.mark.parametrize(
    ("cited", "there"),
    [
        pytest.param("P1", True, id="promise"),
        pytest.param("P2", False, id="no promise"),
        pytest.param('"A node alone knows"', True, id="words over lines"),
        pytest.param('"Nodes fence. A node"', True, id="emphasis"),
        pytest.param('"Nodes sleep"', False, id="no words"),
        pytest.param("step 1", True, id="step"),
        pytest.param("steps 2", False, id="no step"),
    ],
)
def test_what_leads_nowhere_is_told(cited: str, there: bool) -> None:
    """By number at the begin of a line, or by words."""
    assert is_there(cited, _PAGE) is there
