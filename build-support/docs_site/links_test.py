"""Links to directories lead somewhere on the site too."""

from pathlib import Path

import pytest

from docs_site.links import for_site


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("see [a](../parts/a) now", "see [a](../parts/a/README.md) now", id="readme"),
        pytest.param("[all](decisions/)", "[all](decisions/index.md)", id="index"),
        pytest.param("[the rest](../parts)", "the rest", id="no page"),
        pytest.param("[page](page.md)", "[page](page.md)", id="file"),
        pytest.param("[gone](nowhere)", "[gone](nowhere)", id="missing"),
        pytest.param(
            "[a](../parts/a), [b](page.md)", "[a](../parts/a/README.md), [b](page.md)", id="two"
        ),
    ],
)
def test_links(tmp_path: Path, text: str, expected: str) -> None:
    """Files and what is missing stay as they are."""
    for name in ("parts/a/README.md", "docs/decisions/index.md", "docs/page.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert for_site(text, page=tmp_path / "docs" / "page.md") == expected
