"""Reading JSON without the standard ``json``, which would delay every start. Pure.

It brings ``re`` along, which costs more than everything else that a call does
(docs/decisions/0018-nothing-heavy-in-the-executables.md).

Source: RFC 8259. Strictly: no NaN, no comments, no control characters in strings. Of several
members of one name the last one counts. A number without fraction and exponent is an int.
"""

# CNI configurations nest less than ten deep.
MAX_DEPTH = 100
_HIGH_SURROGATES, _LOW_SURROGATES, _END_OF_SURROGATES = 0xD800, 0xDC00, 0xE000
_SPACE = " \t\n\r"
_NUMBER = "+-.0123456789Ee"
_DIGITS = "0123456789"
_CODE_DIGITS = 4
_HEXADECIMAL = "0123456789abcdefABCDEF"
_ESCAPES = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_LITERALS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
# Stands behind the text, so that looking at the next character needs no comparison with the length:
# it may stand nowhere in JSON.
_END = "\0"


class NotJsonError(Exception):
    """Bytes that are no JSON text."""


def decode_json(data: bytes) -> object:
    """Return the value of a JSON text: dict, list, str, int, float, bool or None.

    Raises:
        NotJsonError: It is none, is not UTF-8, or nests deeper than MAX_DEPTH.
    """
    try:
        text = data.decode() + _END
    except UnicodeDecodeError as error:
        raise NotJsonError(str(error)) from error
    value, end = _value(text, _after_space(text, 0), 0)
    end = _after_space(text, end)
    if end != len(text) - 1:
        raise _fault("something behind the value", end)
    return value


def _fault(reason: str, index: int) -> NotJsonError:
    return NotJsonError(f"no JSON: {reason}, at character {index}")


def _after_space(text: str, index: int) -> int:
    while text[index] in _SPACE:
        index += 1
    return index


def _value(text: str, index: int, depth: int) -> tuple[object, int]:
    """Return the value that starts at an index, and the index behind it."""
    first = text[index]
    if first == '"':
        return _string(text, index + 1)
    if first in "{[":
        if depth == MAX_DEPTH:
            raise _fault(f"deeper than {MAX_DEPTH}", index)
        if first == "{":
            return _object(text, index + 1, depth + 1)
        return _array(text, index + 1, depth + 1)
    if first in _LITERALS:
        word, value = _LITERALS[first]
        if text.startswith(word, index):
            return value, index + len(word)
    if first == "-" or first in _DIGITS:
        return _number(text, index)
    raise _fault("a value is missing", index)


def _object(text: str, index: int, depth: int) -> tuple[dict[str, object], int]:
    members: dict[str, object] = {}
    index = _after_space(text, index)
    if text[index] == "}":
        return members, index + 1
    while True:
        if text[index] != '"':
            raise _fault("a member's name is missing", index)
        name, index = _string(text, index + 1)
        index = _after_space(text, index)
        if text[index] != ":":
            raise _fault("a colon is missing", index)
        members[name], index = _value(text, _after_space(text, index + 1), depth)
        index = _after_space(text, index)
        if text[index] == "}":
            return members, index + 1
        if text[index] != ",":
            raise _fault("a comma or } is missing", index)
        index = _after_space(text, index + 1)


def _array(text: str, index: int, depth: int) -> tuple[list[object], int]:
    elements: list[object] = []
    index = _after_space(text, index)
    if text[index] == "]":
        return elements, index + 1
    while True:
        element, index = _value(text, index, depth)
        elements.append(element)
        index = _after_space(text, index)
        if text[index] == "]":
            return elements, index + 1
        if text[index] != ",":
            raise _fault("a comma or ] is missing", index)
        index = _after_space(text, index + 1)


def _string(text: str, index: int) -> tuple[str, int]:
    """Return the string whose first character is at an index, and the index behind its quote."""
    parts = []
    quotes = -1
    while True:
        # Not looked for again behind each escape: that would cost the square of a long string.
        if quotes < index:
            quotes = text.find('"', index)
        if quotes < 0:
            raise _fault("a string does not end", index)
        escape = text.find("\\", index, quotes)
        part = text[index : quotes if escape < 0 else escape]
        if part and min(part) < " ":
            raise _fault("a control character in a string", index)
        parts.append(part)
        if escape < 0:
            return "".join(parts), quotes + 1
        character, index = _escaped(text, escape + 1)
        parts.append(character)


def _escaped(text: str, index: int) -> tuple[str, int]:
    """Return the character of an escape, whose backslash is before an index."""
    kind = text[index]
    if kind in _ESCAPES:
        return _ESCAPES[kind], index + 1
    if kind != "u":
        raise _fault("an unknown escape", index)
    code, index = _code(text, index + 1), index + 1 + _CODE_DIGITS
    if _HIGH_SURROGATES <= code < _LOW_SURROGATES and text.startswith("\\u", index):
        low = _code(text, index + len("\\u"))
        if _LOW_SURROGATES <= low < _END_OF_SURROGATES:
            code = 0x10000 + (code - _HIGH_SURROGATES) * 0x400 + low - _LOW_SURROGATES
            index += len("\\u") + _CODE_DIGITS
    return chr(code), index


def _code(text: str, index: int) -> int:
    digits = text[index : index + _CODE_DIGITS]
    if len(digits) < _CODE_DIGITS or any(digit not in _HEXADECIMAL for digit in digits):
        raise _fault("an escape without four hexadecimal digits", index)
    return int(digits, 16)


def _number(text: str, start: int) -> tuple[int | float, int]:
    end = start
    while text[end] in _NUMBER:
        end += 1
    word = text[start:end]
    mantissa, mark, exponent = word.lower().partition("e")
    whole, point, fraction = mantissa.removeprefix("-").partition(".")
    if exponent[:1] in ("+", "-"):
        exponent = exponent[1:]
    if (
        not _is_digits(whole)
        or (whole[0] == "0" and len(whole) > 1)
        or (point and not _is_digits(fraction))
        or (mark and not _is_digits(exponent))
    ):
        raise _fault("not a number", start)
    try:
        return (float(word) if point or mark else int(word)), end
    except ValueError as error:  # more digits than the interpreter reads
        raise _fault("a number is too long", start) from error


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
