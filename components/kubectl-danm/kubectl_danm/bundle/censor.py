"""Takes secrets out of texts. Pure.

Objects are reduced to listed fields before (``bundle.shapes``); this is for what is left, and for
texts that anybody writes: logs, Events, reasons, flags. It takes too much rather than too little.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from kubectl_danm.bundle.looks import FORMS, NAMES, Span

REMOVED: Final = "(removed)"

# Shorter values are words such as "info" or "true", whose removal would make a text unreadable.
_MIN_KNOWN_LENGTH: Final = 6

_SECRET_NAME: Final = re.compile(NAMES, re.IGNORECASE)
# An argument that is followed by its value.
_SECRET_FLAG: Final = re.compile(rf"(?>-[\w.-]*?(?:{NAMES}))[\w.-]*+", re.IGNORECASE)


class Censor:
    """Knows some secrets by their values, and the others by how they look."""

    def __init__(self) -> None:
        """Begin without any known value."""
        self._known: set[str] = set()
        self._any_known: re.Pattern[str] | None = None

    def learn(self, values: Iterable[str]) -> None:
        """Take in values that must not be seen anywhere, such as those of the environment."""
        self._known |= {
            part
            for value in values
            for part in (value, value.strip())
            if len(part) >= _MIN_KNOWN_LENGTH
        }
        if self._known:
            # Longer ones first: one may be a part of another.
            ordered = sorted(self._known, key=len, reverse=True)
            self._any_known = re.compile("|".join(map(re.escape, ordered)))

    def names_a_secret(self, key: str) -> bool:
        """Say whether what stands under a key is secret, whatever it is."""
        return _SECRET_NAME.search(key) is not None

    def arguments(self, words: Sequence[str]) -> list[str]:
        """Return the words of a command line without secrets."""
        before = ("", *words)
        return [
            REMOVED if _SECRET_FLAG.fullmatch(flag) else self.text(word)
            for flag, word in zip(before, words, strict=False)
        ]

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._any_known is not None:
            text = self._any_known.sub(REMOVED, text)
        for find in FORMS:
            text = _without(text, find(text))
        return text


def _without(text: str, spans: Iterable[Span]) -> str:
    parts: list[str] = []
    position = 0
    for begin, end in spans:
        parts += (text[position:begin], REMOVED)
        position = end
    return "".join((*parts, text[position:]))
