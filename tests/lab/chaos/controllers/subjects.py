"""The controllers that a run can try, by the names that its command has for them."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.lab.chaos.controllers.links import LinkSubject
from tests.lab.chaos.controllers.networks import NetworkSubject
from tests.lab.chaos.controllers.services import ServiceSubject
from tests.lab.chaos.controllers.subject import Subject

SUBJECTS: Final[Mapping[str, Callable[[], Subject]]] = {
    "links": LinkSubject,
    "networks": NetworkSubject,
    "services": ServiceSubject,
}
