"""Many Pods at once on one node, driven by cnitool with the deadline that a kubelet gives."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from tests.lab.bench.cni.cases import STORM_INTERFACES, STORM_PODS, Case, Kind
from tests.lab.bench.cni.namespaces import Sandbox, sandboxes
from tests.lab.bench.cni.networks import VERSION, Attachment, annotation, reference
from tests.lab.bench.cni.node import NodePaths
from tests.lab.bench.cni.plugin_call import call
from tests.lab.bench.cni.pods import Pods, cni_arguments
from tests.lab.bench.cni.results import Phase, Storm, times
from tests.lab.bench.cni.runtime import PATH

# A kubelet waits so long for a sandbox: twice its --runtime-request-timeout of 2 min.
KUBELET_S: Final = 240.0
CASE: Final = Case(kind=Kind.BRIDGE, interfaces=STORM_INTERFACES)
_SHOWN_FAILURES: Final = 5
_DANM: Final = "danm"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What cnitool is asked for one Pod.

    Attributes:
        networks: Names of configurations and of interfaces, in the order of the calls.
        directory: Where the configurations are.
        arguments: CNI_ARGS.
    """

    sandbox: Sandbox
    networks: Sequence[tuple[str, str]]
    directory: Path
    arguments: str = ""


class Storms:
    """Both sides' storms."""

    def __init__(self, cnitool: str, paths: NodePaths, directory: Path) -> None:
        """Write the reference plugins' configurations below a directory."""
        self._cnitool = cnitool
        self._paths = paths
        self._theirs = directory / "reference.d"
        self._theirs.mkdir()
        self._attachments: Sequence[Attachment] = reference(CASE)
        for each in self._attachments:
            (self._theirs / f"{each.config['name']}.conflist").write_bytes(_listed(each.config))

    async def danm(self, pods: Pods) -> Storm:
        """Add all Pods at once by danm, and delete them at once."""
        objects = await pods.make(STORM_PODS, annotation(CASE))
        with sandboxes(STORM_PODS) as made:
            calls = [
                _Call(
                    sandbox=sandbox,
                    networks=[(_DANM, "eth0")],
                    directory=self._paths.config,
                    arguments=cni_arguments(pod),
                )
                for sandbox, pod in zip(made, objects, strict=True)
            ]
            added = self._phase("add", calls)
            for pod in objects:
                await pods.end(pod)
            deleted = self._phase("del", calls)
        pods.remove_all()
        return _storm(_DANM, added, deleted)

    def reference(self) -> Storm:
        """Add all Pods at once by the reference plugins, each Pod's one after another."""
        networks = [(each.config["name"], each.interface) for each in self._attachments]
        with sandboxes(STORM_PODS) as made:
            calls = [
                _Call(sandbox=sandbox, networks=networks, directory=self._theirs)
                for sandbox in made
            ]
            added = self._phase("add", calls)
            backwards = [
                _Call(sandbox=sandbox, networks=networks[::-1], directory=self._theirs)
                for sandbox in made
            ]
            deleted = self._phase("del", backwards)
        return _storm("the reference plugins", added, deleted)

    def _phase(self, verb: str, calls: Sequence[_Call]) -> Phase:
        began = time.perf_counter()
        with ThreadPoolExecutor(len(calls)) as pool:
            outcomes = list(pool.map(self._one(verb), calls))
        taken = [took_ms for took_ms, failure in outcomes if not failure]
        failures = [failure for _, failure in outcomes if failure]
        return Phase(
            times=times(taken) if taken else None,
            seconds=time.perf_counter() - began,
            failed=len(failures),
            failures=list(dict.fromkeys(failures))[:_SHOWN_FAILURES],
        )

    def _one(self, verb: str) -> Callable[[_Call], tuple[float, str]]:
        def run(each: _Call) -> tuple[float, str]:
            """Return how long a Pod took, and what failed."""
            took_ms = 0.0
            for network, interface in each.networks:
                answer = call(
                    [self._cnitool, verb, network, each.sandbox.path],
                    self._environment(each, interface),
                    timeout_s=KUBELET_S - took_ms / 1000,
                    with_errors=True,
                )
                took_ms += answer.took_ms
                if answer.status != 0:
                    return took_ms, answer.output.decode(errors="replace").strip() or "killed"
            return took_ms, ""

        return run

    def _environment(self, each: _Call, interface: str) -> Mapping[str, str]:
        variables = {
            "PATH": PATH,
            "CNI_PATH": str(self._paths.plugins),
            "NETCONFPATH": str(each.directory),
            "CNI_IFNAME": interface,
        }
        return variables | ({"CNI_ARGS": each.arguments} if each.arguments else {})


def _listed(config: Mapping[str, object]) -> bytes:
    plugin = {key: value for key, value in config.items() if key not in ("cniVersion", "name")}
    return msgspec.json.encode({"cniVersion": VERSION, "name": config["name"], "plugins": [plugin]})


def _storm(who: str, added: Phase, deleted: Phase) -> Storm:
    return Storm(who=who, pods=STORM_PODS, interfaces=STORM_INTERFACES, add=added, delete=deleted)
