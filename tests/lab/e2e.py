"""The command `lab e2e`: the end-to-end tests, most of them on two labs at once.

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

from tests.lab.binaries import NEWEST, RELEASES
from tests.lab.demo_cli import prepare_images
from tests.lab.lab import Lab, repository
from tests.lab.shares import SHARES, WITHOUT_LAB, require_all

_NO_TESTS: Final = 5
_printing = threading.Lock()


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--reports",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write reports in JUnit's form, one for each lab, into this directory.",
)
@click.option(
    "--kubernetes",
    type=click.Choice(tuple(RELEASES)),
    default=NEWEST.minor,
    show_default=True,
    help="The labs' release.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def e2e(*, reports: Path | None, kubernetes: str, arguments: tuple[str, ...]) -> None:
    """Run the end-to-end tests, most of them on two labs; remove those on which all pass.

    What follows, options such as `-k seed_demo`, is passed on to pytest.
    """
    require_all(repository())
    # Once, before both need it.
    labs = {share: _lab_name(share, kubernetes) for share in SHARES}
    prepare_images(Lab.named(next(iter(labs.values())), kubernetes=kubernetes))
    without_lab = _run("no-lab", WITHOUT_LAB, reports, arguments)
    with ThreadPoolExecutor(len(SHARES)) as pool:
        runs = {
            name: pool.submit(
                _run,
                name,
                SHARES[share],
                reports,
                arguments,
                DANM_E2E_LAB=name,
                DANM_E2E_KUBERNETES=kubernetes,
            )
            for share, name in labs.items()
        }
    results = {name: run.result() for name, run in runs.items()}
    for name, status in results.items():
        if status in (0, _NO_TESTS):
            Lab.named(name).down()
        else:
            click.echo(f"The lab {name} is left as it is: ./lab status --name {name}", err=True)
    all_results = [without_lab, *results.values()]
    if set(all_results) == {_NO_TESTS}:
        raise SystemExit(_NO_TESTS)
    raise SystemExit(next((each for each in all_results if each not in (0, _NO_TESTS)), 0))


def _lab_name(share: str, kubernetes: str) -> str:
    """Return a share's lab; those of several releases may be up at once."""
    return share if kubernetes == NEWEST.minor else f"{share}-{kubernetes.replace('.', '-')}"


def _run(
    name: str,
    files: Sequence[str],
    reports: Path | None,
    arguments: Sequence[str],
    **variables: str,
) -> int:
    """Run one share of the tests, with its name before each line, and return pytest's status."""
    root = repository()
    report = [] if reports is None else [f"--junit-xml={reports.absolute() / name}.xml"]
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-v", "--durations=8"]
    with subprocess.Popen(
        [*command, *report, *files, *arguments],
        cwd=root,
        env=dict(
            os.environ,
            PYTHONPATH=str(root),
            PYTHONUNBUFFERED="1",
            **variables,
        ),
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
