"""Tries the layering rules: modules that break them must fail, for the reason given.

Run by ./test in the source tree: it copies what Pants reads into a temporary directory, adds one
module that breaks a rule, and asks Pants for its dependencies, which `check` and `test` do too.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READ_BY_PANTS = re.compile(
    r"(^|/)BUILD$|\.(py|pants)$|^pants|^pyproject\.toml$|^3rdparty/|^build-support/pants/"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One module that no colleague should be able to add."""

    what: str
    path: str
    imports: str
    denied: str


VIOLATIONS = (
    Violation(
        what="a pure module does not talk to the API server",
        path="libs/danm-api/danm_api/validation/broken.py",
        imports="danm_api.kube.api",
        denied="libs/danm-api/danm_api/kube/api.py",
    ),
    Violation(
        what="the model does not know its codecs",
        path="libs/danm-api/danm_api/model/broken.py",
        imports="danm_api.codec.danmnet",
        denied="libs/danm-api/danm_api/codec/danmnet.py",
    ),
    Violation(
        what="services do not import each other",
        path="services/ipam-svc/ipam_svc/broken.py",
        imports="netwatcher.plan",
        denied="services/netwatcher/netwatcher/plan.py",
    ),
    Violation(
        what="a product does not import fakes",
        path="services/svcwatcher/svcwatcher/broken.py",
        imports="danm_api.testing.fake_kube",
        denied="libs/danm-api/danm_api/testing/fake_kube.py",
    ),
    Violation(
        what="a third party is used where the BUILD file names it",
        path="components/fakeipam/fakeipam/broken.py",
        imports="aiohttp",
        denied="3rdparty/python#aiohttp",
    ),
)


def copy_tree(target: Path) -> None:
    """Copy the files of the source tree that Pants reads to resolve dependencies."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listing.stdout.split("\0"):
        source = ROOT / name
        if READ_BY_PANTS.search(name) and source.is_file():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
            copy.chmod(source.stat().st_mode)


def faults(tree: Path, violation: Violation) -> Iterator[str]:
    """Yield what is wrong with how Pants judges a violation, nothing when it is refused."""
    module = tree / violation.path
    module.write_text(f'"""Breaks a rule."""\n\nimport {violation.imports}\n')
    answer = subprocess.run(
        ["./pants", "dependencies", violation.path],
        cwd=tree,
        check=False,
        capture_output=True,
        text=True,
    )
    module.unlink()
    if answer.returncode == 0:
        yield f"{violation.path} may import {violation.imports}"
    elif "DENY" not in answer.stderr or violation.denied not in answer.stderr:
        yield f"{violation.path} fails for another reason:\n{answer.stderr}"


def stop_daemon(tree: Path) -> None:
    """End the daemon that Pants started for the copy, and nothing else."""
    for pid_file in tree.glob(".pids/*/pantsd/pid"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGTERM)


def main() -> int:
    """Try every violation and print how it was judged; fail when one was accepted."""
    status = 0
    with tempfile.TemporaryDirectory(
        prefix="danm-layer-rules-", ignore_cleanup_errors=True
    ) as directory:
        tree = Path(directory)
        copy_tree(tree)
        try:
            for violation in VIOLATIONS:
                found = list(faults(tree, violation))
                print(f"{'FAILED' if found else 'refused'}: {violation.what}", flush=True)
                for fault in found:
                    status = 1
                    print(fault, file=sys.stderr)
        finally:
            stop_daemon(tree)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
