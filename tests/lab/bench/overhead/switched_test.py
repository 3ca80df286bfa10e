"""A process whose metrics and traces are turned off and on while it runs."""

import os
import subprocess
import sys
from pathlib import Path

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.overhead.switched as program
from tests.lab.bench.overhead.switch import VARIABLE, Switch

_MODULE = """
import os, pathlib, sys
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from danm_api.telemetry import span, traces
from tests.lab.bench.overhead.switch import Switch

traces.begin_recording(TracerProvider().get_tracer("t"), None)
many = Counter("many", "d", ["which"])
depth = Gauge("depth", "d")
seconds = Histogram("seconds", "d")
switch = Switch(pathlib.Path(os.environ["DANM_BENCH_SWITCH"]))


def work():
    many.labels("a").inc()
    depth.inc()
    with seconds.time(), span("work") as current:
        seconds.observe(1)
        return current.is_recording()


def counted():
    lines = [line for line in generate_latest().decode().splitlines() if line[0] != "#"]
    names = ("many_total", "depth", "seconds_count")
    return [float(line.split()[1]) for line in lines if line.startswith(names)]


print(sys.argv[1:], work(), counted())
for on in (False, True):
    switch.turn(on=on)
    print(work(), counted())
"""


def test_a_module_counts_and_traces_only_while_the_switch_is_on(tmp_path: Path) -> None:
    """It has its arguments; off, no metric has another value and no span is made."""
    (tmp_path / "counting.py").write_text(_MODULE)
    switch = Switch.make(tmp_path / "switch")
    done = subprocess.run(
        [sys.executable, "-m", str(program.__spec__.name), "-m", "counting", "--port=1"],
        env={
            "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
            VARIABLE: str(switch.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "['--port=1'] True [1.0, 1.0, 2.0]",
        "False [1.0, 1.0, 2.0]",
        "True [2.0, 2.0, 4.0]",
    ]
    assert switch.is_on
