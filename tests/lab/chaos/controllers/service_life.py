"""What happens to Services, Pods and interfaces in a run: a seed says it all. Pure.

Names are few, so that an object often meets what is left of its predecessor.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from danm_api.kube.api import (
    DANMEPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    PODS,
    SERVICES,
    RawObject,
)
from tests.lab.chaos.controllers.actions import Action, Damage, Interface, RunPod, Write
from tests.lab.chaos.controllers.service_model import (
    ENDPOINTS_MANAGED_BY,
    MANAGED_BY,
    NETWORK,
    SELECTOR,
    SKIP_MIRROR,
    SVCWATCHER,
    TOLERATE,
)

NAMESPACES: Final = ("red", "blue", "crowd")
SERVICE_NAMES: Final = tuple(f"s{number}" for number in range(6))
POD_NAMES: Final = tuple(f"p{number}" for number in range(14))
CROWD: Final = "crowd"
_NETWORKS: Final = ("internal", "external")
_NODES: Final = ("n1", "n2")
_APPS: Final = ("x", "y")
_HOLD: Final = "test.danm.k8s.io/hold"
_OTHER: Final = "others.example.com"

_PORTS: Final[tuple[list[dict[str, Any]], ...]] = (
    [],
    [{"port": 80}],
    [
        {"name": "sig", "port": 3868, "protocol": "SCTP"},
        {"name": "web", "port": 80, "targetPort": 8080, "appProtocol": "kubernetes.io/h2c"},
    ],
    [
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ],
)
_FAMILIES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]},
    {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]},
    {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]},
)
# What no Pod can be selected by.
_BAD_SELECTORS: Final = ("{", "[]", "{}", '{"app": 1}', '{"app": "x y"}', "null", '"x"')
_OURS: Final = {
    ENDPOINT_SLICES.plural: {MANAGED_BY: SVCWATCHER},
    ENDPOINTS.plural: {ENDPOINTS_MANAGED_BY: "svcwatcher"},
}
# No endpoint may have it.
_UNPUBLISHABLE: Final = "169.254.7.7"


@dataclass(slots=True, kw_only=True)
class ServiceLife:
    """Makes up one action after the other.

    Attributes:
        hindered: Services, as namespace and name, whose names somebody else's objects may have had
            in this round. svcwatcher looks for the end of that every minute only.
    """

    chance: Random
    hindered: set[tuple[str, str]] = field(default_factory=set)
    _ever_hindered: set[tuple[str, str]] = field(default_factory=set)
    _numbers: int = 0
    _running: dict[tuple[str, str], list[Interface]] = field(default_factory=dict)

    def begin(self, seed: int) -> None:
        """Begin a round; what was made before is still there."""
        self.chance.seed(seed)
        self.hindered.clear()

    def beginning(self, *, crowd: int) -> Iterator[Action]:
        """Yield what there is at first: many Pods of one Service, and all that has a name.

        Args:
            crowd: How many Pods one Service has.
        """
        annotations = {SELECTOR: '{"crowd": "yes"}', NETWORK: "internal"}
        yield _service(CROWD, CROWD, annotations, {"ports": _PORTS[2]})
        for number in range(crowd):
            yield self._pod(CROWD, f"crowd-{number}", {"crowd": "yes"})
        for namespace in NAMESPACES:
            for name in SERVICE_NAMES:
                yield self._good_service(namespace, name)
            for name in POD_NAMES:
                yield self._pod(namespace, name, {"app": self.chance.choice(_APPS), "tier": "1"})

    def ending(self) -> Iterator[Action]:
        """Yield what a controller has to follow without anything else that wakes it up."""
        for _ in range(6):
            yield from self._damage()
        for _ in range(6):
            namespace, name = self._pod_name()
            yield _status(namespace, name, ready=True)
            yield from _pod_is_marked(namespace, name)
            yield _status(*self._pod_name(), ready=self.chance.random() < 0.5)

    def actions(self) -> Iterator[Action]:
        """Yield actions without an end."""
        weighted: list[tuple[int, Callable[[], Iterator[Action]]]] = [
            (5, self._make_service),
            (7, self._change_service),
            (2, self._remove_service),
            (8, self._run_pod),
            (12, self._change_pod),
            (6, self._end_pod),
            (3, self._change_interface),
            (4, self._damage),
            (2, self._change_crowd),
            (1, self._hinder),
        ]
        kinds = [kind for _, kind in weighted]
        weights = [weight for weight, _ in weighted]
        while True:
            (kind,) = self.chance.choices(kinds, weights)
            yield from kind()

    def _make_service(self) -> Iterator[Action]:
        namespace, name = self._service_name()
        annotations = {
            SELECTOR: self._selector(),
            NETWORK: self.chance.choice(_NETWORKS),
        }
        spec: dict[str, Any] = {"ports": self.chance.choice(_PORTS)}
        spec |= self.chance.choice(_FAMILIES)
        match self.chance.randrange(12):
            case 0:
                del annotations[self.chance.choice((SELECTOR, NETWORK))]
            case 1:
                annotations[SELECTOR] = self.chance.choice(_BAD_SELECTORS)
            case 2:
                annotations = {}
            case 3:
                spec |= {"clusterIP": None, "ports": [{"port": 80}], "ipFamilies": ["IPv4"]}
                spec["ipFamilyPolicy"] = "SingleStack"
            case 4:
                spec["publishNotReadyAddresses"] = True
            case 5:
                annotations[TOLERATE] = self.chance.choice(("true", "True", "false"))
            case 6:
                spec["selector"] = {"app": self.chance.choice(_APPS)}
                self._may_be_hindered(namespace, name)
        yield _service(namespace, name, annotations, spec)

    def _change_service(self) -> Iterator[Action]:
        namespace, name = self._service_name()
        annotations: dict[str, str | None] = {}
        spec: dict[str, Any] = {}
        match self.chance.randrange(11):
            case 0:
                annotations[SELECTOR] = self.chance.choice(_BAD_SELECTORS)
            case 1:
                annotations[self.chance.choice((SELECTOR, NETWORK))] = None
            case 2:
                annotations |= {SELECTOR: None, NETWORK: None}
            case 3 | 4:
                annotations |= {SELECTOR: self._selector()}
            case 5 | 6:
                annotations |= {
                    NETWORK: self.chance.choice((*_NETWORKS, "none-of-that-name", "No Name!")),
                    SELECTOR: self._selector(),
                }
            case 7:
                spec["publishNotReadyAddresses"] = self.chance.random() < 0.5
            case 8:
                annotations[TOLERATE] = self.chance.choice(("true", "TRUE", "yes", None))
            case 9:
                spec["ports"] = self.chance.choice(_PORTS)
            case _:
                self._may_be_hindered(namespace, name)
                has_one = self.chance.random() < 0.4
                spec["selector"] = {"app": self.chance.choice(_APPS)} if has_one else None
        patch = {"metadata": {"annotations": annotations}, "spec": spec}
        yield Write(verb="patch", resource=SERVICES, namespace=namespace, name=name, body=patch)

    def _remove_service(self) -> Iterator[Action]:
        namespace, name = self._service_name()
        if (namespace, name) in self._ever_hindered:
            # Kubernetes removes Endpoints with their Service, whoever made them.
            self._may_be_hindered(namespace, name)
        yield Write(verb="delete", resource=SERVICES, namespace=namespace, name=name)
        if self.chance.random() < 0.5:
            # At once again, so that its uid is all that is new.
            yield self._good_service(namespace, name)

    def _run_pod(self) -> Iterator[Action]:
        namespace, name = self._pod_name()
        labels = {"app": self.chance.choice(_APPS), "tier": self.chance.choice(("1", "2"))}
        yield self._pod(namespace, name, labels)

    def _change_pod(self) -> Iterator[Action]:
        namespace, name = self._pod_name()
        match self.chance.randrange(8):
            case 0:
                labels = {"app": self.chance.choice((*_APPS, None))}
                body: RawObject = {"metadata": {"labels": labels}}
                yield Write(verb="patch", resource=PODS, namespace=namespace, name=name, body=body)
            case 1:
                phase = self.chance.choice(("Succeeded", "Failed"))
                yield _status(namespace, name, phase=phase, ready=False)
            case _:
                yield _status(namespace, name, ready=self.chance.random() < 0.6)

    def _end_pod(self) -> Iterator[Action]:
        """A Pod gets its deletion mark, or goes at once; its interfaces go before, after or never.

        One that danmd has not removed yet must not be taken for the next Pod's of that name.
        """
        namespace, name = self._pod_name()
        interfaces = self._running.get((namespace, name), [])
        if self.chance.random() < 0.5:
            yield from _pod_is_marked(namespace, name)
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
        yield from _pod_goes(namespace, name)
        if self.chance.random() < 0.4:
            yield from self._run_again(namespace, name)
        if not before:
            yield from gone

    def _run_again(self, namespace: str, name: str) -> Iterator[Action]:
        """The Pod's successor of the same name may have its address, as a StatefulSet's has."""
        before = self._running.get((namespace, name), [])
        static = next((each.address for each in before if each.address), "")
        yield self._pod(namespace, name, {"app": self.chance.choice(_APPS)}, static=static)

    def _change_interface(self) -> Iterator[Action]:
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

    def _change_crowd(self) -> Iterator[Action]:
        """Much happens at once to the Service of many Pods."""
        for number in self.chance.sample(range(100), 12):
            if self.chance.random() < 0.3:
                yield from _pod_goes(CROWD, f"crowd-{number}")
                yield self._pod(CROWD, f"crowd-{number}", {"crowd": "yes"})
            else:
                ready = self.chance.random() < 0.7
                yield _status(CROWD, f"crowd-{number}", ready=ready)

    def _damage(self) -> Iterator[Action]:
        resource = self.chance.choice((ENDPOINT_SLICES, ENDPOINTS))
        labels = _OURS[resource.plural]
        which = self.chance.random()
        if self.chance.random() < 0.4:
            yield Damage(resource=resource, labels=labels, chance=which)
            return
        patches: list[dict[str, Any]] = [{"metadata": {"ownerReferences": None}}]
        if resource == ENDPOINT_SLICES:
            patches += [
                {"endpoints": []},
                {"endpoints": [{"addresses": ["10.250.0.1"]}], "addressType": "IPv4"},
                {"ports": [{"name": "wrong", "port": 1}]},
                {"metadata": {"labels": {"kubernetes.io/service-name": "nobody"}}},
            ]
        else:
            patches += [{"subsets": []}, {"metadata": {"labels": {SKIP_MIRROR: None}}}]
        patch = self.chance.choice(patches)
        copy = resource == ENDPOINT_SLICES and self.chance.random() < 0.3
        yield Damage(
            resource=resource,
            labels=labels,
            chance=which,
            patch={} if copy else patch,
            copy=copy,
        )

    def _hinder(self) -> Iterator[Action]:
        """Somebody else's Endpoints have the name of ours, or go; what Kubernetes left goes."""
        namespace, name = self._service_name()
        self._may_be_hindered(namespace, name)
        if self.chance.random() < 0.5:
            yield Write(verb="delete", resource=ENDPOINTS, namespace=namespace, name=name)
            return
        body: RawObject = {"metadata": {"name": name, "labels": {"by": "others"}}}
        yield Write(verb="create", resource=ENDPOINTS, namespace=namespace, name=name, body=body)

    def _may_be_hindered(self, namespace: str, name: str) -> None:
        self.hindered.add((namespace, name))
        self._ever_hindered.add((namespace, name))

    def _pod(
        self, namespace: str, name: str, labels: dict[str, str], *, static: str = ""
    ) -> RunPod:
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
        networks = self.chance.choices(_NETWORKS, k=self.chance.choice((1, 1, 2)))
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
            status=_pod_status(ready=self.chance.random() < 0.7),
            interfaces=tuple(interfaces),
        )

    def _some_address(self) -> str:
        chance = self.chance.random()
        return "" if chance < 0.05 else _UNPUBLISHABLE if chance < 0.07 else self._address()

    def _address(self) -> str:
        self._numbers += 1
        return f"10.77.{self._numbers // 250 % 250}.{self._numbers % 250 + 1}"

    def _selector(self) -> str:
        wanted = {"app": self.chance.choice(_APPS)}
        if self.chance.random() < 0.3:
            wanted["tier"] = "1"
        return json.dumps(wanted)

    def _good_service(self, namespace: str, name: str) -> Write:
        annotations = {SELECTOR: self._selector(), NETWORK: self.chance.choice(_NETWORKS)}
        return _service(namespace, name, annotations, {"ports": self.chance.choice(_PORTS)})

    def _service_name(self) -> tuple[str, str]:
        return self.chance.choice(NAMESPACES), self.chance.choice(SERVICE_NAMES)

    def _pod_name(self) -> tuple[str, str]:
        return self.chance.choice(NAMESPACES), self.chance.choice(POD_NAMES)


