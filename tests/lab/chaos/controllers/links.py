"""The node role of netwatcher as the subject of a run: two of them on one node.

The node is a network namespace of this machine, so links are of the kinds that its kernel has.
"""

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from typing import Any, ClassVar
from uuid import uuid4

import msgspec

# Run as `python -m`: the import says that it is needed.
import netwatcher.__main__ as _program
from danm_api.kube.api import DANMEPS, DANMNETS, DANMNODES, Resource
from tests.lab.chaos.controllers.actions import Action, Write
from tests.lab.chaos.controllers.deck import WITHOUT_LEADER
from tests.lab.chaos.controllers.facts import DanmEp, Difference, read
from tests.lab.chaos.controllers.link_facts import DanmNode, HostLink, Node
from tests.lab.chaos.controllers.link_life import (
    NAMESPACES,
    NODE,
    LinkLife,
    foreign,
    parents,
)
from tests.lab.chaos.controllers.link_model import differences
from tests.lab.chaos.controllers.network_facts import DanmNet
from tests.lab.chaos.controllers.networks import NetworkSubject
from tests.lab.chaos.controllers.subject import Controller
from tests.lab.chaos.controllers.view import View
from tests.lab.chaos.schedule import Card
from tests.lab.own_network import leashed_netns


@dataclass(kw_only=True)
class LinkSubject:
    """A node's links."""

    netns: str = field(default_factory=lambda: f"danm-chaos-{uuid4().hex[:8]}")
    _foreign: tuple[HostLink, ...] = ()

    deck: ClassVar[Sequence[Card]] = WITHOUT_LEADER
    namespaces: ClassVar[Sequence[str]] = NAMESPACES
    kinds: ClassVar[Sequence[Resource]] = (DANMNETS, DANMEPS, DANMNODES)
    written: ClassVar[Sequence[Resource]] = (DANMNODES,)
    # What stays of a DanmNode that said the same before is written again every second at most.
    patience_s: ClassVar[float] = 0.0

    @cached_property
    def controller(self) -> Controller:
        """Return two netwatchers of one node."""
        return Controller(
            name="netwatcher",
            command=(_program.__package__ or "", "node", f"--node-name={NODE}"),
            account="danm-netwatcher",
            rbac=("namespace/namespace.yaml", "netwatcher/rbac.yaml"),
            replicas=2,
            netns=self.netns,
            # Somebody has to say which DanmNets are in force.
            beside=(NetworkSubject.controller,),
        )

    @cached_property
    def _life(self) -> LinkLife:
        return LinkLife(netns=self.netns, chance=Random(0))  # noqa: S311  (no secret)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Make the node, and what others have on it."""
        with leashed_netns(self.netns):
            for command in ("link set lo up", *parents(), *foreign()):
                _ip("-n", self.netns, *command.split())
            self._foreign = tuple(
                link
                for link in _links(self._seen())
                if link.ifname in {"p9", "vx_taken", "vx_other", "mine", "vx_mine"}
            )
            yield

    def begin(self, seed: int) -> None:
        """Begin a round."""
        self._life.chance.seed(seed)

    def foreign(self) -> Iterator[Write]:
        """Yield nothing: links are no objects."""
        return iter(())

    def beginning(self) -> Iterator[Action]:
        """Yield what there is at first."""
        return self._life.beginning()

    def actions(self) -> Iterator[Action]:
        """Yield what happens."""
        return self._life.actions()

    def ending(self) -> Iterator[Action]:
        """Yield what happens last in a round."""
        return self._life.ending()

    def epilogue(self) -> Iterator[Sequence[Action]]:
        """Yield nothing: links have no Events."""
        return iter(())

    async def look(self) -> object:
        """Return the node's links as iproute2 prints them."""
        return await asyncio.to_thread(self._seen)

    def differences(self, view: View) -> list[Difference]:
        """Return what is not as the model says."""
        told = [read(raw, DanmNode) for raw in view.objects[DANMNODES]]
        return differences(
            Node(
                name=NODE,
                links=_links(view.machine),
                foreign=self._foreign,
                networks=tuple(read(raw, DanmNet) for raw in view.objects[DANMNETS]),
                interfaces=tuple(read(raw, DanmEp) for raw in view.objects[DANMEPS]),
                told=told[0] if told else None,
            )
        )

    def slow(self, difference: Difference) -> bool:
        """Nothing may take longer."""
        return False

    def _seen(self) -> Any:  # noqa: ANN401  (JSON)
        return msgspec.json.decode(_ip("-n", self.netns, "-d", "-j", "addr", "show"))


def _links(seen: Any) -> tuple[HostLink, ...]:  # noqa: ANN401  (JSON)
    return tuple(msgspec.convert(each, HostLink) for each in seen if each)


def _ip(*arguments: str) -> bytes:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True).stdout
