"""The real cnitool, which calls plugins through libcni as container runtimes do."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tests.cni.node import CniNode, cnitool_program
from tests.cni.sandbox import Sandbox
from tests.cni.strict import Outcome, read_nothing
from tests.lab.system import program

# libcni remembers below /var/lib/cni what it has added; the machine's own is left alone.
_WITH_OWN_STATE: Final = 'mount --bind "$0" /var/lib && exec "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How cnitool ended.

    Attributes:
        complaint: What it printed on standard error: the error of a plugin, or its own.
    """

    outcome: Outcome
    complaint: str

    def expect_success(self) -> None:
        """Require success of a command that prints nothing.

        Raises:
            AssertionError: A plugin, or cnitool itself, complains.
        """
        assert not self.complaint, self.complaint
        read_nothing(self.outcome)


def known_to_cnitool(sandbox: Sandbox) -> Sandbox:
    """Return a sandbox with the container id that cnitool makes of the namespace's path."""
    digest = hashlib.sha512(sandbox.netns.encode()).digest()[:10].hex()
    return replace(sandbox, container_id=f"cnitool-{digest}")


def cnitool(
    node: CniNode,
    command: str,
    sandbox: Sandbox,
    configuration: Mapping[str, Any],
    *,
    capabilities: Mapping[str, Any] | None = None,
) -> Answer:
    """Run cnitool with one configuration, a list or a single one.

    Args:
        node: Where.
        command: add, check, del, gc or status.
        sandbox: Its namespace and Pod.
        configuration: The file.
        capabilities: What a runtime gives to plugins that declare it.
    """
    directory, state = node.directory / "cnitool", node.directory / "cnitool-state"
    for each in (directory, state):
        each.mkdir(exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    suffix = "conflist" if "plugins" in configuration else "conf"
    (directory / f"10-danm.{suffix}").write_text(json.dumps(configuration))
    variables = {
        **node.environment("", sandbox),
        "NETCONFPATH": str(directory),
        "CAP_ARGS": json.dumps(capabilities or {}),
    }
    done = subprocess.run(
        [
            *(program("unshare"), "--mount", "sh", "-c", _WITH_OWN_STATE, str(state)),
            *(cnitool_program(), command, configuration["name"], sandbox.netns),
        ],
        env={key: value for key, value in variables.items() if value},
        capture_output=True,
        check=False,
    )
    return Answer(
        outcome=Outcome(status=done.returncode, output=done.stdout),
        complaint=done.stderr.decode(errors="replace"),
    )