def _service(namespace: str, name: str, annotations: dict[str, str], spec: dict[str, Any]) -> Write:
    whole = {"clusterIP": "None"} | spec
    body: RawObject = {"metadata": {"name": name, "annotations": annotations}, "spec": whole}
    return Write(verb="create", resource=SERVICES, namespace=namespace, name=name, body=body)


def _pod_status(*, ready: bool, phase: str = "Running") -> dict[str, Any]:
    conditions = [
        {"type": "Initialized", "status": "True"},
        {"type": "Ready", "status": str(ready)},
    ]
    return {"phase": phase, "conditions": conditions}


def _status(namespace: str, name: str, *, ready: bool, phase: str = "Running") -> Write:
    return Write(
        verb="patch",
        resource=PODS,
        namespace=namespace,
        name=name,
        body={"status": _pod_status(ready=ready, phase=phase)},
        subresource="status",
    )


def _pod_is_marked(namespace: str, name: str) -> Iterator[Write]:
    """A Pod gets its deletion mark and stays, as while its containers end."""
    hold: RawObject = {"metadata": {"finalizers": [_HOLD]}}
    yield Write(verb="patch", resource=PODS, namespace=namespace, name=name, body=hold)
    yield Write(verb="delete", resource=PODS, namespace=namespace, name=name)


