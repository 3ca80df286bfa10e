"""One run of `lab bench cni`: a node on this machine's kernel, a guest for IPVLAN, a verdict."""

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

# Run as `python -m`: the imports say that they are needed.
import tests.lab.bench.cni.guest as _guest
import tests.lab.bench.cni.inside as _inside
from tests.lab.bench.cni.cases import Case, Kind, Pace, guest_cases, node_cases, pace
from tests.lab.bench.cni.confined import run_confined
from tests.lab.bench.cni.executables import executables
from tests.lab.bench.cni.results import CniRun, NodeFindings, Row
from tests.lab.bench.cni.targets import verdicts
from tests.lab.bench.machine import describe_machine
from tests.lab.binaries import API_SERVER, CNI_PLUGINS, CNITOOL, ETCD, Binaries
from tests.lab.cache import Cache
from tests.lab.errors import LabError
from tests.lab.guest_kernel import run_bare
from tests.lab.progress import Progress

# Longer than any run takes.
_NODE_TIMEOUT_S: Final = 1200.0
_GUEST_TIMEOUT_S: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CniBench:
    """What a run works with.

    Attributes:
        directory: On a disk, empty: for etcd's data, the journal and the logs.
        repository: Whose DANM is measured.
        executables: The directory of danm and fakeipam; None to build them from the repository.
        quiet: The parts that are processes of their own say nothing of their progress.
    """

    directory: Path
    repository: Path
    cache: Cache
    progress: Progress
    executables: Path | None = None
    quiet: bool = False

    def run(
        self,
        *,
        quick: bool,
        only: str = "",
        storms: bool = True,
        at_pace: Pace | None = None,
    ) -> CniRun:
        """Measure and judge.

        Args:
            quick: Fewer cases and repetitions.
            only: Only cases whose name has this in it, and nothing of many Pods at once.
            storms: Whether many Pods at once are part of it.
            at_pace: How much is measured; by default what belongs to ``quick``.

        Raises:
            LabError: Something did not start, or an ADD or DEL failed.
        """
        began = datetime.now(tz=UTC).isoformat(timespec="seconds")
        built = self.executables or executables(self.repository, self.cache, self.progress)
        binaries = Binaries(self.cache, self.progress)
        for component in (CNITOOL, CNI_PLUGINS, ETCD, API_SERVER):
            _ = binaries.directory(component)
        chosen = at_pace or pace(quick=quick)
        on_node = [case for case in node_cases(quick=quick) if only in case.name]
        in_guest = [case for case in guest_cases(quick=quick) if only in case.name]
        machine = describe_machine(self.directory)
        found = self._on_node(on_node, chosen, built, storms=storms and not only)
        rows = self._in_guest(in_guest, chosen, built, binaries) if in_guest else []
        run = CniRun(
            began=began,
            quick=quick,
            machine=machine,
            starts=found.starts,
            rows=[*found.rows, *rows],
            storms=found.storms,
            memory=found.memory,
            left=found.left,
        )
        return msgspec.structs.replace(run, verdicts=verdicts(run))

    def _on_node(
        self, cases: Sequence[Case], chosen: Pace, built: Path, *, storms: bool
    ) -> NodeFindings:
        job = _inside.NodeJob(
            directory=str(self.directory),
            repository=str(self.repository),
            executables=str(built),
            cases=list(cases),
            pace=chosen,
            storms=storms,
            quiet=self.quiet,
        )
        output = run_confined(
            str(_inside.__spec__.name), msgspec.json.encode(job), timeout_s=_NODE_TIMEOUT_S
        )
        return msgspec.json.decode(output, type=NodeFindings)

    def _in_guest(
        self, cases: Sequence[Case], chosen: Pace, built: Path, binaries: Binaries
    ) -> list[Row]:
        job = _guest.GuestJob(
            executables=str(built),
            plugins=str(binaries.directory(CNI_PLUGINS)),
            cases=list(cases),
            case_s=chosen.case_s,
            quiet=self.quiet,
        )
        paths = os.pathsep.join(path for path in sys.path if path)
        command = ["env", f"PYTHONPATH={paths}", sys.executable, "-m", str(_guest.__spec__.name)]
        output = io.BytesIO()
        with self.progress.step(f"{Kind.IPVLAN} in a guest"):
            status = run_bare(
                self.cache,
                [*command, msgspec.json.encode(job).decode()],
                stdout=output,
                stderr=sys.stderr.buffer,
                timeout_s=_GUEST_TIMEOUT_S,
            )
        if status != 0:
            raise LabError(f"The part in the guest ended with status {status}.")
        return msgspec.json.decode(output.getvalue(), type=list[Row])
