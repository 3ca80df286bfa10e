"""One run of `lab bench controllers`: netwatcher in a guest, svcwatcher beside Kubernetes' own."""

import io
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import uvloop

# Run as `python -m`: the import says that it is needed.
import tests.lab.bench.controllers.guest as _guest
from tests.lab.bench.controllers.damage import DAMAGES
from tests.lab.bench.controllers.endpoints.cases import QUICK, USUAL
from tests.lab.bench.controllers.endpoints.measure import measure_controllers
from tests.lab.bench.controllers.results import SVCWATCHER, ControllersRun, LinkFindings
from tests.lab.bench.controllers.targets import endpoint_verdicts, link_verdicts
from tests.lab.bench.machine import describe_machine
from tests.lab.binaries import Binaries
from tests.lab.cache import Cache
from tests.lab.errors import LabError
from tests.lab.guest_kernel import run_bare
from tests.lab.progress import Progress

_LINKS_OF_A_KIND: Final = 100
# Enough for a 99th percentile.
_REPEATS: Final = 200
_REST_S: Final = 300.0
_QUICK_REPEATS: Final = 20
_QUICK_REST_S: Final = 20.0
# Longer than any run takes.
_TIMEOUT_S: Final = 1200.0


def run_controllers(
    directory: Path,
    *,
    repository: Path,
    cache: Cache,
    progress: Progress,
    quick: bool,
    only: str = "",
) -> ControllersRun:
    """Measure and judge.

    Args:
        directory: On a disk, empty.
        repository: Where deploy/ is.
        cache: Of built things.
        progress: Where it is said what goes on.
        quick: Fewer repetitions, a shorter rest, and a smaller cluster.
        only: Only parts whose name has this in it: ``netwatcher: `` and the damage, or
            ``svcwatcher``.

    Raises:
        LabError: The guest did not boot, a link was not repaired, or a change was not followed.
    """
    began = datetime.now(tz=UTC).isoformat(timespec="seconds")
    machine = describe_machine(directory)
    links = None
    damages = [damage for damage in DAMAGES if only in f"netwatcher: {damage}"]
    if damages:
        job = _guest.LinksJob(
            vlans=_LINKS_OF_A_KIND,
            vxlans=_LINKS_OF_A_KIND,
            damages=damages,
            repeats=_QUICK_REPEATS if quick else _REPEATS,
            rest_s=_QUICK_REST_S if quick else _REST_S,
        )
        links = _in_guest(job, cache, progress)
    endpoints = []
    if only in SVCWATCHER:
        endpoints = uvloop.run(
            measure_controllers(
                directory,
                repository=repository,
                binaries=Binaries(cache, progress),
                progress=progress,
                amounts=QUICK if quick else USUAL,
            )
        )
    return ControllersRun(
        began=began,
        quick=quick,
        machine=machine,
        links=links,
        endpoints=endpoints,
        verdicts=[
            *(() if links is None else link_verdicts(links)),
            *endpoint_verdicts(endpoints),
        ],
    )


def _in_guest(job: _guest.LinksJob, cache: Cache, progress: Progress) -> LinkFindings:
    paths = os.pathsep.join(path for path in sys.path if path)
    command = ["env", f"PYTHONPATH={paths}", sys.executable, "-m", str(_guest.__spec__.name)]
    output = io.BytesIO()
    with progress.step("netwatcher in a guest"):
        status = run_bare(
            cache,
            [*command, msgspec.json.encode(job).decode()],
            stdout=output,
            stderr=sys.stderr.buffer,
            timeout_s=_TIMEOUT_S,
        )
    if status != 0:
        raise LabError(f"The part in the guest ended with status {status}.")
    return msgspec.json.decode(output.getvalue(), type=LinkFindings)
