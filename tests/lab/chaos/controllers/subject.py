"""What a run of chaos has to know of the controller that it tries."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from danm_api.kube.api import Resource
from tests.lab.chaos.controllers.actions import Action, Write
from tests.lab.chaos.controllers.facts import Difference
from tests.lab.chaos.controllers.view import View
from tests.lab.chaos.schedule import Card


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A controller of DANM's.

    Attributes:
        command: Its module, and what it is told beside what every one is told.
        account: Whose rights it has.
        rbac: Files below deploy/ that give them.
        replicas: How many are broken.
        lease: By which one of them leads; empty where all work.
        netns: Where it runs; empty for this process's own network namespace.
        among_kubernetes: Whether Kubernetes' own controllers work on the same objects.
        beside: What it needs; nothing breaks that.
    """

    name: str
    command: Sequence[str]
    account: str
    rbac: Sequence[str]
    replicas: int = 3
    lease: str = ""
    netns: str = ""
    among_kubernetes: bool = False
    beside: "Sequence[Controller]" = ()


class Subject(Protocol):
    """A controller, what happens to its objects, and what must be so after quiet."""

    @property
    def controller(self) -> Controller:
        """What is broken."""
        ...

    @property
    def deck(self) -> Sequence[Card]:
        """How, in a round."""
        ...

    @property
    def namespaces(self) -> Sequence[str]:
        """Where the objects are."""
        ...

    @property
    def kinds(self) -> Sequence[Resource]:
        """Of all objects that it reads and writes."""
        ...

    @property
    def written(self) -> Sequence[Resource]:
        """Those of them that it writes."""
        ...

    @property
    def patience_s(self) -> float:
        """How much longer something may take that ``slow`` names.

        What is right may still be written for so long.
        """
        ...

    def place(self) -> AbstractContextManager[None]:
        """Make what it needs of this machine, for the time of a run."""
        ...

    def begin(self, seed: int) -> None:
        """Begin a round: its actions follow from the seed, and from what was there before."""
        ...

    def foreign(self) -> Iterator[Write]:
        """Yield what others make at first, which nobody changes in a run."""
        ...

    def beginning(self) -> Iterator[Action]:
        """Yield what there is at first beside that."""
        ...

    def actions(self) -> Iterator[Action]:
        """Yield what happens, without an end."""
        ...

    def ending(self) -> Iterator[Action]:
        """Yield what happens last in a round, when all is whole again."""
        ...

    def epilogue(self) -> Iterator[Sequence[Action]]:
        """Yield steps whose outcome is known exactly, since all is right and quiet before each."""
        ...

    async def look(self) -> object:
        """Return as JSON values what there is beside objects."""
        ...

    def differences(self, view: View) -> list[Difference]:
        """Return what is not as it should be after quiet."""
        ...

    def slow(self, difference: Difference) -> bool:
        """Say whether something may take ``patience_s`` longer."""
        ...
