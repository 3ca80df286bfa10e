"""Runs load generators, processes of their own."""

import os
import subprocess
import sys
from typing import Final

import msgspec

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.generator as _program
from tests.lab.bench.jobs import Job, Outcome
from tests.lab.errors import LabError

# Longer than any case takes.
_TIMEOUT_S: Final = 900.0


def run_job(job: Job) -> Outcome:
    """Do a job in a process of its own.

    Raises:
        LabError: The generator failed, or nothing of what it tried succeeded.
    """
    done = subprocess.run(
        [sys.executable, "-m", _program.__spec__.name],
        input=msgspec.json.encode(job),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path)),
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"The load generator failed: {done.stderr.decode()[-2000:]}")
    outcome = msgspec.json.decode(done.stdout, type=Outcome)
    if outcome.doubles:
        raise LabError(f"Addresses were handed out twice: {', '.join(outcome.doubles[:5])}")
    if not outcome.times_ms:
        raise LabError(f"No operation succeeded: {outcome.failures}")
    return outcome
