"""One run: an API server, the raw figures, and every case."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final
from urllib.parse import urlsplit

import msgspec

from danm_api.ipam_client import DEFAULT_SERVER_NAME
from danm_api.kube.client import KubeClient
from tests.lab.apiserver import ApiServer
from tests.lab.bench.cases import Caller, Case, Families, cases
from tests.lab.bench.figures import Figures, figures, middle
from tests.lab.bench.jobs import Job, Kind, Outcome, PodRef
from tests.lab.bench.launch import USUAL, Launch
from tests.lab.bench.load import run_job
from tests.lab.bench.machine import describe_machine
from tests.lab.bench.raw_object import PATH
from tests.lab.bench.replicas import Replica, running_replicas
from tests.lab.bench.results import Cost, Raw, Row, Run
from tests.lab.bench.stage import NAMESPACE, NODE, WARM_UP, Stage, Tokens
from tests.lab.bench.targets import verdicts
from tests.lab.bench.usage import cpu_seconds, metric_sum, peak_memory_mb, read_metrics
from tests.lab.binaries import Binaries
from tests.lab.errors import LabError
from tests.lab.kubectl import Kubectl
from tests.lab.progress import Progress

_BLOCKS: Final = ('resource="danmipblocks"',)
_BODY_BYTES: Final = "apiserver_request_body_size_bytes"
_CONTENDERS: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much is measured of the raw figures."""

    puts: int
    contended_s: float


