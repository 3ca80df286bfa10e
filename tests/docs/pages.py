"""Pages of the documentation, and what a test does with their blocks. Pure, but for `pages`.

The form is that of docs/decisions/0029: commands in ``sh``, what they print in ``text``, files in
``yaml`` whose first line is a comment with a name, and a comment before what cannot run.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
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
_SUBNET: Final = re.compile(r"\b(?:cidr|net6): *\"?(?P<subnet>[\da-f:./]+)")
# An IPv6 address of which the end is open, as in "2001:db8::1...", is none.
_ADDRESS: Final = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?!\w)"
    r"|(?:[\da-f]{0,4}:){2,7}[\da-f]{0,4}(?![\w:]|\.\.\.))"
)
_ASKED: Final = re.compile(r"\b(?:ip6?|Address(?:IPv6)?)\"?: *\"?(?P<address>[\da-f:.]+)/")
_MAC: Final = re.compile(r"fa:16:3e(?::[\da-f]{2}){3}")
_WAIT: Final = re.compile(r"\bkubectl\b.* wait \S+ .*-l (?P<selector>\S+).* --for=(?P<what>\S+)")
_INDEXED: Final = re.compile(r" --for=jsonpath='[^']*\[\d+\]")


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


def pinned(page: Page) -> tuple[str, ...]:
    """Return the addresses that a page expects to be given though it asks for no certain one.

    Whole ones of its networks, in commands and in what they print, and MACs that follow from them.
    Which address is the next free one nobody can say: an ADD that a busy node does not end in time
    is undone, and Pods that start side by side may get theirs from two blocks.
    """
    written = "".join(block.text for block in page.blocks if block.language == "yaml")
    subnets = [ip_network(found["subnet"], strict=False) for found in _SUBNET.finditer(written)]
    commands = [step for step in steps(page) if isinstance(step, Commands)]
    asking = written + "".join(each.text for each in commands)
    asked = {found["address"] for found in _ASKED.finditer(asking)}
    unforeseen: list[str] = []
    for each in commands:
        text = each.text + each.prints
        shown = [found for found in _ADDRESS.findall(text) if found not in asked]
        given = [found for found in shown if _is_of(found, subnets)] + _MAC.findall(text)
        unforeseen += [f"{page.name}:{each.line}: {found}" for found in given]
    return tuple(unforeseen)


def _is_of(text: str, subnets: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Tell whether a text is an address of one of these, other than its first, which names it."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in subnet and address != subnet.network_address for subnet in subnets)


def hasty(page: Page) -> tuple[str, ...]:
    """Return the calls of ``kubectl wait`` that end at once where something is not there yet.

    That are those of a selector nobody has waited for by ``--for=create``, and those of an element
    of a list by its index.
    """
    found: list[str] = []
    made: set[str] = set()
    for step in steps(page):
        if not isinstance(step, Commands):
            continue
        for line in step.text.splitlines():
            wait = _WAIT.search(line)
            if wait and wait["what"] == "create":
                made.add(wait["selector"])
            elif wait and wait["what"] == "delete":
                pass
            elif (wait and wait["selector"] not in made) or _INDEXED.search(line):
                found.append(f"{page.name}:{step.line}: {line.strip()}")
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
