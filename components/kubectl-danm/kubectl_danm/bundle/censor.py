"""Takes secrets out of texts. Pure.

Objects are reduced to listed fields before (``bundle.shapes``); this is for what is left, and for
texts that anybody writes: logs, Events, reasons, flags. It takes too much rather than too little.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

REMOVED: Final = "(removed)"

# Shorter values are words such as "info" or "true", whose removal would make a text unreadable.
_MIN_KNOWN_LENGTH: Final = 6

_NAMES: Final = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|authorization|cookie|session"
    r"|(?:api|access|private|secret|client|encryption|signing)[-_]?key(?:[-_]data)?|\.dockerconfigjson"
)
# In each the group ``keep`` stays and the rest goes.
_PATTERNS: Final = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        # PEM, whole or cut at either end, its newlines written out or not.
        (r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL),
        (r"\A(?:(?!-----BEGIN ).)*?-----END [A-Z0-9 ]+-----", re.DOTALL),
        # JSON web tokens, as service accounts have them.
        (r"eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?", 0),
        # What a header or a scheme introduces.
        (r"(?P<keep>\b(?:bearer|basic)\s+)[\w+/=.~:-]{6,}", re.IGNORECASE),
        # Name and password before a host.
        (r"(?P<keep>\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@", re.IGNORECASE),
        # name=value, name: value, "name": "value", --name value.
        (
            rf"(?P<keep>[\w.-]*(?:{_NAMES})[\w.-]*(?:\\*[\"'])?\s*[=:]\s*)"
            r"(?:\\*\"(?:[^\"\\]|\\[^\"])*\\*\"|'[^']*'|[^\s,;\"'}\]]+)",
            re.IGNORECASE,
        ),
        (rf"(?P<keep>--[\w-]*(?:{_NAMES})[\w-]*\s+)[^\s-]\S*", re.IGNORECASE),
        # kubeadm's bootstrap tokens.
        (r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", 0),
        # Anything long in base64: hexadecimal digests and ids, which identify, are in one case.
        (r"(?<![\w+/])(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?=[\w+/-]*[0-9])[\w+/-]{40,}={0,2}", 0),
    )
)


_SECRET_NAME: Final = re.compile(_NAMES, re.IGNORECASE)
# An argument that is followed by its value.
_SECRET_FLAG: Final = re.compile(rf"--?[\w-]*(?:{_NAMES})[\w-]*", re.IGNORECASE)


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
        for pattern in _PATTERNS:
            text = pattern.sub(_replacement, text)
        return text


def _replacement(match: re.Match[str]) -> str:
    keep = match.groupdict().get("keep") or ""
    return f"{keep}{REMOVED}"
