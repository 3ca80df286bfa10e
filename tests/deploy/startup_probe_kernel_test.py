"""Which process danm-cni's startup probe takes for its container's danmd; needs root."""

import subprocess
import sys
from pathlib import Path

import yaml

_DAEMON_SET = Path(__file__).parents[2] / "deploy/danm-cni/daemonset.yaml"


def test_a_process_of_the_host_is_not_danmd(tmp_path: Path) -> None:
    """It may have the number that danmd had in an earlier container of the Pod."""
    # docs/decisions/0021
    raw = yaml.safe_load(_DAEMON_SET.read_text())
    (container,) = raw["spec"]["template"]["spec"]["containers"]
    started = {each["name"]: each.get("value") for each in container["env"]}["DANM_STARTED_FILE"]
    *_, how, code = container["startupProbe"]["exec"]["command"]
    file = tmp_path / "started"
    probe = [sys.executable, how, code.replace(started, str(file))]
    elsewhere = ["unshare", "--mount", "sh", "-c", "echo ready; read wait"]
    with subprocess.Popen(elsewhere, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        file.write_text(str(other.pid))
        refused = subprocess.run(probe, check=False, capture_output=True, text=True)
        other.communicate(b"\n")
    assert (refused.returncode, refused.stderr) == (1, "danmd is starting\n")
