"""All commands of the documentation run, in order, and print what their pages show."""

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from danm_api.names import SYSTEM_NAMESPACE
from tests.docs.pages import Page, pages
from tests.docs.reader import FailedStepError, Reader
from tests.lab.binaries import API_SERVER, HELM
from tests.lab.cluster import objects
from tests.lab.demo_cli import LOCAL_PREFIX
from tests.lab.errors import LabError
from tests.lab.installation import Installation
from tests.lab.lab import Lab, repository

# Pages that install DANM come last: there is one removal and one installation around each.
_PAGES: Final = tuple(
    sorted((page for page in pages() if page.runs), key=lambda page: page.without_danm)
)
# What a page may use of the repository; copies, so that nothing that it does changes the tree.
_PARTS: Final = ("charts", "deploy", "examples")
# In this order they are removed: who makes others goes before them.
_KINDS: Final = (
    *("deployments.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch"),
    *("pods", "services", "danmnets.danm.k8s.io", "namespaces"),
)
_PLUGIN: Final = """#!{python}
import sys
sys.path[:0] = {path!r}
from kubectl_danm.__main__ import start
start(["kubectl-danm", *sys.argv[1:]])
"""

_Found = tuple[str, str, str]
"""Kind, namespace and name."""


@pytest.fixture(scope="module")
def programs(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the programs that a reader has."""
    directory = tmp_path_factory.mktemp("programs")
    (directory / "kubectl").symlink_to(lab.binaries.program(API_SERVER, "kubectl"))
    (directory / "helm").symlink_to(lab.binaries.program(HELM, "helm"))
    plugin = directory / "kubectl-danm"
    path = [str(repository() / part) for part in ("libs/danm-api", "components/kubectl-danm")]
    plugin.write_text(_PLUGIN.format(python=sys.executable, path=path))
    plugin.chmod(0o755)
    return directory


@pytest.fixture(scope="module", autouse=True)
def _danm_afterwards(lab: Lab, installation: Installation) -> Iterator[None]:
    """Have DANM on the lab for the tests that follow, whatever a page did."""
    yield
    if not _has_danm(lab):
        installation.install()


def _has_danm(lab: Lab) -> bool:
    return bool(objects(lab, "customresourcedefinitions", "danmnets.danm.k8s.io"))


def _found(lab: Lab, kind: str) -> set[_Found]:
    """Return what there is of a kind, but for DANM itself; nothing where no server knows it."""
    metadata = [raw["metadata"] for raw in objects(lab, kind, "-A")]
    return {
        (kind, each.get("namespace", ""), each["name"])
        for each in metadata
        if SYSTEM_NAMESPACE not in (each.get("namespace"), each["name"])
    }


def _remove(lab: Lab, kind: str, before: set[_Found]) -> None:
    """Remove what a page has left of a kind, and say so."""
    for _, namespace, name in sorted(_found(lab, kind) - before):
        print(f"left behind: {kind} {namespace} {name}")
        where = ["-n", namespace] if namespace else []
        lab.kubectl("delete", kind, name, *where, "--ignore-not-found", "--timeout=90s")


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_a_page(
    page: Page, lab: Lab, installation: Installation, programs: Path, tmp_path: Path
) -> None:
    """Every command ends with status 0, and prints what the page shows where it shows something."""
    if page.without_danm:
        installation.uninstall()
    elif not _has_danm(lab):
        installation.install()
    for part in _PARTS:
        shutil.copytree(repository() / part, tmp_path / part, symlinks=True)
    home = tmp_path / "home"
    home.mkdir()
    environment = lab.environment()
    environment |= {"HOME": str(home), "PATH": f"{programs}:{environment['PATH']}"}
    before = {kind: _found(lab, kind) for kind in _KINDS}
    try:
        with Reader.start(
            tmp_path,
            environment=environment,
            prefix=lab.namespace.command([]),
            registry=LOCAL_PREFIX,
        ) as reader:
            began_s = time.monotonic()
            reader.follow(page)
            print(f"{page.name}: followed in {time.monotonic() - began_s:.0f} s")
    except FailedStepError as error:
        raise AssertionError(f"{error}\n{_situation(lab)}") from error
    finally:
        for kind in _KINDS:
            _remove(lab, kind, before[kind])


def _situation(lab: Lab) -> str:
    """Return what a person would look at first."""
    told = []
    for words in (("pods", "-A", "-o", "wide"), ("events", "-A", "--sort-by=.lastTimestamp")):
        try:
            told += lab.kubectl("get", *words).splitlines()[-40:]
        except LabError as error:
            told.append(str(error))
    return "\n".join(told)
