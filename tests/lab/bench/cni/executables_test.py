"""Building the static executables."""

from pathlib import Path

import pytest

from tests.lab.bench.cni.executables import NAMES, executables
from tests.lab.cache import Cache
from tests.lab.errors import BuildError
from tests.lab.progress import Progress

# Shows what there is to build from.
_SCRIPT = """\
#!/bin/sh
{ echo "$2 $3 $SOURCE_ROOTS"; find libs components -type f | sort; } > "$1"
"""
_FILES = (
    "build-support/frozen/freeze.py",
    "libs/danm-api/danm_api/__init__.py",
    "libs/danm-api/danm_api/node_call.py",
    "libs/danm-api/danm_api/other.py",
    "components/cni/danm_cni/shim/main.py",
    "components/cni/danm_cni/shim/main_test.py",
    "components/cni/danm_cni/daemon.py",
    "components/fakeipam/fakeipam/main.py",
)


@pytest.fixture()
def repository(tmp_path: Path) -> Path:
    """Have a repository with some of what there is."""
    root = tmp_path / "repository"
    for name in _FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    script = root / "build-support/frozen/build.sh"
    script.write_text(_SCRIPT)
    script.chmod(0o755)
    return root


def _build(repository: Path) -> Path:
    cache = Cache(directory=repository.parent / "cache")
    return executables(repository, cache, Progress(quiet=True))


def test_they_are_built_from_their_own_sources_alone(repository: Path) -> None:
    """As in Pants' sandbox: neither danmd's modules nor tests can get into them unnoticed."""
    built = _build(repository)
    assert sorted(each.name for each in built.iterdir()) == sorted(NAMES)
    first, *files = (built / "danm").read_text().splitlines()
    assert first == "danm danm_cni.shim.__main__ libs/danm-api components/cni"
    assert files == [
        "components/cni/danm_cni/shim/main.py",
        "components/fakeipam/fakeipam/main.py",
        "libs/danm-api/danm_api/__init__.py",
        "libs/danm-api/danm_api/node_call.py",
    ]


def test_they_are_built_again_when_a_source_changes(repository: Path) -> None:
    """What is measured is this tree, and no tree is built twice."""
    first = _build(repository)
    assert _build(repository) == first
    (repository / "components/cni/danm_cni/daemon.py").write_text("# of danmd alone")
    assert _build(repository) == first
    (repository / "components/cni/danm_cni/shim/main.py").write_text("# another")
    assert _build(repository) != first


def test_a_build_that_fails_says_what_the_script_said(repository: Path) -> None:
    """Nothing is kept of it, so that the next run tries again."""
    script = repository / "build-support/frozen/build.sh"
    script.write_text("#!/bin/sh\necho 'gcc is missing' >&2; exit 1\n")
    with pytest.raises(BuildError, match="gcc is missing"):
        _build(repository)
    assert list((repository.parent / "cache" / "static-executables").glob("1-*")) == []
