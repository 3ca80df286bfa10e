"""A process whose metrics count nothing."""

import os
import subprocess
import sys
from pathlib import Path

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.overhead.unobserved as program

_MODULE = """
import os, sys
from prometheus_client import Counter, Gauge, Histogram, generate_latest
many = Counter("many", "d", ["which"])
many.labels("a").inc()
depth = Gauge("depth", "d", ["queue"])
depth.labels("q").set_function(lambda: 7)
depth.labels(queue="q").set(3)
seconds = Histogram("seconds", "d")
with seconds.time():
    seconds.observe(1)
shown = [line for line in generate_latest().decode().splitlines() if line[0] != "#"]
own = [line for line in shown if line.startswith(("many", "depth", "seconds"))]
counted = [line for line in own if float(line.rpartition(" ")[2]) and "_created" not in line]
print(sys.argv[1:], os.environ["OTEL_SDK_DISABLED"], counted)
"""


def test_a_module_runs_as_ever_and_counts_nothing(tmp_path: Path) -> None:
    """It has its arguments and its name, and no metric has a value."""
    (tmp_path / "counting.py").write_text(_MODULE)
    done = subprocess.run(
        [sys.executable, "-m", str(program.__spec__.name), "-m", "counting", "--port=1"],
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == "['--port=1'] true []\n"
