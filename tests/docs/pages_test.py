"""Pages are read as decision 0029 says, and all of this repository keep to the form."""

import re
import subprocess
from typing import Final

import pytest

from tests.docs.exempt import EXEMPT, PINNED
from tests.docs.pages import (
    REPOSITORY,
    Commands,
    PageError,
    WriteFile,
    difference,
    documents,
    hasty,
    pages,
    pinned,
    read_page,
    steps,
)

# What a reader follows; runbooks and the parts' own READMEs have commands with blanks to fill in.
_HELD: Final = ("README.md", "docs/how-to/", "docs/tutorial.md")
_COMMAND: Final = re.compile(r" {4,}(\$ )?(kubectl|helm|curl|docs/|deploy/|\./)")

_PAGE: Final = """# A page
<!-- starts without DANM -->

```yaml
# dir/net.yaml
kind: DanmNet
```

```sh
kubectl apply -f dir/net.yaml
```

It says:

```text
created ...
```

<!-- not run: needs a card -->
```sh
lspci
```

```text
a card
```

1. In a list

   ```sh
   kubectl get pods \\
     -A
   ```

```
a drawing
```
"""


def test_steps_of_a_page() -> None:
    """Files and commands in order, with what they print; what is exempt is left out."""
    page = read_page("page.md", _PAGE)
    assert steps(page) == (
        WriteFile(name="dir/net.yaml", text="# dir/net.yaml\nkind: DanmNet\n", line=4),
        Commands(text="kubectl apply -f dir/net.yaml\n", line=9, prints="created ...\n"),
        Commands(text="kubectl get pods \\\n  -A\n", line=30),
    )
    assert [each.not_run for each in page.not_run] == ["needs a card"]
    assert page.without_danm
    assert page.runs


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("```sh\nls\n", "p.md:1: this block does not end", id="open"),
        pytest.param("```text\nls\n```\n", "what the sh block before it prints", id="output"),
        pytest.param("<!-- not run: x -->\n\n```sh\n```\n", "p.md:1: no block begins", id="apart"),
    ],
)
def test_what_is_against_the_form_is_told(text: str, sentence: str) -> None:
    """With page and line."""
    with pytest.raises(PageError, match=sentence):
        read_page("p.md", text)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        pytest.param("a  b\n", "a b  \n", id="blanks"),
        pytest.param("pod/x-...  Running ...s\n", "pod/x-7f Running   12s\n", id="within"),
        pytest.param("first\n...\nlast\n", "first\nlast\n", id="no line"),
        pytest.param("first\n...\nlast\n", "first\n1\n2\nlast\n", id="two lines"),
        pytest.param("a (b) *\n", "a (b) *\n", id="no pattern"),
    ],
)
def test_an_output_that_is_as_shown(shown: str, printed: str) -> None:
    """Nothing is told."""
    assert difference(shown, printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        pytest.param("a\n", "b\n", id="other"),
        pytest.param("a\n", "a\nb\n", id="more"),
        pytest.param("a\nb\n", "a\n", id="less"),
        pytest.param("a ... b\n", "a\nb\n", id="within lines only"),
        pytest.param("a.c\n", "abc\n", id="a dot is a dot"),
    ],
)
def test_an_output_that_differs(shown: str, printed: str) -> None:
    """Both are told."""
    assert shown in difference(shown, printed)
    assert printed in difference(shown, printed)


