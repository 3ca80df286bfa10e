"""What happens to Pods and their interfaces in a run with Services: a seed says it all. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from danm_api.kube.api import DANMEPS, PODS, RawObject
from tests.lab.chaos.controllers.actions import Action, Interface, RunPod, Write
from tests.lab.chaos.controllers.service_names import (
    APPS,
    CROWD,
    NAMESPACES,
    NETWORKS,
    POD_NAMES,
    SERVICE_NAMES,
)

_NODES: Final = ("n1", "n2")
_HOLD: Final = "test.danm.k8s.io/hold"
# No endpoint may have it.
_UNPUBLISHABLE: Final = "169.254.7.7"


@dataclass(slots=True, kw_only=True)
class PodLife:
    """Makes up what happens to Pods: each method yields the actions of one event."""

    chance: Random
    _numbers: int = 0
    _running: dict[tuple[str, str], list[Interface]] = field(default_factory=dict)

    def run(self) -> Iterator[Action]:
        """A Pod appears, if there is none of its name."""
        namespace, name = self.some_name()
        labels = {"app": self.chance.choice(APPS), "tier": self.chance.choice(("1", "2"))}
        yield self.make(namespace, name, labels)

    def change(self) -> Iterator[Action]:
        """A Pod gets another label, ends, or is ready or not."""
        namespace, name = self.some_name()
        match self.chance.randrange(8):
            case 0:
                labels = {"app": self.chance.choice((*APPS, None))}
                body: RawObject = {"metadata": {"labels": labels}}
                yield Write(verb="patch", resource=PODS, namespace=namespace, name=name, body=body)
            case 1:
                phase = self.chance.choice(("Succeeded", "Failed"))
                yield tell_status(namespace, name, phase=phase, ready=False)
            case _:
                yield tell_status(namespace, name, ready=self.chance.random() < 0.6)

    def end(self) -> Iterator[Action]:
        """A Pod gets its deletion mark, or goes at once; its interfaces go before, after or never.

        One that danmd has not removed yet must not be taken for the next Pod's of that name.
        """
        namespace, name = self.some_name()
        interfaces = self._running.get((namespace, name), [])
        if self.chance.random() < 0.5:
            yield from mark_deleted(namespace, name)
            if self.chance.random() < 0.5:
                return
        gone = [
            Write(verb="delete", resource=DANMEPS, namespace=namespace, name=each.name)
            for each in interfaces
            if self.chance.random() < 0.8
        ]
        before = self.chance.random() < 0.5
        if before:
            yield from gone
        yield from remove_pod(namespace, name)
        if self.chance.random() < 0.4:
            yield from self._run_again(namespace, name)
        if not before:
            yield from gone

    def _run_again(self, namespace: str, name: str) -> Iterator[Action]:
        """The Pod's successor of the same name may have its address, as a StatefulSet's has."""
        before = self._running.get((namespace, name), [])
        static = next((each.address for each in before if each.address), "")
        yield self.make(namespace, name, {"app": self.chance.choice(APPS)}, static=static)

    def change_interface(self) -> Iterator[Action]:
        """A DanmEp goes, stays with a deletion mark, or gets another address."""
        running = [key for key, interfaces in self._running.items() if interfaces]
        if not running:
            return
        namespace, name = self.chance.choice(running)
        interface = self.chance.choice(self._running[namespace, name])
        where = {"resource": DANMEPS, "namespace": namespace, "name": interface.name}
        match self.chance.randrange(4):
            case 0:
                yield Write(verb="delete", **where)  # type: ignore[arg-type]
            case 1:
                hold: RawObject = {"metadata": {"finalizers": [_HOLD]}}
                yield Write(verb="patch", body=hold, **where)  # type: ignore[arg-type]
                yield Write(verb="delete", **where)  # type: ignore[arg-type]
            case _:
                address = f"{self._address()}/16"
                body: RawObject = {"spec": {"Interface": {"Address": address}}}
                yield Write(verb="patch", body=body, **where)  # type: ignore[arg-type]

    def change_crowd(self) -> Iterator[Action]:
        """Much happens at once to the Service of many Pods."""
        for number in self.chance.sample(range(100), 12):
            if self.chance.random() < 0.3:
                yield from remove_pod(CROWD, f"crowd-{number}")
                yield self.make(CROWD, f"crowd-{number}", {"crowd": "yes"})
            else:
                ready = self.chance.random() < 0.7
                yield tell_status(CROWD, f"crowd-{number}", ready=ready)

    def make(
        self, namespace: str, name: str, labels: dict[str, str], *, static: str = ""
    ) -> RunPod:
        """Return a new Pod with its interfaces.

        Args:
            namespace: Its own.
            name: Its own.
            labels: By which Services select it.
            static: The address of all its interfaces; empty for new ones.
        """
        self._numbers += 1
        node = self.chance.choice(_NODES)
        spec: dict[str, Any] = {
            "containers": [{"name": "c", "image": "none"}],
            "nodeName": node,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
        }
        if self.chance.random() < 0.4:
            spec |= {"hostname": name, "subdomain": self.chance.choice(SERVICE_NAMES)}
        networks = self.chance.choices(NETWORKS, k=self.chance.choice((1, 1, 2)))
        if "crowd" in labels:
            networks = ["internal"]
        interfaces = [
            Interface(
                name=f"{name}-{self._numbers}-{index}",
                network=network,
                # A node must not publish addresses for the Pods of others.
                node=node if self.chance.random() < 0.95 else "elsewhere",
                address=static or self._some_address(),
                address6=f"fd00::{self._numbers:x}" if self.chance.random() < 0.5 else "",
            )
            for index, network in enumerate(networks)
        ]
        self._running[namespace, name] = interfaces
        return RunPod(
            namespace=namespace,
            name=name,
            body={"metadata": {"name": name, "labels": labels}, "spec": spec},
            status=_running_status(ready=self.chance.random() < 0.7),
            interfaces=tuple(interfaces),
        )

    def _some_address(self) -> str:
        chance = self.chance.random()
        return "" if chance < 0.05 else _UNPUBLISHABLE if chance < 0.07 else self._address()

    def _address(self) -> str:
        self._numbers += 1
        return f"10.77.{self._numbers // 250 % 250}.{self._numbers % 250 + 1}"

    def some_name(self) -> tuple[str, str]:
        """Return namespace and name of a Pod that there may be."""
        return self.chance.choice(NAMESPACES), self.chance.choice(POD_NAMES)


def _running_status(*, ready: bool, phase: str = "Running") -> dict[str, Any]:
    conditions = [
        {"type": "Initialized", "status": "True"},
        {"type": "Ready", "status": str(ready)},
    ]
    return {"phase": phase, "conditions": conditions}


def tell_status(namespace: str, name: str, *, ready: bool, phase: str = "Running") -> Write:
    """Return what the kubelet says of a Pod."""
    return Write(
        verb="patch",
        resource=PODS,
        namespace=namespace,
        name=name,
        body={"status": _running_status(ready=ready, phase=phase)},
        subresource="status",
    )


def mark_deleted(namespace: str, name: str) -> Iterator[Write]:
    """A Pod gets its deletion mark and stays, as while its containers end."""
    hold: RawObject = {"metadata": {"finalizers": [_HOLD]}}
    yield Write(verb="patch", resource=PODS, namespace=namespace, name=name, body=hold)
    yield Write(verb="delete", resource=PODS, namespace=namespace, name=name)


def remove_pod(namespace: str, name: str) -> Iterator[Write]:
    """A Pod goes, also one that has stayed with its deletion mark."""
    free: RawObject = {"metadata": {"finalizers": None}}
    yield Write(verb="patch", resource=PODS, namespace=namespace, name=name, body=free)
    yield Write(verb="delete", resource=PODS, namespace=namespace, name=name)
