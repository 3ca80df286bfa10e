"""A container runtime: ADD and DEL of sandboxes, by plugins called one after another.

For the reference plugins that is what a runtime with a sequential meta-plugin does, less the
meta-plugin itself. For DANM there is one plugin, `danm`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.lab.bench.cni.namespaces import Sandbox
from tests.lab.bench.cni.networks import Attachment
from tests.lab.bench.cni.plugin_call import Answer, call
from tests.lab.errors import LabError

PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


class PluginFailedError(LabError):
    """A plugin failed, or made something else than it should."""


@dataclass(slots=True, kw_only=True)
class Runtime:
    """One side.

    Attributes:
        plugins: The directory of the executables.
        attachments: What is called for a Pod, in the order of ADD.
        environment: What is beside CNI's variables.
    """

    plugins: Path
    attachments: Sequence[Attachment]
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH})
    _results: dict[tuple[str, str], msgspec.Raw] = field(default_factory=dict)

    def add(self, sandbox: Sandbox, *, arguments: str = "") -> float:
        """Make all interfaces of a sandbox and return the milliseconds that the calls took.

        Args:
            sandbox: Whose.
            arguments: CNI_ARGS.

        Raises:
            PluginFailedError: A plugin failed, or an interface is missing in its result.
        """
        took_ms = 0.0
        for each in self.attachments:
            answer = self._call("ADD", sandbox, each, arguments)
            took_ms += answer.took_ms
            _require_interfaces(answer, each)
            self._results[sandbox.container_id, each.interface] = msgspec.Raw(answer.output)
        return took_ms

    def delete(self, sandbox: Sandbox, *, arguments: str = "") -> float:
        """Remove all interfaces of a sandbox and return the milliseconds that the calls took.

        Raises:
            PluginFailedError: A plugin failed.
        """
        took_ms = 0.0
        for each in reversed(self.attachments):
            result = self._results.pop((sandbox.container_id, each.interface))
            answer = self._call("DEL", sandbox, each, arguments, prevResult=result)
            took_ms += answer.took_ms
        return took_ms

    def _call(
        self,
        verb: str,
        sandbox: Sandbox,
        attachment: Attachment,
        arguments: str,
        **more: Any,  # noqa: ANN401  (JSON values)
    ) -> Answer:
        plugin = attachment.config["type"]
        environment = {
            **self.environment,
            **cni_variables(verb, self.plugins, sandbox, attachment.interface),
            "CNI_ARGS": arguments,
        }
        config = msgspec.json.encode({**attachment.config, **more})
        answer = call([str(self.plugins / plugin)], environment, config)
        if answer.status != 0:
            said = answer.output.decode(errors="replace").strip()
            raise PluginFailedError(
                f"{verb} of the plugin {plugin} for {attachment.interface} failed: {said}"
            )
        return answer


def cni_variables(verb: str, plugins: Path, sandbox: Sandbox, interface: str) -> dict[str, str]:
    """Return CNI's variables of a call about a sandbox."""
    return {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": sandbox.container_id,
        "CNI_NETNS": sandbox.path,
        "CNI_IFNAME": interface,
        "CNI_PATH": str(plugins),
    }


def _require_interfaces(answer: Answer, attachment: Attachment) -> None:
    result = msgspec.json.decode(answer.output)
    found = [each["name"] for each in result.get("interfaces", ()) if each.get("sandbox")]
    if len(found) != attachment.sandbox_interfaces:
        plugin = attachment.config["type"]
        raise PluginFailedError(
            f"ADD of the plugin {plugin} told of the interfaces {found} in the Pod, and not of"
            f" {attachment.sandbox_interfaces}"
        )
