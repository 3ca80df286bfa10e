"""ADD and DEL by plugins one after another."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bench.cni.namespaces import Sandbox
from tests.lab.bench.cni.networks import Attachment
from tests.lab.bench.cni.runtime import PluginFailedError, Runtime

_SANDBOX = Sandbox(container_id="c1", netns="n1")
# Writes down how it was called, and answers as told by its configuration.
_PLUGIN = """\
#!/bin/sh
config=$(cat)
echo "$CNI_COMMAND $CNI_IFNAME $CNI_CONTAINERID $CNI_NETNS $CNI_ARGS" >> "$LOG"
printf '%s\\n' "$config" >> "$LOG"
if [ $CNI_COMMAND = ADD ]; then
  printf '{"interfaces":[{"name":"br0"},{"name":"%s","sandbox":"x"}]}' $CNI_IFNAME
fi
"""


def _runtime(tmp_path: Path, *, script: str = _PLUGIN, sandbox_interfaces: int = 1) -> Runtime:
    plugin = tmp_path / "fake"
    plugin.write_text(script)
    plugin.chmod(0o755)
    return Runtime(
        plugins=tmp_path,
        attachments=[
            Attachment(
                interface=f"eth{number}",
                config={"type": "fake", "name": f"net-{number}"},
                sandbox_interfaces=sandbox_interfaces,
            )
            for number in range(2)
        ],
        environment={"LOG": str(tmp_path / "log"), "PATH": "/usr/bin:/bin"},
    )


def _log(tmp_path: Path) -> list[tuple[str, dict[str, Any]]]:
    lines = (tmp_path / "log").read_text().splitlines()
    return [
        (line, json.loads(config)) for line, config in zip(lines[::2], lines[1::2], strict=True)
    ]


def test_plugins_are_called_in_order_and_backwards_for_del(tmp_path: Path) -> None:
    """Each DEL gets the result of its own ADD, as CNI asks since 0.4.0."""
    runtime = _runtime(tmp_path)
    assert runtime.add(_SANDBOX, arguments="K8S_POD_NAME=p") > 0
    assert runtime.delete(_SANDBOX) > 0
    calls = _log(tmp_path)
    about = "c1 /var/run/netns/n1"
    assert [line for line, _ in calls] == [
        f"ADD eth0 {about} K8S_POD_NAME=p",
        f"ADD eth1 {about} K8S_POD_NAME=p",
        f"DEL eth1 {about} ",
        f"DEL eth0 {about} ",
    ]
    assert [config.get("prevResult", {}).get("interfaces", [{}])[-1] for _, config in calls] == [
        {},
        {},
        {"name": "eth1", "sandbox": "x"},
        {"name": "eth0", "sandbox": "x"},
    ]


def test_a_plugin_that_fails_ends_the_run_with_its_words(tmp_path: Path) -> None:
    """A figure of something that did not happen is no figure."""
    runtime = _runtime(tmp_path, script="#!/bin/sh\necho 'no address is left'; exit 1\n")
    with pytest.raises(PluginFailedError, match="ADD of the plugin fake.*no address is left"):
        runtime.add(_SANDBOX)


def test_a_missing_interface_is_no_success(tmp_path: Path) -> None:
    """An ADD that was fast because it made less is found."""
    with pytest.raises(PluginFailedError, match="eth0"):
        _runtime(tmp_path, sandbox_interfaces=2).add(_SANDBOX)
