"""Two Pods of two nodes that send each other packets and look a Service up, and what they miss."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.e2e import talker
from tests.e2e.conftest import DEMO_IMAGE, Tenant, eventually
from tests.lab.cluster import pod_exec
from tests.lab.errors import LabError
from tests.lab.topology import CLUSTER_DOMAIN, NODES

_STATE: Final = "/tmp/talker.json"  # noqa: S108 - in the Pod
_STOP: Final = "/tmp/stop"  # noqa: S108 - in the Pod
_PORT: Final = 4000
_LABEL: Final = "talker"
_SERVICE: Final = "talkers"
_RUNNING_S: Final = 180.0


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of the packets of one source; ``first`` and ``last`` inclusive."""

    first: int
    last: int
    count: int

    @property
    def gaps(self) -> int:
        """How many between the first and the last have not come."""
        return self.last - self.first + 1 - self.count


class TalkerState(msgspec.Struct, frozen=True, kw_only=True):
    """What a Pod has seen; see talker.py."""

    sent: dict[str, int]
    refused: int
    again: int
    gaps: list[tuple[float, int, str]]
    overruns: int
    received: dict[str, Received]
    looked_up: int
    unanswered: int
    wrong: int
    examples: list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkCounts:
    """What both Pods have seen.

    Attributes:
        received: Packets that came.
        lost: Packets that did not, though later ones did.
        overruns: Packets that did, and that a Pod was too slow to take: no network's fault.
        looked_up: Answered look-ups, from the first right one on.
        wrong: Those with other addresses than the Pods'.
        unanswered: Look-ups without an answer of the name server within 5 s.
    """

    received: int
    lost: int
    overruns: int
    looked_up: int
    wrong: int
    unanswered: int


def talk_counts(states: Sequence[TalkerState]) -> TalkCounts:
    """Add up what Pods have seen. Pure."""
    gaps = [sum(each.gaps for each in state.received.values()) for state in states]
    return TalkCounts(
        received=sum(each.count for state in states for each in state.received.values()),
        lost=sum(max(count - state.overruns, 0) for count, state in zip(gaps, states, strict=True)),
        overruns=sum(state.overruns for state in states),
        looked_up=sum(state.looked_up for state in states),
        wrong=sum(state.wrong for state in states),
        unanswered=sum(state.unanswered for state in states),
    )


def told_gaps(states: Mapping[str, TalkerState]) -> list[str]:
    """Say when packets did not come, and how many each Pod could not even send. Pure."""
    gaps = sorted(
        (at, missing, source, pod)
        for pod, each in states.items()
        for at, missing, source in each.gaps
    )
    return [
        f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} {pod}: {missing} missing from {source}"
        for at, missing, source, pod in gaps
    ] + [f"{pod}: {each.refused} could not be sent" for pod, each in states.items() if each.refused]


def missed_at_the_end(states: Mapping[str, TalkerState], owners: Mapping[str, str]) -> int:
    """Return how many of the last packets have not come, when nobody sends any more. Pure.

    Args:
        states: By Pod.
        owners: The Pod of each address.
    """
    missed = 0
    for pod, state in states.items():
        for source, flow in state.received.items():
            sent = states[owners[source]].sent
            (last,) = (
                number
                for peer, number in sent.items()
                if owners[peer] == pod and _same(peer, source)
            )
            missed += last - flow.last
    return missed


def _same(one: str, other: str) -> bool:
    """Say whether two addresses are of one network: all here have 24 bits."""
    return one.rpartition(".")[0] == other.rpartition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """The Pods ``talker-1`` and ``talker-2``, and the Service that finds them.

    Attributes:
        tenant: Their namespace.
        eth0: The network of their eth0, which leads to the cluster's name server.
        prefixes: The first three bytes of the addresses of each network over which they talk.
        served: The network of the Service, one of these.
    """

    tenant: Tenant
    eth0: str
    prefixes: Mapping[str, str]
    served: str

    def start(self) -> None:
        """Start both, and wait until every packet and every look-up arrives."""
        self.tenant.apply(self._service(), *(self._pod(number) for number in self._numbers))
        eventually(self._is_going, "Packets and look-ups arrive", _RUNNING_S)

    def states(self) -> dict[str, TalkerState]:
        """Return what each Pod has seen."""
        return {self._name(number): self._state(number) for number in self._numbers}

    def counts(self) -> TalkCounts:
        """Return what both have seen."""
        return talk_counts(list(self.states().values()))

    def stop(self) -> int:
        """Let no more be sent, and return how many of the last packets do not come."""
        for number in self._numbers:
            self._run(number, "touch", _STOP)
        before: dict[str, TalkerState] = {}

        def is_quiet() -> bool:
            nonlocal before
            now = self.states()
            quiet = bool(before) and all(
                (now[pod].sent, now[pod].received) == (state.sent, state.received)
                for pod, state in before.items()
            )
            before = now
            return quiet

        eventually(is_quiet, "Nothing is on its way any more")
        return missed_at_the_end(before, self._owners())

    @property
    def _numbers(self) -> range:
        return range(1, len(NODES) + 1)

    @staticmethod
    def _name(number: int) -> str:
        return f"talker-{number}"

    def _addresses(self, number: int) -> dict[str, str]:
        return {network: f"{prefix}.{200 + number}" for network, prefix in self.prefixes.items()}

    def _owners(self) -> dict[str, str]:
        return {
            address: self._name(number)
            for number in self._numbers
            for address in self._addresses(number).values()
        }

    def _is_going(self) -> bool:
        if any(self.tenant.phase(self._name(number)) != "Running" for number in self._numbers):
            return False
        try:
            states = self.states().values()
        except LabError:
            # A program that has just started has told nothing yet.
            return False
        return all(len(each.received) == len(self.prefixes) and each.looked_up for each in states)

    def _state(self, number: int) -> TalkerState:
        return msgspec.json.decode(self._run(number, "cat", _STATE), type=TalkerState)

    def _run(self, number: int, *argv: str) -> str:
        return pod_exec(self.tenant.cluster, self.tenant.namespace, self._name(number), argv)

    def _service(self) -> dict[str, Any]:
        annotations = {
            "danm.k8s.io/selector": json.dumps({"app": _LABEL}),
            "danm.k8s.io/network": self.served,
        }
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": _SERVICE, "annotations": annotations},
            "spec": {"clusterIP": "None"},
        }

    def _pod(self, number: int) -> dict[str, Any]:
        peers = [other for other in self._numbers if other != number]
        config = {
            "port": _PORT,
            "peers": [each for other in peers for each in self._addresses(other).values()],
            "name": f"{_SERVICE}.{self.tenant.namespace}.svc.{CLUSTER_DOMAIN}.",
            "expected": [self._addresses(each)[self.served] for each in self._numbers],
            "state": _STATE,
            "stop": _STOP,
        }
        attachments = [{"network": self.eth0, "ip": "dynamic"}] + [
            {"network": network, "ip": f"{address}/24"}
            for network, address in self._addresses(number).items()
        ]
        container = {
            "name": "talker",
            "image": DEMO_IMAGE,
            "command": ["python3", "-c", Path(talker.__file__).read_text(), json.dumps(config)],
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self._name(number),
                "labels": {"app": _LABEL},
                "annotations": {"danm.k8s.io/interfaces": json.dumps(attachments)},
            },
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": NODES[number - 1].name},
                "containers": [container],
                # Its counts would begin anew.
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1,
            },
        }
