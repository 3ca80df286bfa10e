"""What happens to Services, and beside them to Pods, in a run: a seed says it all. Pure."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from danm_api.kube.api import ENDPOINT_SLICES, ENDPOINTS, SERVICES, RawObject
from tests.lab.chaos.controllers.actions import Action, Damage, Write
from tests.lab.chaos.controllers.pod_life import PodLife, mark_deleted, tell_status
from tests.lab.chaos.controllers.service_model import (
    ENDPOINTS_MANAGED_BY,
    MANAGED_BY,
    SKIP_MIRROR,
    SVCWATCHER,
)
from tests.lab.chaos.controllers.service_names import (
    APPS,
    CROWD,
    NAMESPACES,
    NETWORKS,
    POD_NAMES,
    SERVICE_NAMES,
)
from tests.lab.chaos.controllers.service_wanted import NETWORK, SELECTOR, TOLERATE

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
    _pods: PodLife = field(init=False)

    def __post_init__(self) -> None:
        """Have Pods by the same chance."""
        self._pods = PodLife(chance=self.chance)

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
            yield self._pods.make(CROWD, f"crowd-{number}", {"crowd": "yes"})
        for namespace in NAMESPACES:
            for name in SERVICE_NAMES:
                yield self._good_service(namespace, name)
            for name in POD_NAMES:
                labels = {"app": self.chance.choice(APPS), "tier": "1"}
                yield self._pods.make(namespace, name, labels)

    def ending(self) -> Iterator[Action]:
        """Yield what a controller has to follow without anything else that wakes it up."""
        for _ in range(6):
            yield from self._damage()
        for _ in range(6):
            namespace, name = self._pods.some_name()
            yield tell_status(namespace, name, ready=True)
            yield from mark_deleted(namespace, name)
            yield tell_status(*self._pods.some_name(), ready=self.chance.random() < 0.5)

    def actions(self) -> Iterator[Action]:
        """Yield actions without an end."""
        weighted: list[tuple[int, Callable[[], Iterator[Action]]]] = [
            (5, self._make_service),
            (7, self._change_service),
            (2, self._remove_service),
            (8, self._pods.run),
            (12, self._pods.change),
            (6, self._pods.end),
            (3, self._pods.change_interface),
            (4, self._damage),
            (2, self._pods.change_crowd),
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
            NETWORK: self.chance.choice(NETWORKS),
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
                spec["selector"] = {"app": self.chance.choice(APPS)}
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
                    NETWORK: self.chance.choice((*NETWORKS, "none-of-that-name", "No Name!")),
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
                spec["selector"] = {"app": self.chance.choice(APPS)} if has_one else None
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

    def _selector(self) -> str:
        wanted = {"app": self.chance.choice(APPS)}
        if self.chance.random() < 0.3:
            wanted["tier"] = "1"
        return json.dumps(wanted)

    def _good_service(self, namespace: str, name: str) -> Write:
        annotations = {SELECTOR: self._selector(), NETWORK: self.chance.choice(NETWORKS)}
        return _service(namespace, name, annotations, {"ports": self.chance.choice(_PORTS)})

    def _service_name(self) -> tuple[str, str]:
        return self.chance.choice(NAMESPACES), self.chance.choice(SERVICE_NAMES)


def _service(namespace: str, name: str, annotations: dict[str, str], spec: dict[str, Any]) -> Write:
    whole = {"clusterIP": "None"} | spec
    body: RawObject = {"metadata": {"name": name, "annotations": annotations}, "spec": whole}
    return Write(verb="create", resource=SERVICES, namespace=namespace, name=name, body=body)