_USUAL: Final = Pace(puts=400, contended_s=10.0)
_QUICK: Final = Pace(puts=100, contended_s=4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """What the API server counted of writes of blocks: how many, and their bytes."""

    count: float
    size: float


class Bench:
    """Measures on one API server."""

    def __init__(
        self, server: ApiServer, stage: Stage, tokens: Tokens, directory: Path, progress: Progress
    ) -> None:
        """Use a server on which the stage is set up."""
        self._server = server
        self._stage = stage
        self._tokens = tokens
        self._directory = directory
        self._progress = progress
        self._etcd_mb = 0.0

    async def measure(self, measured: Sequence[Case], pace: Pace) -> tuple[Raw, list[Row], float]:
        """Measure the raw figures, then each case, then the raw figures once more."""
        before = self._raw(pace)
        rows = [await self._row(case, pace) for case in measured]
        after = self._raw(pace)
        raw = Raw(
            create=middle([before.create, after.create]),
            put=middle([before.put, after.put]),
            contended=middle([before.contended, after.contended]),
        )
        return raw, rows, self._etcd_mb

    def _raw(self, pace: Pace) -> Raw:
        with self._progress.step("raw creates and PUTs of 1 KB"):
            return Raw(
                create=_summed(run_job(self._raw_job(Kind.CREATE, count=pace.puts))),
                put=self._put(pace),
                contended=_summed(
                    run_job(
                        self._raw_job(
                            Kind.CONTEND,
                            callers=_CONTENDERS,
                            count=1_000_000,
                            seconds=pace.contended_s,
                        )
                    )
                ),
            )

    def _put(self, pace: Pace) -> Figures:
        return _summed(run_job(self._raw_job(Kind.PUT, count=pace.puts)))

    def _raw_job(self, kind: Kind, *, count: int, callers: int = 1, seconds: float = 600) -> Job:
        return Job(
            kind=kind,
            endpoints=[urlsplit(self._server.url).netloc],
            server_name="localhost",
            authority=self._server.authority.read_text(),
            tokens=[self._server.token],
            callers=callers,
            count=count,
            seconds=seconds,
            path=PATH,
        )

    async def _row(self, case: Case, pace: Pace) -> Row:
        with self._progress.step(case.name):
            repeats = [await self._repeat(case, pace) for _ in range(case.repeats)]
        costs = [cost for _, cost, _ in repeats]
        return Row(
            case=case,
            figures=middle([found for found, _, _ in repeats]),
            cost=Cost(
                cpu={name: median(cost.cpu[name] for cost in costs) for name in costs[0].cpu},
                block_bytes=median(cost.block_bytes for cost in costs),
                block_writes=median(cost.block_writes for cost in costs),
                rss_mb=max(cost.rss_mb for cost in costs),
            ),
            put=middle([put for _, _, put in repeats]),
            repeats=[found for found, _, _ in repeats],
        )

    async def _repeat(self, case: Case, pace: Pace) -> tuple[Figures, Cost, Figures]:
        """Measure a case once, with fresh networks and fresh replicas."""
        await self._stage.clear(used=case.used)
        networks = await self._stage.networks(case)
        await self._stage.warm_up_network()
        pods: list[PodRef] = []
        if case.caller is Caller.DANMD:
            names = [name for group in networks for name in group]
            pods = await self._stage.pods(case.count, [*names, WARM_UP])
        put = self._put(pace)
        found, cost = await self._load(case, networks, pods)
        return found, cost, put

    @contextmanager
    def replicas(self, count: int, *, launch: Launch = USUAL) -> Iterator[Sequence[Replica]]:
        """Run replicas.

        Args:
            count: How many.
            launch: How they are started.

        Raises:
            StartError: One did not become ready.
        """
        with running_replicas(
            count, self._server, self._directory, token=self._tokens.replica, launch=launch
        ) as running:
            yield running

    async def prepare(self, case: Case) -> list[list[str]]:
        """Make fresh networks for a case of external owners, and return them."""
        await self._stage.warm_up_network()
        return await self._stage.networks(case)

    async def load(
        self, case: Case, replicas: Sequence[Replica], networks: list[list[str]]
    ) -> Figures:
        """Measure a case of external owners once.

        Raises:
            LabError: It could not be measured, or a reservation failed.
        """
        outcome = run_job(self._job(case, replicas, networks, [], await self._stage.trust()))
        if outcome.failures:
            raise LabError(f"{case.name}: {dict(outcome.failures)}")
        return _summed(outcome)

    async def _load(
        self, case: Case, networks: list[list[str]], pods: list[PodRef]
    ) -> tuple[Figures, Cost]:
        with self.replicas(case.replicas) as replicas:
            job = self._job(case, replicas, networks, pods, await self._stage.trust())
            # Serving metrics takes the API server longer than some reservations: not meanwhile.
            written, cpu = self._written(), self._cpu(replicas)
            outcome = run_job(job)
            used = {name: value - cpu[name] for name, value in self._cpu(replicas).items()}
            used["generator"] = outcome.cpu_s
            used["others"] = max(0.0, outcome.machine_s - sum(used.values()))
            rss_mb = max(peak_memory_mb(replica.pid) for replica in replicas)
            more = self._written()
        done = len(outcome.times_ms)
        cost = Cost(
            cpu={name: round(value / outcome.seconds, 3) for name, value in used.items()},
            block_bytes=(more.size - written.size) / done,
            block_writes=(more.count - written.count) / done,
            rss_mb=rss_mb,
        )
        for failure, times in outcome.failures.items():
            self._progress.say(f"    {times} x {failure}")
        return _summed(outcome), cost

    def _job(
        self,
        case: Case,
        replicas: Sequence[Replica],
        networks: list[list[str]],
        pods: list[PodRef],
        trust: str,
    ) -> Job:
        return Job(
            kind=Kind.RESERVE,
            endpoints=[replica.endpoint for replica in replicas],
            server_name=DEFAULT_SERVER_NAME,
            authority=trust,
            tokens=[self._tokens.danmd] if pods else self._tokens.tools,
            callers=case.callers,
            count=case.count,
            namespace=NAMESPACE,
            networks=networks,
            per_network=case.per_network,
            warm_up="" if pods else WARM_UP,
            pods=pods,
            node=NODE if pods else "",
            ip="none" if case.families is Families.IPV6 else "dynamic",
            ip6="none" if case.families is Families.IPV4 else "dynamic",
        )

    def _cpu(self, replicas: Sequence[Replica]) -> dict[str, float]:
        return {
            "ipam-svc": sum(cpu_seconds(replica.pid) for replica in replicas),
            "kube-apiserver": cpu_seconds(self._server.server.process.pid),
            "etcd": cpu_seconds(self._server.etcd.process.pid),
        }

    def _written(self) -> _Written:
        headers = {"Authorization": f"Bearer {self._server.token}"}
        authority = str(self._server.authority)
        served = read_metrics(f"{self._server.url}/metrics", headers, authority=authority)
        etcd = read_metrics(f"{self._server.etcd_url}/metrics", {})
        size_mb = metric_sum(etcd, "etcd_mvcc_db_total_size_in_bytes") / 2**20
        self._etcd_mb = max(self._etcd_mb, size_mb)
        return _Written(
            count=metric_sum(served, f"{_BODY_BYTES}_count", _BLOCKS),
            size=metric_sum(served, f"{_BODY_BYTES}_sum", _BLOCKS),
        )


async def run_bench(
    directory: Path,
    *,
    repository: Path,
    binaries: Binaries,
    progress: Progress,
    quick: bool,
    only: str = "",
) -> Run:
    """Start an API server whose etcd waits for the disk, measure, and judge.

    Args:
        directory: For etcd's data and the logs.
        repository: Where deploy/ is.
        binaries: Where the programs come from.
        progress: Says what goes on.
        quick: Fewer cases, each shorter.
        only: Only cases whose name has this in it.

    Raises:
        LabError: Something did not start, or a load could not be measured.
    """
    began = datetime.now(tz=UTC).isoformat(timespec="seconds")
    machine = describe_machine(directory)
    with ApiServer.start(directory, binaries=binaries, fsync=True) as server:
        async with await KubeClient.connect(server.kubeconfig) as api:
            stage = Stage(api)
            tokens = await stage.set_up(Kubectl.on(server, binaries), repository)
            bench = Bench(server, stage, tokens, directory, progress)
            chosen = [case for case in cases(quick=quick) if only in case.name]
            raw, rows, etcd_mb = await bench.measure(chosen, _QUICK if quick else _USUAL)
    run = Run(began=began, quick=quick, machine=machine, raw=raw, rows=rows, etcd_mb=etcd_mb)
    return msgspec.structs.replace(run, verdicts=verdicts(run))


def _summed(outcome: Outcome) -> Figures:
    return figures(outcome.times_ms, failed=sum(outcome.failures.values()), seconds=outcome.seconds)
