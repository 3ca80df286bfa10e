"""The validator of netwatcher as the subject of a run."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

# Run as `python -m`: the import says that it is needed.
import netwatcher.__main__ as _program
from danm_api.kube.api import DANMEPS, DANMNETS, EVENTS, Resource
from netwatcher.config import VALIDATOR_LEASE
from tests.lab.chaos.controllers.actions import Action, Write
from tests.lab.chaos.controllers.deck import DECK
from tests.lab.chaos.controllers.facts import DanmEp, Difference, Event, read
from tests.lab.chaos.controllers.network_facts import DanmNet, Networks
from tests.lab.chaos.controllers.network_life import NAMESPACES, NetworkLife, epilogue
from tests.lab.chaos.controllers.network_model import differences
from tests.lab.chaos.controllers.subject import Controller
from tests.lab.chaos.controllers.view import View
from tests.lab.chaos.schedule import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSubject:
    """DanmNets, and what is said of them."""

    _life: NetworkLife = field(
        default_factory=lambda: NetworkLife(chance=Random(0))  # noqa: S311  (no secret)
    )

    controller: ClassVar[Controller] = Controller(
        name="validator",
        command=(_program.__package__ or "", "validator"),
        account="danm-validator",
        lease=VALIDATOR_LEASE,
        rbac=("namespace/namespace.yaml", "netwatcher/rbac.yaml"),
    )
    deck: ClassVar[Sequence[Card]] = DECK
    namespaces: ClassVar[Sequence[str]] = NAMESPACES
    kinds: ClassVar[Sequence[Resource]] = (DANMNETS, DANMEPS, EVENTS)
    written: ClassVar[Sequence[Resource]] = (DANMNETS, EVENTS)
    # Other words for the same verdict, such as who is in the way now, may come so much later.
    patience_s: ClassVar[float] = 30.0

    def place(self) -> AbstractContextManager[None]:
        """Make nothing."""
        return nullcontext()

    def begin(self, seed: int) -> None:
        """Begin a round."""
        self._life.chance.seed(seed)

    def foreign(self) -> Iterator[Write]:
        """Yield nothing: DanmNets are nobody else's."""
        return iter(())

    def beginning(self) -> Iterator[Action]:
        """Yield nothing: networks are made as the round goes on."""
        return iter(())

    def actions(self) -> Iterator[Action]:
        """Yield what happens."""
        return self._life.actions()

    def ending(self) -> Iterator[Action]:
        """Yield nothing: an ending of its own would settle what contradicts what."""
        return iter(())

    def epilogue(self) -> Iterator[Sequence[Action]]:
        """Yield DanmNets whose Events are known, one step after the other."""
        return epilogue()

    async def look(self) -> object:
        """Look at nothing else."""
        return None

    def differences(self, view: View) -> list[Difference]:
        """Return what the validator must have said otherwise."""
        return differences(
            Networks(
                networks=tuple(read(raw, DanmNet) for raw in view.objects[DANMNETS]),
                interfaces=tuple(read(raw, DanmEp) for raw in view.objects[DANMEPS]),
                events=tuple(read(raw, Event) for raw in view.objects[EVENTS]),
            )
        )

    def slow(self, difference: Difference) -> bool:
        """No verdict may take longer."""
        return False
