"""Pages of the documentation, and what a test does with their blocks. Pure, but for `pages`.

The form is that of docs/decisions/0029: commands in ``sh``, what they print in ``text``, files in
``yaml`` whose first line is a comment with a name, and a comment before what cannot run.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

REPOSITORY: Final = Path(__file__).resolve().parents[2]
# Records of what was decided and measured at a time, and what is written from the code.
_NO_PAGES: Final = ("docs/decisions/", "docs/benchmarks/", "changes/", "build-support/frozen/")
_FENCE: Final = re.compile(r"(?P<indent> *)(?P<marks>`{3,})(?P<language>\S*)\s*")
_FILE: Final = re.compile(r"#\s+(?P<name>[\w./-]+\.(ya?ml))\s*")
_NOT_RUN: Final = re.compile(r"\s*<!--\s*not run:\s*(?P<reason>\S.*?)\s*-->\s*")
_WITHOUT: Final = re.compile(r"\s*<!--\s*starts without DANM\s*-->\s*")
# Objects of kustomize, which no API server knows.
_LOCAL_GROUP: Final = "kustomize.config.k8s.io/"
_LANGUAGES: Final = ("sh", "yaml", "text")


class PageError(Exception):
    """A page does not keep to the form; says where and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block.

    Attributes:
        language: What stands behind the opening fence; empty for nothing.
        text: What is in it, with a newline at the end.
        line: Where it begins, from 1.
        not_run: Why it is exempt; empty when it is not.
    """

    language: str
    text: str
    line: int
    not_run: str = ""

    @property
    def file(self) -> str:
        """The name of the file that it is written to; empty for none."""
        if self.language != "yaml":
            return ""
        named = _FILE.fullmatch(self.text.partition("\n")[0])
        return named["name"] if named else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Commands to run, and what they print; empty when nobody looks."""

    text: str
    line: int
    prints: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """A file to write."""

    name: str
    text: str
    line: int


Step = Commands | WriteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        name: Its path in the repository.
        without_danm: It begins on a cluster that has no DANM.
    """

    name: str
    blocks: tuple[Block, ...]
    without_danm: bool = False

    @property
    def not_run(self) -> tuple[Block, ...]:
        """What is exempt."""
        return tuple(each for each in self.blocks if each.not_run)

    @property
    def runs(self) -> bool:
        """Whether it has commands to run."""
        return any(isinstance(step, Commands) for step in steps(self))


def pages(root: Path = REPOSITORY) -> tuple[Page, ...]:
    """Return all pages of the repository.

    Raises:
        PageError: One does not keep to the form.
    """
    found = [root / "README.md", root / "CONTRIBUTING.md", *sorted(root.glob("docs/**/*.md"))]
    for parts in ("charts", "components", "deploy", "libs", "services", "tests"):
        found += sorted(root.glob(f"{parts}/*/README.md"))
    names = [str(each.relative_to(root)) for each in found]
    return tuple(
        read_page(name, (root / name).read_text())
        for name in names
        if not name.startswith(_NO_PAGES)
    )


def read_page(name: str, text: str) -> Page:
    """Return a page of its Markdown.

    Raises:
        PageError: It does not keep to the form.
    """
    lines = text.splitlines()
    page = Page(
        name=name,
        blocks=tuple(_blocks(name, lines)),
        without_danm=any(_WITHOUT.fullmatch(line) for line in lines),
    )
    # Finds outputs without commands.
    steps(page)
    return page


def _blocks(name: str, lines: Sequence[str]) -> Iterator[Block]:
    position = 0
    while position < len(lines):
        opening = _FENCE.fullmatch(lines[position])
        exempt = _NOT_RUN.fullmatch(lines[position])
        if exempt:
            following = lines[position + 1] if position + 1 < len(lines) else ""
            if not _FENCE.fullmatch(following):
                raise PageError(
                    f"{name}:{position + 1}: no block begins in the line below 'not run'"
                )
        if not opening:
            position += 1
            continue
        end = next(
            (at for at in range(position + 1, len(lines)) if lines[at].strip() == opening["marks"]),
            None,
        )
        if end is None:
            raise PageError(f"{name}:{position + 1}: this block does not end")
        before = _NOT_RUN.fullmatch(lines[position - 1]) if position else None
        indent = len(opening["indent"])
        inside = [
            line[indent:] if line[:indent].isspace() else line for line in lines[position + 1 : end]
        ]
        yield Block(
            language=opening["language"],
            text="".join(f"{line}\n" for line in inside),
            line=position + 1,
            not_run=before["reason"] if before else "",
        )
        position = end + 1


def steps(page: Page) -> tuple[Step, ...]:
    """Return what a reader does, in order.

    Raises:
        PageError: An output follows no commands.
    """
    found: list[Step] = []
    last = Block(language="", text="", line=0)
    for block in page.blocks:
        if block.language not in _LANGUAGES:
            continue
        if block.language == "text":
            if last.language != "sh":
                raise PageError(
                    f"{page.name}:{block.line}: a text block is what the sh block before it "
                    "prints; use a block without a language for anything else"
                )
            if not last.not_run and not block.not_run:
                commands = found.pop()
                found.append(Commands(text=last.text, line=commands.line, prints=block.text))
        elif block.not_run:
            pass
        elif block.language == "sh":
            found.append(Commands(text=block.text, line=block.line))
        elif block.file:
            found.append(WriteFile(name=block.file, text=block.text, line=block.line))
        last = block
    return tuple(found)


def documents(block: Block) -> tuple[Any, ...]:
    """Return the documents of a yaml block.

    Raises:
        yaml.YAMLError: It is none.
    """
    return tuple(each for each in yaml.safe_load_all(block.text) if each is not None)


def is_api_object(document: object) -> bool:
    """Tell whether a document is a whole object that an API server knows."""
    return (
        isinstance(document, dict)
        and {"apiVersion", "kind"} <= document.keys()
        and not str(document["apiVersion"]).startswith(_LOCAL_GROUP)
    )


def difference(shown: str, printed: str) -> str:
    """Return how an output differs from the one that a page shows; empty when it does not.

    ``...`` stands for anything within a line, and alone in a line for any number of lines. Blanks
    at the end of a line count for nothing, and several as one, since columns are as wide as names.
    """
    expected = [" ".join(line.split()) for line in shown.strip().splitlines()]
    found = [" ".join(line.split()) for line in printed.strip().splitlines()]
    pattern = "".join(
        r"(?:[^\n]*\n)*" if line == "..." else _line_pattern(line) for line in expected
    )
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in found)):
        return ""
    return f"the page shows\n{shown}\nbut it printed\n{printed}"


def _line_pattern(line: str) -> str:
    return r"[^\n]*".join(re.escape(part.strip()) for part in line.split("...")) + "\n"
