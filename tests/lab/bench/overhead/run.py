"""One run of `lab bench overhead`."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.overhead.inside as _inside
from tests.lab.bench.cases import BATCH
from tests.lab.bench.cases import Case as Load
from tests.lab.bench.cni.cases import Case, Kind
from tests.lab.bench.cni.confined import run_confined
from tests.lab.bench.cni.executables import executables
from tests.lab.bench.machine import describe_machine
from tests.lab.bench.overhead.results import Comparison, OverheadRun, verdicts
from tests.lab.binaries import API_SERVER, CNI_PLUGINS, ETCD, Binaries
from tests.lab.cache import Cache
from tests.lab.progress import Progress

# Longer than any run takes.
_TIMEOUT_S: Final = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How much is measured.

    Attributes:
        alone: Reservations of one caller in a round, with and without.
        many: Those of 32 callers.
        pods: Those of a case.
        rounds: How many.
    """

    alone: int
    many: int
    pods: int
    rounds: int


USUAL: Final = Amount(alone=200, many=3200, pods=8, rounds=31)
QUICK: Final = Amount(alone=64, many=640, pods=5, rounds=3)


def loads(amount: Amount) -> list[Load]:
    """Return the loads of reservations."""
    return [
        Load(callers=1, count=amount.alone),
        Load(callers=32, count=amount.many),
        Load(callers=32, count=amount.many // 2, batch=BATCH),
    ]


def cases(amount: Amount) -> list[Case]:
    """Return the kinds of Pods."""
    return [
        Case(kind=Kind.MACVLAN, interfaces=1, repeats=amount.pods),
        Case(kind=Kind.BRIDGE, interfaces=5, repeats=amount.pods),
    ]


def run_overhead(
    directory: Path,
    *,
    repository: Path,
    cache: Cache,
    progress: Progress,
    amount: Amount,
    only: str = "",
    quiet: bool = False,
) -> OverheadRun:
    """Measure and judge.

    Args:
        directory: On a disk, empty.
        repository: Whose DANM is measured.
        cache: Of built things.
        progress: Where it is said what goes on.
        amount: How much is measured.
        only: Only loads and cases whose name has this in it.
        quiet: The part that is a process of its own says nothing of its progress.

    Raises:
        LabError: Something did not start, or a load or Pod failed.
    """
    began = datetime.now(tz=UTC).isoformat(timespec="seconds")
    built = executables(repository, cache, progress)
    binaries = Binaries(cache, progress)
    for component in (CNI_PLUGINS, ETCD, API_SERVER):
        _ = binaries.directory(component)
    job = _inside.OverheadJob(
        directory=str(directory),
        repository=str(repository),
        executables=str(built),
        loads=[each for each in loads(amount) if only in each.name],
        cases=[each for each in cases(amount) if only in each.name],
        rounds=amount.rounds,
        quiet=quiet,
    )
    machine = describe_machine(directory)
    output = run_confined(
        str(_inside.__spec__.name), msgspec.json.encode(job), timeout_s=_TIMEOUT_S
    )
    found = msgspec.json.decode(output, type=list[Comparison])
    return OverheadRun(
        began=began,
        quick=amount is QUICK,
        machine=machine,
        comparisons=found,
        verdicts=verdicts(found),
    )
