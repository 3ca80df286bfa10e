"""One load generator, a process of its own: a job on standard input, its outcome on output.

python -m tests.lab.bench.generator < job.json > outcome.json
"""

import asyncio
import random
import resource
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import uvloop

from danm_api.ipam_api import (
    RESERVE_PATH,
    AttachmentRequest,
    ExternalOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
    Problem,
    ReserveAnswer,
    ReserveRequest,
)
from tests.lab.bench.jobs import Job, Kind, Outcome
from tests.lab.bench.keepalive import BrokenAnswerError, Connection
from tests.lab.bench.raw_object import SHARED, object_body, version_of
from tests.lab.bench.usage import machine_seconds

_OK: Final = 200
_CREATED: Final = 201
_CONFLICT: Final = 409
_LONGEST_WAIT_S: Final = 0.05
# What an ADD has.
_TIMEOUT_S: Final = 10.0

# Does one operation of a caller; returns what failed, empty when it succeeded.
Operation = Callable[[int, Connection], Awaitable[str]]


class _Reserving:
    """Reservations, each for an owner of its own."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._seen: set[tuple[str, str]] = set()
        self.doubles: list[str] = []
        self._attempt = time.time_ns() // 1_000_000

    def _owner(self, index: int) -> OwnerMessage:
        if self._job.pods:
            pod = self._job.pods[index % len(self._job.pods)]
            return PodOwnerMessage(namespace=self._job.namespace, name=pod.name, uid=pod.uid)
        return ExternalOwnerMessage(namespace=self._job.namespace, name=f"owner-{index}")

    async def _reserve(self, index: int, networks: list[str], connection: Connection) -> str:
        interface = f"eth{index // len(self._job.pods)}" if self._job.pods else ""
        request = ReserveRequest(
            owner=self._owner(index),
            attempt=self._attempt,
            node=self._job.node,
            attachments=[
                AttachmentRequest(
                    network=network, interface=interface, ip=self._job.ip, ip6=self._job.ip6
                )
                for network in networks
            ],
            timeout_s=_TIMEOUT_S,
            fresh=True,
        )
        body = msgspec.json.encode(request)
        status, answer = await connection.request(b"POST", RESERVE_PATH.encode(), body)
        if status != _OK:
            return msgspec.json.decode(answer, type=Problem).detail
        for got in msgspec.json.decode(answer, type=ReserveAnswer).attachments:
            for address in (got.ip, got.ip6):
                if address is None:
                    continue
                if (got.network, address) in self._seen:
                    self.doubles.append(f"{got.network} {address}")
                self._seen.add((got.network, address))
        return ""

    async def __call__(self, index: int, connection: Connection) -> str:
        """Reserve once."""
        job = self._job
        networks = job.networks[index // job.per_network % len(job.networks)]
        return await self._reserve(index, networks, connection)

    async def warm_up(self, caller: int, connection: Connection) -> None:
        """Let a replica see the token, and a network with blocks."""
        if self._job.warm_up:
            await self._reserve(-1 - caller, [self._job.warm_up], connection)


class _Raw:
    """Operations on objects of 1 KB."""

    def __init__(self, job: Job) -> None:
        self._path = job.path
        self._versions: dict[Connection, str] = {}

    def _object(self, name: str) -> bytes:
        return f"{self._path}/{name}".encode()

    async def create(self, index: int, connection: Connection) -> str:
        """Create one more object."""
        name = f"raw-{time.time_ns()}-{index}"
        status, answer = await connection.request(
            b"POST", self._path.encode(), object_body(name, str(index), version="")
        )
        return "" if status == _CREATED else answer.decode()

    async def put(self, index: int, connection: Connection) -> str:
        """Replace the object that no other caller writes."""
        version = self._versions.get(connection)
        if version is None:
            _, answer = await connection.request(b"GET", self._object(SHARED))
            version = version_of(answer)
        status, answer = await connection.request(
            b"PUT", self._object(SHARED), object_body(SHARED, str(index), version=version)
        )
        if status != _OK:
            return answer.decode()
        self._versions[connection] = version_of(answer)
        return ""

    async def contend(self, index: int, connection: Connection) -> str:
        """Read and replace one object that all callers write, until it works."""
        while True:
            _, answer = await connection.request(b"GET", self._object(SHARED))
            body = object_body(SHARED, str(index), version=version_of(answer))
            status, answer = await connection.request(b"PUT", self._object(SHARED), body)
            if status == _OK:
                return ""
            if status != _CONFLICT:
                return answer.decode()
            await asyncio.sleep(random.uniform(0, _LONGEST_WAIT_S))  # noqa: S311  (no secret)


async def _run(job: Job) -> Outcome:
    context = ssl.create_default_context(cadata=job.authority)
    connections = [
        await Connection.open(
            job.endpoints[caller % len(job.endpoints)],
            context=context,
            server_name=job.server_name,
            token=job.tokens[caller % len(job.tokens)],
        )
        for caller in range(job.callers)
    ]
    reserving, raw = _Reserving(job), _Raw(job)
    operations: dict[Kind, Operation] = {
        Kind.RESERVE: reserving,
        Kind.CREATE: raw.create,
        Kind.PUT: raw.put,
        Kind.CONTEND: raw.contend,
    }
    operation = operations[job.kind]
    await asyncio.gather(*(reserving.warm_up(*each) for each in enumerate(connections)))
    times_ms: list[float] = []
    failures: Counter[str] = Counter()
    indices = iter(range(job.count))
    cpu, machine = time.process_time(), machine_seconds()
    began = time.perf_counter()

    async def call(connection: Connection) -> None:
        for index in indices:
            started = time.perf_counter()
            if started - began > job.seconds:
                return
            try:
                failure = await operation(index, connection)
            except BrokenAnswerError as error:
                failures[str(error)] += 1
                return
            if failure:
                failures[failure] += 1
            else:
                times_ms.append((time.perf_counter() - started) * 1000)

    await asyncio.gather(*(call(connection) for connection in connections))
    seconds = time.perf_counter() - began
    cpu_s, machine_s = time.process_time() - cpu, machine_seconds() - machine
    for connection in connections:
        connection.close()
    return Outcome(
        times_ms=times_ms,
        seconds=seconds,
        failures=dict(failures.most_common(5)),
        doubles=reserving.doubles,
        cpu_s=cpu_s,
        machine_s=machine_s,
    )


def main() -> None:
    """Do one job."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    outcome = uvloop.run(_run(job))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
