"""The command `lab e2e`: the end-to-end tests, on two labs at once.

A lab is idle most of the time, since tests wait for kubelets.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import click

from tests.lab.demo_cli import prepare_images
from tests.lab.lab import Lab, repository
from tests.lab.shares import SHARES, require_all

_NO_TESTS: Final = 5
_printing = threading.Lock()


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write a report in JUnit's form for each lab into this directory.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def e2e(*, reports: Path | None, arguments: tuple[str, ...]) -> None:
    """Run the end-to-end tests on two labs of their own, and remove those on which they pass.

    What follows is passed on to pytest.
    """
    require_all(repository())
    # Once, before both need it.
    prepare_images(Lab.named(next(iter(SHARES))))
    with ThreadPoolExecutor(len(SHARES)) as pool:
        runs = {name: pool.submit(_run, name, reports, arguments) for name in SHARES}
    results = {name: run.result() for name, run in runs.items()}
    for name, status in results.items():
        if status in (0, _NO_TESTS):
            Lab.named(name).down()
        else:
            click.echo(f"The lab {name} is left as it is: ./lab status --name {name}", err=True)
    if set(results.values()) == {_NO_TESTS}:
        raise SystemExit(_NO_TESTS)
    raise SystemExit(next((each for each in results.values() if each not in (0, _NO_TESTS)), 0))


def _run(name: str, reports: Path | None, arguments: Sequence[str]) -> int:
    """Run one lab's tests, with its name before each line, and return pytest's status."""
    root = repository()
    report = [] if reports is None else [f"--junit-xml={reports.absolute() / name}.xml"]
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-v", "--durations=8"]
    with subprocess.Popen(
        [*command, *report, *SHARES[name], *arguments],
        cwd=root,
        env=dict(os.environ, PYTHONPATH=str(root), PYTHONUNBUFFERED="1", DANM_E2E_LAB=name),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            with _printing:
                click.echo(f"{name}: {line}", nl=False)
    return process.returncode
