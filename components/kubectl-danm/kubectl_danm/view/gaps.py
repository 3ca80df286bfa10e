"""What could not be collected, and why. Pure."""

from typing import Final

# Of what has one reason so many are named.
_NAMED: Final = 3


class Gaps:
    """Takes in what is missing; what has one reason, such as one right, is told in one sentence."""

    def __init__(self) -> None:
        """Begin with nothing missing."""
        self._by_reason: dict[str, list[str]] = {}

    def __len__(self) -> int:
        """Return how much is missing."""
        return sum(map(len, self._by_reason.values()))

    def add(self, what: str, why: str) -> None:
        """Take in what is missing.

        Args:
            what: A path in the archive, or what its files are of.
            why: A sentence that names the way out.
        """
        self._by_reason.setdefault(why, []).append(what)

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence for each reason, in the order in which they came."""
        return tuple(f"{_named(what)}: {why}" for why, what in self._by_reason.items())


def _named(what: list[str]) -> str:
    more = len(what) - _NAMED
    return ", ".join(what[:_NAMED]) + (f" and {more} more" if more > 0 else "")
