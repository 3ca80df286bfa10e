"""svcwatcher as the subject of a run."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar, Final

# Run as `python -m`: the import says that it is needed.
import svcwatcher.__main__ as _program
from danm_api.kube.api import (
    DANMEPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    PODS,
    SERVICES,
    Resource,
)
from svcwatcher.config import LEASE_NAME
from tests.lab.chaos.controllers.actions import Action, Write
from tests.lab.chaos.controllers.deck import DECK
from tests.lab.chaos.controllers.facts import Difference, services_of
from tests.lab.chaos.controllers.service_life import ServiceLife
from tests.lab.chaos.controllers.service_model import differences
from tests.lab.chaos.controllers.service_names import NAMESPACES
from tests.lab.chaos.controllers.service_others import foreign
from tests.lab.chaos.controllers.subject import Controller
from tests.lab.chaos.controllers.view import View
from tests.lab.chaos.schedule import Card

CROWD: Final = 230


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSubject:
    """Services, and what they are found at.

    Attributes:
        crowd: How many Pods one of the Services has.
    """

    crowd: int = CROWD
    _life: ServiceLife = field(
        default_factory=lambda: ServiceLife(chance=Random(0))  # noqa: S311  (no secret)
    )

    controller: ClassVar[Controller] = Controller(
        name="svcwatcher",
        command=(_program.__package__ or "",),
        account="danm-svcwatcher",
        lease=LEASE_NAME,
        rbac=("namespace/namespace.yaml", "svcwatcher/rbac.yaml"),
        among_kubernetes=True,
    )
    deck: ClassVar[Sequence[Card]] = DECK
    namespaces: ClassVar[Sequence[str]] = NAMESPACES
    kinds: ClassVar[Sequence[Resource]] = (
        SERVICES,
        PODS,
        DANMEPS,
        ENDPOINT_SLICES,
        ENDPOINTS,
        EVENTS,
    )
    written: ClassVar[Sequence[Resource]] = (ENDPOINT_SLICES, ENDPOINTS)
    # It looks every minute whether a name that others had is free again.
    patience_s: ClassVar[float] = 60.0

    def place(self) -> AbstractContextManager[None]:
        """Make nothing."""
        return nullcontext()

    def begin(self, seed: int) -> None:
        """Begin a round."""
        self._life.begin(seed)

    def foreign(self) -> Iterator[Write]:
        """Yield what others make."""
        return foreign()

    def beginning(self) -> Iterator[Action]:
        """Yield what there is at first."""
        return self._life.beginning(crowd=self.crowd)

    def actions(self) -> Iterator[Action]:
        """Yield what happens."""
        return self._life.actions()

    def ending(self) -> Iterator[Action]:
        """Yield what happens last in a round."""
        return self._life.ending()

    def epilogue(self) -> Iterator[Sequence[Action]]:
        """Yield nothing: what must have been told follows from the objects."""
        return iter(())

    async def look(self) -> object:
        """Look at nothing else."""
        return None

    def differences(self, view: View) -> list[Difference]:
        """Return what is not as the model says."""
        return differences(
            services_of(
                services=view.objects[SERVICES],
                pods=view.objects[PODS],
                interfaces=view.objects[DANMEPS],
                slices=view.objects[ENDPOINT_SLICES],
                endpoints=view.objects[ENDPOINTS],
                events=view.objects[EVENTS],
            )
        )

    def slow(self, difference: Difference) -> bool:
        """Say whether somebody else's object may have had a Service's name."""
        namespace, _, name = difference.where.partition("/")
        return (namespace, name) in self._life.hindered
