"""How a measured process is started, where that is not the usual way. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a process of Python is given beside its own.

    Attributes:
        wrapper: Arguments of the interpreter in front of the program's module, such as a profiler.
        environment: Variables beside those of a Pod.
    """

    wrapper: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


USUAL = Launch()
