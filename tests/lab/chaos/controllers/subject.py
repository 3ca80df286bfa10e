"""What a run of chaos has to know of the controller that it tries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from danm_api.kube.api import Resource
from tests.lab.chaos.controllers.actions import Action, Write
from tests.lab.chaos.controllers.facts import Difference
from tests.lab.chaos.controllers.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A controller of DANM's of which one replica leads.

    Attributes:
        command: Its module, and what it is told beside its name.
        account: Whose rights it has.
        rbac: Files below deploy/ that give them.
        among_kubernetes: Whether Kubernetes' own controllers work on the same objects.
    """

    name: str
    command: Sequence[str]
    account: str
    lease: str
    rbac: Sequence[str]
    among_kubernetes: bool = False


class Subject(Protocol):
    """A controller, what happens to its objects, and what must be so after quiet.

    Attributes:
        controller: What is broken.
        namespaces: Where the objects are.
        kinds: Of all objects that it reads and writes.
        written: Those of them that it writes.
        patience_s: How much longer something may take that ``slow`` names, and what is right may
            still be written.
    """

    controller: Controller
    namespaces: Sequence[str]
    kinds: Sequence[Resource]
    written: Sequence[Resource]
    patience_s: float

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

    def differences(self, view: View) -> list[Difference]:
        """Return what is not as it should be after quiet."""
        ...

    def slow(self, difference: Difference) -> bool:
        """Say whether something may take ``patience_s`` longer."""
        ...