def _pod_goes(namespace: str, name: str) -> Iterator[Write]:
    free: RawObject = {"metadata": {"finalizers": None}}
    yield Write(verb="patch", resource=PODS, namespace=namespace, name=name, body=free)
    yield Write(verb="delete", resource=PODS, namespace=namespace, name=name)


def foreign() -> Iterator[Write]:
    """Yield what others make: nobody ever changes it in a run."""
    for namespace in NAMESPACES:
        yield from _foreign_in(namespace)


def _foreign_in(namespace: str) -> Iterator[Write]:
    """Names and labels come near to svcwatcher's own."""
    name = "others"
    ports = [{"port": 443}]
    service: RawObject = {
        "metadata": {"name": name, "labels": {"danm.k8s.io/network": "internal"}},
        "spec": {"clusterIP": "None", "ports": ports},
    }
    yield Write(verb="create", resource=SERVICES, namespace=namespace, name=name, body=service)
    endpoints: RawObject = {
        "metadata": {"name": name, "labels": {"danm.k8s.io/managed-by": "others"}},
        "subsets": [{"addresses": [{"ip": "10.9.9.9"}], "ports": ports}],
    }
    yield Write(verb="create", resource=ENDPOINTS, namespace=namespace, name=name, body=endpoints)
    for service_name, manager in ((name, _OTHER), ("s0", _OTHER), ("s1", ""), (CROWD, "danm")):
        labels = {"kubernetes.io/service-name": service_name}
        if manager:
            labels[MANAGED_BY] = manager
        slice_name = f"{service_name}-ipv4-0-0{len(manager)}abcdef"
        slice_: RawObject = {
            "metadata": {"name": slice_name, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.9.9.8"]}],
            "ports": ports,
        }
        yield Write(
            verb="create",
            resource=ENDPOINT_SLICES,
            namespace=namespace,
            name=slice_name,
            body=slice_,
        )
