"""IPVLAN in a guest, whose kernel has it: danmd's real flow and kernel work, its API in memory.

python -m tests.lab.bench.cni.guest JOB > rows.json
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from danm_api.testing.builders import NAMESPACE
from danm_cni.daemon import Daemon, Edges
from danm_cni.handlers import Readiness, SandboxRequests
from danm_cni.kernel import KernelInterfaces
from danm_cni.networks import Networks
from danm_cni.request import Program
from danm_cni.server import CniServer
from danm_cni.testing.node import FakeNode
from tests.lab.bench.cni.cases import Case
from tests.lab.bench.cni.measure import Taken, enough
from tests.lab.bench.cni.namespaces import Sandbox, parent_link, sandboxes
from tests.lab.bench.cni.networks import (
    Attachment,
    annotation,
    ipvlan_options,
    reference,
    wires,
)
from tests.lab.bench.cni.results import Row
from tests.lab.bench.cni.runtime import PATH, Runtime
from tests.lab.errors import LabError
from tests.lab.progress import Progress

# As danmd installs it.
_CONFIG: Final = {"cniVersion": "1.1.0", "name": "danm", "type": "danm"}


class GuestJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be measured.

    Attributes:
        executables: The directory of danm.
        plugins: The directory of the reference plugins.
        case_s: After so long a case begins no further repetition.
        quiet: Says nothing of its progress.
    """

    executables: str
    plugins: str
    cases: list[Case]
    case_s: float
    quiet: bool = False


class _Node(FakeNode):
    """A node whose kernel is real; the API server and ipam-svc are in memory."""

    def _new_daemon(self) -> Daemon:
        kernel = KernelInterfaces(host_root=Path("/"))
        edges = Edges(
            kernel=kernel, plugins=self.plugins, addresses=self.addresses, devices=self.devices
        )
        return Daemon(self.config, self.kube, edges, networks=Networks(self.kube))


@asynccontextmanager
async def _a_node(directory: Path, case: Case) -> AsyncIterator[_Node]:
    """Have a node whose danmd listens, with DanmNets, and Pods that ask for all of them."""
    node = _Node(directory)
    for number, name in enumerate(wires(case.interfaces)):
        node.add_network(name, **ipvlan_options(number))
    for number in range(case.repeats):
        node.add_pod(_pod(number), interfaces=annotation(case))
    await node.start()
    readiness = Readiness(node.config.paths.ready_marker)
    handler = SandboxRequests(sandboxes=node.daemon.sandboxes, readiness=readiness)
    try:
        async with CniServer(node.config.paths.socket, handlers={Program.DANM: handler}):
            readiness.set()
            yield node
    finally:
        await node.stop()


def _pod(number: int) -> str:
    return f"pod-{number}"


def _arguments(number: int) -> str:
    name = _pod(number)
    return f"K8S_POD_NAMESPACE={NAMESPACE};K8S_POD_NAME={name};K8S_POD_UID=uid-{name}"


async def _row(case: Case, job: GuestJob, directory: Path, plugins: Path) -> Row:
    """Measure a case; the calls run in a thread, since danmd runs in this one."""
    async with _a_node(directory, case) as node:
        ours = Runtime(
            plugins=plugins,
            attachments=[
                Attachment(interface="eth0", config=_CONFIG, sandbox_interfaces=case.interfaces)
            ],
            environment={"PATH": PATH, "DANM_SOCKET": str(node.config.paths.socket)},
        )
        theirs = Runtime(plugins=plugins, attachments=reference(case))
        taken, began = Taken(), time.monotonic()
        with sandboxes(2 * case.repeats) as made:
            for number in range(case.repeats):
                if enough(number, began, job.case_s):
                    break
                our, their = made[2 * number : 2 * number + 2]
                arguments = _arguments(number)
                taken.add.append(await asyncio.to_thread(ours.add, our, arguments=arguments))
                await node.end_pod(_pod(number))
                await asyncio.to_thread(_by_reference, theirs, their, taken)
                taken.delete.append(await asyncio.to_thread(ours.delete, our, arguments=arguments))
    return taken.row(case, {})


def _by_reference(runtime: Runtime, sandbox: Sandbox, taken: Taken) -> None:
    taken.reference_add.append(runtime.add(sandbox))
    taken.reference_delete.append(runtime.delete(sandbox))


async def measure(job: GuestJob) -> list[Row]:
    """Measure all cases, each with a danmd of its own."""
    progress = Progress(quiet=job.quiet)
    rows = []
    with parent_link(), tempfile.TemporaryDirectory(prefix="danm-bench-") as name:
        plugins = Path(name) / "bin"
        plugins.mkdir()
        for source in (job.plugins, job.executables):
            for path in Path(source).iterdir():
                (plugins / path.name).symlink_to(path)
        for case in job.cases:
            directory = Path(name) / str(case.interfaces)
            directory.mkdir()
            with progress.step(f"{case.name} in a guest"):
                rows.append(await _row(case, job, directory, plugins))
    return rows


def main() -> None:
    """Do one job."""
    job = msgspec.json.decode(sys.argv[1], type=GuestJob)
    try:
        rows = uvloop.run(measure(job))
    except LabError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(msgspec.json.encode(rows))


if __name__ == "__main__":
    main()
