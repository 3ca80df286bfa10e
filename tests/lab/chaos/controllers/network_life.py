"""What happens to DanmNets and to who uses them in a run: a seed says it all. Pure.

Names, devices and numbers are few, so that DanmNets often contradict each other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Literal

from danm_api.kube.api import DANMEPS, DANMNETS, RawObject
from tests.lab.chaos.controllers.actions import Action, Write
from tests.lab.chaos.controllers.network_events import TOLD

NAMESPACES: Final = ("red", "blue")
NAMES: Final = ("int", "ext", "third", "fourth", "fifth", "sixth")
_DEVICES: Final = ("ens3", "ens4", "ext.300")
_TYPES: Final = ("ipvlan", "ipvlan", "ipvlan", "IPVLAN", "macvlan", "flannel")
_USERS: Final = tuple(f"user-{number}" for number in range(4))

# Each breaks a rule by itself, whatever else the spec says.
_FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"cidr": None, "allocation_pool": {"start": "10.1.0.5", "end": "10.1.0.9"}},
    {"cidr": "10.1.0.0/24", "allocation_pool": {"start": "10.1.0.9", "end": "10.1.0.5"}},
    {"cidr": "10.1.0.0/24", "allocation_pool": {"start": "10.1.0.9", "end": "10.1.1.5"}},
    {"cidr": "10.1.0.0/33", "allocation_pool": None},
    {"cidr": "10.1.0.0/24", "allocation_pool": None, "routes": {"10.9.0.0/16": "10.2.0.1"}},
    {"vlan": 300, "vxlan": 600},
    {"host_device": None, "vlan": 300, "vxlan": None},
    {"host_device": "a-device-with-a-long-name"},
    {"rt_tables": 254},
    {"container_prefix": "lo"},
)

# Those of the epilogue are on a device and of numbers that nobody else has.
_QUIET_DEVICE: Final = "ens9"
_MOVED: Final = "told-move"
_MENDED: Final = "told-mend"
_USER: Final = "told-move-user"


def epilogue() -> Iterator[Sequence[Action]]:
    """Yield steps that each make one Event of two DanmNets, if nothing else happens.

    One is accepted, moved while it is used, and left by its user; the other refused, and mended.
    """
    namespace = NAMESPACES[0]
    yield (
        Write(verb="delete", resource=DANMEPS, namespace=namespace, name=_USER),
        *(
            Write(verb="delete", resource=DANMNETS, namespace=namespace, name=name)
            for name in (_MOVED, _MENDED)
        ),
        _quiet("create", _MOVED, "Valid", vlan=900),
        _quiet("create", _MENDED, "Refused", vlan=910, rt_tables=254),
        _user(namespace, _MOVED, _USER),
    )
    yield (
        _quiet("patch", _MOVED, "Valid,ChangeWaits", vlan=901),
        _quiet("patch", _MENDED, "Refused,Valid", vlan=910, rt_tables=None),
    )
    yield (
        _quiet("patch", _MOVED, "Valid,ChangeWaits,InForce", vlan=901),
        Write(verb="delete", resource=DANMEPS, namespace=namespace, name=_USER),
    )


def _quiet(verb: Literal["create", "patch"], name: str, told: str, **options: object) -> Write:
    return Write(
        verb=verb,
        resource=DANMNETS,
        namespace=NAMESPACES[0],
        name=name,
        body={
            "metadata": {"name": name, "annotations": {TOLD: told}},
            "spec": {
                "NetworkID": name,
                "NetworkType": "ipvlan",
                "Options": {"host_device": _QUIET_DEVICE, **options},
            },
        },
    )


def _user(namespace: str, network: str, name: str) -> Write:
    body: RawObject = {
        "metadata": {"name": name, "labels": {"danm.k8s.io/network": network}},
        "spec": {"NetworkID": network, "Pod": name, "Interface": {"Name": "eth0"}},
    }
    return Write(verb="create", resource=DANMEPS, namespace=namespace, name=name, body=body)


@dataclass(slots=True, kw_only=True)
class NetworkLife:
    """Makes up one action after the other."""

    chance: Random

    def actions(self) -> Iterator[Action]:
        """Yield actions without an end."""
        weighted: list[tuple[int, Callable[[], Action]]] = [
            (6, self._make),
            (8, self._edit),
            (2, self._remove),
            (2, self._mark),
            (1, self._spoil),
            (4, self._use),
            (4, self._leave),
        ]
        kinds = [kind for _, kind in weighted]
        weights = [weight for weight, _ in weighted]
        while True:
            (kind,) = self.chance.choices(kinds, weights)
            yield kind()

    def _make(self) -> Action:
        namespace, name = self._network()
        body: RawObject = {"metadata": {"name": name}, "spec": self._spec(name)}
        return Write(verb="create", resource=DANMNETS, namespace=namespace, name=name, body=body)

    def _edit(self) -> Action:
        namespace, name = self._network()
        return self._patch(namespace, name, {"spec": self._spec(name)})

    def _remove(self) -> Action:
        namespace, name = self._network()
        return Write(verb="delete", resource=DANMNETS, namespace=namespace, name=name)

    def _mark(self) -> Action:
        """A user writes what only the validator may: it counts for nothing."""
        namespace, name = self._network()
        mark = self.chance.choice(("True", "False", None))
        return self._patch(namespace, name, {"spec": {"Validation": mark}})

    def _spoil(self) -> Action:
        """Somebody takes the verdict away."""
        namespace, name = self._network()
        return Write(
            verb="patch",
            resource=DANMNETS,
            namespace=namespace,
            name=name,
            body={"status": {"conditions": None}},
            subresource="status",
        )

    def _use(self) -> Action:
        """A Pod gets an interface: a change of what it hangs on has to wait for its end."""
        namespace, network = self._network()
        return _user(namespace, network, f"{network}-{self.chance.choice(_USERS)}")

    def _leave(self) -> Action:
        namespace, network = self._network()
        name = f"{network}-{self.chance.choice(_USERS)}"
        return Write(verb="delete", resource=DANMEPS, namespace=namespace, name=name)

    def _network(self) -> tuple[str, str]:
        return self.chance.choice(NAMESPACES), self.chance.choice(NAMES)

    @staticmethod
    def _patch(namespace: str, name: str, patch: RawObject) -> Write:
        return Write(verb="patch", resource=DANMNETS, namespace=namespace, name=name, body=patch)

    def _spec(self, name: str) -> dict[str, Any]:
        """Return a whole spec: what a merge patch leaves out would stay."""
        subnet = self.chance.choice((None, "10.1.0.0/24", "10.1.0.0/24", "10.2.0.0/24"))
        pool = None
        if subnet is not None and self.chance.random() < 0.8:
            first = self.chance.randrange(5, 200)
            prefix = subnet.removesuffix("0/24")
            last = first + self.chance.randrange(40)
            pool = {"start": f"{prefix}{first}", "end": f"{prefix}{last}"}
        options: dict[str, Any] = {
            "host_device": self.chance.choice(_DEVICES),
            "cidr": subnet,
            "allocation_pool": pool,
            "routes": None,
            "rt_tables": self.chance.choice((None, 100)),
            "vlan": None,
            "vxlan": None,
            "container_prefix": self.chance.choice((None, "net")),
        }
        match self.chance.randrange(3):
            case 0:
                options["vlan"] = self.chance.choice((300, 301))
            case 1:
                options["vxlan"] = self.chance.choice((600, 601))
        spec = {"NetworkID": name, "NetworkType": self.chance.choice(_TYPES), "Options": options}
        if self.chance.random() < 0.15:
            options |= self.chance.choice(_FAULTS)
        elif self.chance.random() < 0.05:
            spec |= self.chance.choice(({"NetworkID": "another"}, {"NetworkType": "../x"}))
        return spec
