"""Starts of executables, and Pods of every case, one after the other on both sides."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import msgspec

from tests.lab.bench.cni.cases import Case, Pace
from tests.lab.bench.cni.danmd_log import added_sandboxes, median_steps
from tests.lab.bench.cni.namespaces import sandboxes
from tests.lab.bench.cni.networks import annotation, reference
from tests.lab.bench.cni.node import Danmd, NodePaths
from tests.lab.bench.cni.plugin_call import call
from tests.lab.bench.cni.pods import Pods, cni_arguments
from tests.lab.bench.cni.results import Row, Side, Start, times
from tests.lab.bench.cni.runtime import PATH, PluginFailedError, Runtime
from tests.lab.bench.usage import BusyTime
from tests.lab.errors import LabError
from tests.lab.process import log_tail

# Fewer would be no median.
_LEAST: Final = 3
# What a daemon does after its answer is not to be part of what is measured next.
_SETTLE_S: Final = 0.05
# Whose processor time is not told apart.
_REST: Final = "plugins, danm and all else"
# Of the version in which there is STATUS.
_CONFIG: Final = b'{"cniVersion":"1.1.0","name":"bench","type":"bench"}'
# Program, verb, exit status.
_STARTS: Final = (
    ("macvlan", "VERSION", 0),
    ("bridge", "VERSION", 0),
    ("host-local", "VERSION", 0),
    ("danm", "VERSION", 0),
    ("fakeipam", "VERSION", 0),
    ("danm", "STATUS", 0),
    # Of nothing: danmd answers that it knows no such container.
    ("danm", "CHECK", 1),
)


def measure_starts(paths: NodePaths, count: int) -> list[Start]:
    """Start each executable again and again, in turns.

    Raises:
        LabError: One of them failed.
    """
    found: dict[tuple[str, str], list[float]] = {(name, verb): [] for name, verb, _ in _STARTS}
    for _ in range(count):
        for name, verb, status in _STARTS:
            environment = {
                "PATH": PATH,
                "CNI_COMMAND": verb,
                "CNI_PATH": str(paths.plugins),
                "CNI_CONTAINERID": uuid4().hex,
                "CNI_NETNS": "/proc/self/ns/net",
                "CNI_IFNAME": "eth0",
            }
            answer = call([str(paths.plugins / name)], environment, _CONFIG)
            if answer.status != status:
                raise LabError(f"{verb} of {name} ended with {answer.status}: {answer.output!r}")
            found[name, verb].append(answer.took_ms)
    return [
        Start(program=name, call=verb, times=times(taken)) for (name, verb), taken in found.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBench:
    """Measures cases on the node.

    Attributes:
        servers: What danmd waits for in an ADD: name -> process.
    """

    paths: NodePaths
    danmd: Danmd
    pods: Pods
    pace: Pace
    servers: Mapping[str, int] = field(default_factory=dict)

    async def row(self, case: Case) -> Row:
        """Measure a case: each Pod comes and goes on both sides before the next.

        Raises:
            LabError: An ADD or DEL failed; danmd's log may say more.
        """
        try:
            return await self._row(case)
        except PluginFailedError as error:
            log = log_tail(self.danmd.background.log)
            raise LabError(f"{case.name}: {error}\ndanmd's log closes with:\n{log}") from error

    async def _row(self, case: Case) -> Row:
        pods = await self.pods.make(case.repeats, annotation(case))
        ours = Runtime(
            plugins=self.paths.plugins, attachments=self.paths.danm(interfaces=case.interfaces)
        )
        theirs = Runtime(plugins=self.paths.plugins, attachments=reference(case))
        taken = Taken()
        busy = BusyTime({**self.servers, "danmd": self.danmd.background.process.pid})
        began, cpu_s = time.monotonic(), self.danmd.cpu_s()
        with sandboxes(2 * case.repeats) as made:
            pairs = zip(made[::2], made[1::2], strict=True)
            for number, (pod, (our, their)) in enumerate(zip(pods, pairs, strict=True)):
                if enough(number, began, self.pace.case_s):
                    break
                arguments = cni_arguments(pod)
                with busy.counted():
                    taken.add.append(ours.add(our, arguments=arguments))
                # By the time of the DEL danmd has seen it.
                await self.pods.end(pod)
                await asyncio.sleep(_SETTLE_S)
                if theirs.attachments:
                    taken.reference_add.append(theirs.add(their))
                    taken.reference_delete.append(theirs.delete(their))
                taken.delete.append(ours.delete(our, arguments=arguments))
                await asyncio.sleep(_SETTLE_S)
            steps = self._steps([each.container_id for each in made[::2]])
            cpu_ms = (self.danmd.cpu_s() - cpu_s) * 1000 / len(taken.add)
        self.pods.remove_all()
        return msgspec.structs.replace(
            taken.row(case, steps, danmd_cpu_ms=cpu_ms),
            add_cpu_ms=busy.block_ms(_REST),
            add_cpu_share=busy.share(),
        )

    def _steps(self, container_ids: Sequence[str]) -> dict[str, float]:
        told = added_sandboxes(self.danmd.log())
        return median_steps(told[each] for each in container_ids if each in told)


def enough(done: int, began: float, limit_s: float) -> bool:
    """Say whether a case has been repeated often enough for its time.

    Args:
        done: Repetitions so far.
        began: When the case did, as the monotonic clock tells.
        limit_s: Its time.
    """
    return done >= _LEAST and time.monotonic() - began > limit_s


class Taken:
    """The milliseconds of each call of a case."""

    def __init__(self) -> None:
        """Begin a case."""
        self.add: list[float] = []
        self.delete: list[float] = []
        self.reference_add: list[float] = []
        self.reference_delete: list[float] = []

    def row(self, case: Case, steps_ms: dict[str, float], *, danmd_cpu_ms: float = 0.0) -> Row:
        """Sum it up."""
        compared = bool(self.reference_add)
        return Row(
            case=case,
            danm=Side(add=times(self.add), delete=times(self.delete)),
            reference=(
                Side(add=times(self.reference_add), delete=times(self.reference_delete))
                if compared
                else None
            ),
            steps_ms=steps_ms,
            danmd_cpu_ms=danmd_cpu_ms,
        )
