"""What danmd's log tells of its ADDs. Pure."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Final

import msgspec

_ADDED: Final = "Added sandbox"


class _Line(msgspec.Struct, frozen=True):
    message: str = ""
    container_id: str = ""
    took_ms: dict[str, float] = {}


def added_sandboxes(lines: Iterable[bytes]) -> dict[str, Mapping[str, float]]:
    """Return what each step took in milliseconds, by container id.

    Lines that are no JSON objects, such as warnings of the interpreter, are passed over.
    """
    found: dict[str, Mapping[str, float]] = {}
    for text in lines:
        try:
            line = msgspec.json.decode(text, type=_Line)
        except msgspec.DecodeError:
            continue
        if line.message == _ADDED:
            found[line.container_id] = line.took_ms
    return found


def median_steps(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each step, in the order in which they come; a step left out took 0."""
    steps = list(several)
    names = dict.fromkeys(name for each in steps for name in each)
    return {name: median(each.get(name, 0.0) for each in steps) for name in names}
