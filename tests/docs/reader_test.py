"""A page's commands run in one shell, and what fails or differs is told with its place."""

import os
from pathlib import Path

import pytest

from tests.docs.pages import PageError, read_page
from tests.docs.reader import FailedStepError, Reader


def follow(directory: Path, text: str) -> None:
    """Follow a page of this text."""
    with Reader.start(directory, environment=os.environ, registry="localhost") as reader:
        reader.follow(read_page("page.md", text))


def test_one_shell_for_a_page(tmp_path: Path) -> None:
    """Variables and directories stay from block to block, and files are there in time."""
    follow(
        tmp_path,
        "```yaml\n# sub/a.yaml\nimage: registry.example/x\n```\n"
        "```sh\ncd sub\nname=a.yaml\n```\n"
        "```sh\ntail -n 1 $name\ncat    # reads nothing\necho done >&2\n```\n"
        "```text\nimage: registry.example/x\ndone\n```\n",
    )
    assert (tmp_path / "sub" / "a.yaml").read_text() == "# sub/a.yaml\nimage: localhost/x\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("```sh\nfalse\ntrue\n```\n", "page.md:1: status 1 of", id="a command"),
        pytest.param("```sh\nfalse | cat\n```\n", "page.md:1: status 1 of", id="in a pipe"),
        pytest.param("```sh\necho $never_set\n```\n", "never_set: unbound", id="no variable"),
        pytest.param("```sh\nexit 3\n```\n", "page.md:1: status 3 of", id="exit"),
        pytest.param("```sh\necho a\n```\n```text\nb\n```\n", "the page shows\nb", id="output"),
    ],
)
def test_what_goes_wrong_is_told(tmp_path: Path, text: str, sentence: str) -> None:
    """With the page's line, and what was printed."""
    with pytest.raises(FailedStepError, match=sentence):
        follow(tmp_path, text)


def test_a_page_writes_into_its_own_directory(tmp_path: Path) -> None:
    """And nowhere else."""
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(PageError, match="is not in the page's directory"):
        follow(inside, "```yaml\n# ../a.yaml\na: 1\n```\n")
    assert not (tmp_path / "a.yaml").exists()
