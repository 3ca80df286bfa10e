"""Finds citations of docs/architecture.md, as DESIGN, that lead nowhere.

Run by ./test in the source tree. What is cited is a promise (``DESIGN, P3``), words of the page
(``DESIGN, "Nodes fence"``), or a step of an ADD (``DESIGN, step 5``).
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = Path("docs/architecture.md")
PARTS = ("build-support", "components", "docs", "examples", "libs", "services", "tests")

_CITATION = re.compile(r"DESIGN\b")
_NEXT = re.compile(r"(?:[,:;\s]|\band\b)+(?P<cited>\"[^\"]+\"|P\d\b|steps? \d+\b)")
# Lines of a comment or a text are one sentence.
_BREAK = re.compile(r"\s*\n\s*(?:#\s*)?")


def citations(text: str) -> Iterator[str]:
    """Yield what a file cites, in order."""
    sentences = _BREAK.sub(" ", text)
    for citation in _CITATION.finditer(sentences):
        position = citation.end()
        while found := _NEXT.match(sentences, position):
            yield found["cited"]
            position = found.end()


def is_there(cited: str, page: str) -> bool:
    """Tell whether the page has what is cited."""
    if cited.startswith('"'):
        return cited.strip('"') in _BREAK.sub(" ", page).replace("*", "")
    number = cited.rpartition(" ")[2]
    begin = f"- {number}. " if number.startswith("P") else f"{number}. "
    return any(line.startswith(begin) for line in page.splitlines())


def main() -> int:
    """Print every citation that leads nowhere; fail when there is one."""
    page = (ROOT / PAGE).read_text()
    status = 0
    for part in PARTS:
        for path in sorted((*(ROOT / part).rglob("*.py"), *(ROOT / part).rglob("*.md"))):
            for cited in citations(path.read_text()):
                if not is_there(cited, page):
                    status = 1
                    print(f"{path.relative_to(ROOT)}: {PAGE} has no {cited}", file=sys.stderr)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