def test_commands_of_all_pages_are_shell() -> None:
    """Exempt or not, bash can read them."""
    wrong = []
    read = 0
    for page in pages():
        for block in page.blocks:
            if block.language != "sh":
                continue
            read += 1
            done = subprocess.run(
                ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                wrong.append(f"{page.name}:{block.line}: {done.stderr.strip()}")
    assert wrong == []
    assert read > 0


@pytest.mark.parametrize("page", [each.name for each in pages() if each.name.startswith(_HELD)])
def test_no_command_escapes(page: str) -> None:
    """Commands are in blocks with a language: indented ones nobody would run."""
    lines = (REPOSITORY / page).read_text().splitlines()
    read = {
        number
        for block in read_page(page, "\n".join(lines)).blocks
        for number in range(block.line, block.line + block.text.count("\n") + 1)
    }
    assert [
        f"{page}:{number}: {line}"
        for number, line in enumerate(lines, start=1)
        if number not in read and _COMMAND.match(line)
    ] == []


def test_manifests_of_all_pages_are_yaml() -> None:
    """Exempt or not."""
    read = [
        documents(block) for page in pages() for block in page.blocks if block.language == "yaml"
    ]
    assert read


def test_what_does_not_run_is_known() -> None:
    """Every exemption of a page is listed in exempt.py with its reason, and nothing else is."""
    there = sorted((page.name, block.not_run) for page in pages() for block in page.not_run)
    for name, reason in there:
        print(f"not run: {name}: {reason}")
    assert there == sorted(EXEMPT)


_NETWORKS: Final = """```yaml
kind: DanmNet
spec:
  Options: {cidr: 192.0.2.0/24, net6: "2001:db8:64::/64"}
metadata:
  annotations:
    danm.k8s.io/interfaces: '[{"network": "lan", "ip": "192.0.2.7/24"}]'
```
"""


@pytest.mark.parametrize(
    ("command", "prints", "found"),
    [
        pytest.param("get dep", "lan 192.0.2.1/24", ["192.0.2.1"], id="printed"),
        pytest.param("get dep", "lan 192.0.2.1...", ["192.0.2.1"], id="how it begins"),
        pytest.param("danm who 192.0.2.1", "", ["192.0.2.1"], id="used"),
        pytest.param("get dep", "lan 2001:db8:64::1a/64", ["2001:db8:64::1a"], id="IPv6"),
        pytest.param("get dep", "mac fa:16:3e:00:02:01", ["fa:16:3e:00:02:01"], id="MAC"),
        pytest.param("get dep", "lan 192.0.2.../24 2001:db8:64::1.../64", [], id="open"),
        pytest.param("get dep", "lan 192.0.2.7/24", [], id="asked for"),
        pytest.param("get dnet", "lan 192.0.2.0/24 2001:db8:64::/64", [], id="subnets"),
        pytest.param("exec -- ping 198.51.100.1", "", [], id="of no network"),
        pytest.param("get pods", "hello 12:30:45 1.34.4", [], id="no address"),
    ],
)
def test_an_address_that_nobody_can_foresee_is_found(
    command: str, prints: str, found: list[str]
) -> None:
    """Of the page's networks, whole, and not asked for by the page."""
    page = read_page("p.md", f"{_NETWORKS}```sh\nkubectl {command}\n```\n```text\n{prints}\n```\n")
    assert [each.rpartition(": ")[2] for each in pinned(page)] == found


def test_pages_pin_no_dynamic_address() -> None:
    """Readers get another one than the page's when an ADD has failed before, and so do tests."""
    found = [each for page in pages() for each in pinned(page)]
    assert {each.partition(":")[0] for each in found} == PINNED.keys(), found


@pytest.mark.parametrize(
    ("commands", "number"),
    [
        pytest.param("kubectl wait pods -l app=a --for=condition=Ready", 1, id="none yet"),
        pytest.param(
            "kubectl -n x wait pods -l app=a --for=create --timeout=9s\n"
            "kubectl -n x wait pods -l app=a --for=condition=Ready",
            0,
            id="created",
        ),
        pytest.param(
            "kubectl wait pods -l app=b --for=create\nkubectl wait pods -l app=a --for=condition=A",
            1,
            id="others were",
        ),
        pytest.param("kubectl wait pods -l app=a --for=delete --timeout=9s", 0, id="gone"),
        pytest.param("kubectl wait pod/a --for=jsonpath='{.status.x[1].y}'=1", 1, id="element"),
        pytest.param("kubectl wait pod/a --for=jsonpath='{.x[?(@.y==\"z\")].q}'=1", 0, id="filter"),
    ],
)
def test_a_wait_that_does_not_wait_is_found(commands: str, number: int) -> None:
    """One for what a selector finds needs that there is something, one by index the element."""
    assert len(hasty(read_page("p.md", f"```sh\n{commands}\n```\n"))) == number


def test_pages_wait_for_what_need_not_be_there() -> None:
    """`kubectl wait` fails at once where its selector finds nothing, or a list is too short."""
    assert [each for page in pages() for each in hasty(page)] == []
