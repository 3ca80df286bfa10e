r"""How secrets look in a text: where each begins and ends. Pure.

Tenants write these texts, and one may be a single word of megabytes. So no form may look at a
character more often than some fixed number of times: each begins where a run of its characters
begins, what it has taken it does not give back (``*+``, ``(?>...)``), and where it looks for an end
it either takes all that it has looked at, or looks at so many characters at most.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

# Where a secret begins, and where it ends: exclusive.
Span = tuple[int, int]
Form = Callable[[str], Iterator[Span]]

NAMES: Final = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|authorization|cookie|session"
    r"|(?:api|access|private|secret|client|encryption|signing)[-_]?key(?:[-_]data)?|\.dockerconfigjson"
)

_BEGIN: Final = "-----BEGIN "
_PEM_BEGIN: Final = re.compile(r"-----BEGIN [A-Z0-9 ]++-----")
_PEM_END: Final = re.compile(r"-----END [A-Z0-9 ]++-----")
# In each of these the group ``secret`` goes. JSON web tokens, as service accounts have them:
_JWT: Final = re.compile(
    r"(?<![\w-])(?>[\w-]*?(?=eyJ))(?P<secret>eyJ[\w-]{6,}+\.[\w-]{6,}+(?:\.[\w-]*+)?+)"
)
# What a header introduces.
_SCHEME: Final = re.compile(r"\b(?:bearer|basic)\s++(?P<secret>[\w+/=.~:-]{6,}+)", re.IGNORECASE)
# To the last @ before the first slash.
_BEFORE_HOST: Final = re.compile(r"://(?P<secret>[^\s/\"']+@)")
# A password may have slashes, where no port is in its place; none is longer than somebody types.
_SLASHED: Final = re.compile(r"://(?P<secret>[^\s/@:\"']{0,256}+:(?!\d{1,5}/)[^\s\"']{1,256}@)")
# kubeadm's.
_BOOTSTRAP: Final = re.compile(r"\b(?P<secret>[a-z0-9]{6}\.[a-z0-9]{16})\b")
# Anything long in base64: hexadecimal digests and ids, which identify, are in one case.
_BASE64: Final = re.compile(
    r"(?<![\w+/-])(?=[\w+/-]*?[a-z])(?=[\w+/-]*?[A-Z])(?=[\w+/-]*?[0-9])"
    r"(?P<secret>[\w+/-]{40,}+={0,2}+)"
)
# What stands before a value: name=, name:, "name":, and --name.
_ASSIGNMENT: Final = re.compile(
    rf"(?<![\w.-])(?>[\w.-]*?(?:{NAMES}))[\w.-]*+(?:\\*+[\"'])?+\s*+[=:]\s*+", re.IGNORECASE
)
_FLAG: Final = re.compile(
    rf"(?<![\w.-])(?>[\w.-]*?--)(?>[\w.-]*?(?:{NAMES}))[\w.-]*+\s++(?!-)", re.IGNORECASE
)
# Values, or what follows on a quoted one, as in a shell's words.
_ASSIGNED: Final = re.compile(r"[^\s,;\"'}\]]*+")
_WORD: Final = re.compile(r"\S*+")
_OPENING: Final = re.compile(r"(?P<escapes>\\*+)(?P<quote>[\"'])")
_QUOTES: Final = {quote: re.compile(rf"(?<!\\)(\\*+){quote}") for quote in "\"'"}


def _whole_pem(text: str) -> Iterator[Span]:
    """Find PEM, whole or without its end, its newlines written out or not."""
    position = 0
    while (begin := _PEM_BEGIN.search(text, position)) is not None:
        end = _PEM_END.search(text, begin.end())
        position = len(text) if end is None else end.end()
        yield begin.start(), position


def _end_of_pem(text: str) -> Iterator[Span]:
    """Find PEM that has begun before the text does."""
    end = _PEM_END.search(text)
    if end is not None and text.find(_BEGIN, 0, end.start()) < 0:
        yield 0, end.end()


def _matches(pattern: re.Pattern[str]) -> Form:
    def find(text: str) -> Iterator[Span]:
        return (match.span("secret") for match in pattern.finditer(text))

    return find


def _values(before: re.Pattern[str], unquoted: re.Pattern[str], *, chained: bool = False) -> Form:
    """Find what stands after a name.

    Args:
        before: The name, and what is between it and the value.
        unquoted: A value without quotes, or nothing.
        chained: A value without quotes may be a name itself, and the next word its value: for names
            that end with a blank, before which no value goes on.
    """

    def find(text: str) -> Iterator[Span]:
        position = told = line_end = 0
        while (name := before.search(text, position)) is not None:
            begin = end = name.end()
            # Where the next name may begin, at the earliest.
            position = begin if chained else len(text)
            opening = _OPENING.match(text, begin)
            if opening is not None:
                if begin >= line_end:
                    line_end = _end_of_line(text, begin)
                end, closed = _end_of_quoted(text, opening, line_end)
                # What was cut may have a name at its end, whose value is on the next line, and so
                # may what follows on a quote.
                position = end if closed else begin
            rest = unquoted.match(text, end)
            if rest is not None:
                end = rest.end()
            # A value that begins in another one, which was cut, may not hide a name behind that.
            position = min(position, end, told if begin < told else end)
            if end > max(begin, told):
                yield max(begin, told), end
                told = end

    return find


def _end_of_line(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found


def _end_of_quoted(text: str, opening: re.Match[str], line_end: int) -> tuple[int, bool]:
    """Return where a quoted value ends: on its line, as in JSON, or else at the next quote.

    And whether it has an end, or was cut before that.

    A quote in it has more backslashes before it than the one that opens it: in JSON that is a text
    of JSON both have some. One that is doubled, as YAML's, is in it too. What was cut before its
    end goes to the end of its line.
    """
    escapes, quote = opening["escapes"], opening["quote"]
    position = opening.end()
    while (found := _QUOTES[quote].search(text, position, line_end)) is not None:
        position = found.end()
        deeper = len(found[1]) - len(escapes)
        if deeper < 0:
            return position, True
        if deeper % (2 * len(escapes) + 2) == 0:
            doubled = escapes + quote
            if not text.startswith(doubled, position):
                return position, True
            position += len(doubled)
    later = -1 if position > opening.end() else text.find(quote, line_end)
    return (line_end, False) if later < 0 else (later + 1, True)


FORMS: Final[tuple[Form, ...]] = (
    _whole_pem,
    _end_of_pem,
    _matches(_JWT),
    _matches(_SCHEME),
    _matches(_BEFORE_HOST),
    _matches(_SLASHED),
    _values(_ASSIGNMENT, _ASSIGNED),
    _values(_FLAG, _WORD, chained=True),
    _matches(_BOOTSTRAP),
    _matches(_BASE64),
)
"""Each finds secrets of one look in a text, in order and without overlap; to be used in this order,
each on what the one before it has left."""
