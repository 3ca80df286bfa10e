"""What happens to a node's links and to who asks for them: a seed says it all. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from danm_api.kube.api import DANMEPS, DANMNETS, NODES, RawObject
from tests.lab.chaos.controllers.actions import Action, Command, Write

NODE: Final = "n1"
NAMESPACES: Final = ("red", "blue")
_NAMES: Final = ("int", "ext", "third", "taken")
_PARENTS: Final = ("p0", "p1")
_NUMBERS: Final = (600, 601, 602, 699)
_USERS: Final = ("u0", "u1", "u2")
_MTUS: Final = (1300, 1400, 1500)
# Several at once of these, so that a parent is often as it should not be for a while.
_BETWEEN: Final = 6


def parents() -> list[str]:
    """Return commands of iproute2 that make the devices that tunnels are made over."""
    return [command for number, name in enumerate(_PARENTS) for command in _parent(name, number)]


def foreign() -> list[str]:
    """Return commands that make links of others, and the device that theirs are made over.

    One has a name that a DanmNet asks for, one a number.
    """
    return [
        "link add p9 type veth peer name q9",
        "link set p9 up",
        "link set q9 up",
        "addr add 198.18.9.1/24 dev p9",
        "link add vx_taken type veth peer name vx_other",
        "link set vx_taken mtu 1234 alias danmark",
        "link add mine type vxlan id 699 dev p9 dstport 4789 group 239.1.1.1 local 198.18.9.1",
        "link set mine up",
        "link add vx_mine type vxlan id 698 dev p9 dstport 8472 group 239.1.1.2 local 198.18.9.1",
    ]


def _parent(name: str, number: int) -> list[str]:
    return [
        f"link add {name} type veth peer name q{number}",
        f"link set q{number} up",
        f"link set {name} up",
        f"addr add 198.18.{number}.1/24 dev {name}",
    ]


@dataclass(slots=True, kw_only=True)
class LinkLife:
    """Makes up one action after the other.

    Attributes:
        netns: The network namespace that is the node.
    """

    netns: str
    chance: Random
    _aside: int = 0

    def beginning(self) -> Iterator[Action]:
        """Yield what there is at first beside links."""
        body: RawObject = {"metadata": {"name": NODE}}
        yield Write(verb="create", resource=NODES, namespace="", name=NODE, body=body)
        for namespace in NAMESPACES:
            for name, number, parent in zip(_NAMES, _NUMBERS, _PARENTS * 2, strict=True):
                options = {"host_device": parent, "vxlan": number}
                whole: RawObject = {
                    "metadata": {"name": name},
                    "spec": {"NetworkID": name, "Options": options},
                }
                yield Write(
                    verb="create", resource=DANMNETS, namespace=namespace, name=name, body=whole
                )

    def ending(self) -> Iterator[Action]:
        """Yield damage to every link, which nobody tells netwatcher of but the kernel."""
        names = list(_NAMES[:-1])
        self.chance.shuffle(names)
        for kind, name in enumerate(names):
            yield from self._damage(f"vx_{name}", kind)

    def actions(self) -> Iterator[Action]:
        """Yield actions without an end."""
        weighted: list[tuple[int, Callable[[], Iterator[Action]]]] = [
            (12, self._network_changes),
            (4, self._user_changes),
            (14, self._link_is_damaged),
            (2, self._names_are_exchanged),
            (2, self._parent_changes),
        ]
        while True:
            yield from self._any(weighted)

    def _any(self, weighted: list[tuple[int, Callable[[], Iterator[Action]]]]) -> Iterator[Action]:
        (kind,) = self.chance.choices(
            [kind for _, kind in weighted], [weight for weight, _ in weighted]
        )
        return kind()

    def _network_changes(self) -> Iterator[Action]:
        namespace, index = self.chance.choice(NAMESPACES), self.chance.randrange(len(_NAMES))
        name = _NAMES[index]
        # Mostly what contradicts nobody: else few links would come about.
        usual = self.chance.random() < 0.8
        options: dict[str, Any] = {
            "host_device": _PARENTS[index % 2] if usual else self.chance.choice(_PARENTS),
            "vxlan": _NUMBERS[index] if usual else self.chance.choice((None, *_NUMBERS)),
        }
        body: RawObject = {"spec": {"NetworkID": name, "Options": options}}
        chance = self.chance.random()
        where: dict[str, Any] = {"resource": DANMNETS, "namespace": namespace, "name": name}
        if chance < 0.15:
            yield Write(verb="delete", **where)
        elif chance < 0.4:
            yield Write(verb="patch", body=body, **where)
        else:
            yield Write(verb="create", body=body | {"metadata": {"name": name}}, **where)

    def _user_changes(self) -> Iterator[Action]:
        """A Pod of this node, or of another one, gets an interface or loses it."""
        namespace, network = self.chance.choice(NAMESPACES), self.chance.choice(_NAMES)
        user = self.chance.choice(_USERS)
        node = "elsewhere" if user == _USERS[-1] else NODE
        name = f"{network}-{user}"
        where: dict[str, Any] = {"resource": DANMEPS, "namespace": namespace, "name": name}
        if self.chance.random() < 0.8:
            yield Write(verb="delete", **where)
            return
        labels = {"danm.k8s.io/network": network, "danm.k8s.io/node": node}
        spec = {"NetworkID": network, "Host": node, "Pod": user, "Interface": {"Name": "eth0"}}
        body: RawObject = {"metadata": {"name": name, "labels": labels}, "spec": spec}
        yield Write(verb="create", body=body, **where)

    def _link_is_damaged(self) -> Iterator[Action]:
        # Nobody touches the one that is foreign.
        return self._damage(f"vx_{self.chance.choice(_NAMES[:-1])}", self.chance.randrange(4))

    def _damage(self, name: str, kind: int) -> Iterator[Action]:
        match kind:
            case 0:
                yield self._ip(f"link del {name}")
            case 1:
                yield self._ip(f"link set {name} down")
            case 2:
                yield self._ip(f"link set {name} mtu {self.chance.choice(_MTUS)}")
            case _:
                self._aside += 1
                yield self._ip(f"link set {name} down")
                yield self._ip(f"link set {name} name aside{self._aside}")

    def _names_are_exchanged(self) -> Iterator[Action]:
        one, other = (f"vx_{name}" for name in self.chance.sample(_NAMES[:-1], 2))
        for name in (one, other):
            yield self._ip(f"link set {name} down")
        for before, after in ((one, "between"), (other, one), ("between", other)):
            yield self._ip(f"link set {before} name {after}")

    def _parent_changes(self) -> Iterator[Action]:
        """A parent is gone, down or without address for a while, or changes for good."""
        number = self.chance.randrange(len(_PARENTS))
        name = _PARENTS[number]
        first, second = f"198.18.{number}.1/24", f"198.18.{number}.7/24"
        ways: tuple[tuple[list[str], list[str]], ...] = (
            ([f"link set {name} down"], [f"link set {name} up"]),
            ([f"link del {name}"], _parent(name, number)),
            ([f"addr flush dev {name} scope global"], [f"addr add {first} dev {name}"]),
            ([f"addr add {second} dev {name}", f"addr del {first} dev {name}"], []),
            ([f"link set {name} mtu {self.chance.choice(_MTUS)}"], []),
        )
        before, after = self.chance.choice(ways)
        yield from map(self._ip, before)
        for _ in range(self.chance.randrange(_BETWEEN)):
            yield from self._any([(1, self._network_changes), (1, self._link_is_damaged)])
        yield from map(self._ip, after)

    def _ip(self, command: str) -> Command:
        return Command(argv=("ip", "-n", self.netns, *command.split()))
