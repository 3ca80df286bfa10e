"""What a load generator is told, and what it answers. Pure."""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a generator does."""

    RESERVE = "reserve"
    CREATE = "create"
    PUT = "put"
    CONTEND = "contend"


class PodRef(msgspec.Struct, frozen=True):
    """A Pod to reserve for."""

    name: str
    uid: str


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One load.

    Attributes:
        endpoints: ``host:port``; callers are spread evenly.
        server_name: What the certificate must name.
        authority: Who signs it, as PEM.
        tokens: The callers' tokens, spread evenly.
        callers: How many requests are under way at once.
        count: How many operations are begun at most.
        seconds: For how long operations are begun at most.
        path: Of raw objects: their collection.
        namespace: Of the owners.
        networks: Groups of networks; each reservation takes one group.
        per_network: Reservations on a group before the next one is begun.
        warm_up: The network that each caller reserves on first, unmeasured.
        pods: Owners; without any, external ones. Each has as many interfaces as it takes.
        node: The node of the Pods.
        ip: What is asked for IPv4.
        ip6: What is asked for IPv6.
    """

    kind: Kind
    endpoints: list[str]
    server_name: str
    authority: str
    tokens: list[str]
    callers: int
    count: int
    seconds: float = 600.0
    path: str = ""
    namespace: str = ""
    networks: list[list[str]] = []
    per_network: int = 1
    warm_up: str = ""
    pods: list[PodRef] = []
    node: str = ""
    ip: str = "dynamic"
    ip6: str = "none"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a load.

    Attributes:
        times_ms: Of operations that succeeded, in the order of answers.
        seconds: From the first start to the last answer.
        failures: How often each problem occurred.
        doubles: Addresses that were handed out twice.
        cpu_s: Processor time of the generator meanwhile.
        machine_s: Processor time of everything on the machine meanwhile.
    """

    times_ms: list[float]
    seconds: float
    failures: dict[str, int]
    doubles: list[str]
    cpu_s: float
    machine_s: float
