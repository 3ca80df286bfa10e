"""Writing JSON in the executables, whose start the standard ``json`` would delay.

Pure, and without any import, as `node_frame`: see
docs/decisions/0018-nothing-heavy-in-the-executables.md.
"""

# Printable without an escape in JSON, from space to tilde.
_FIRST_PLAIN, _LAST_PLAIN = 0x20, 0x7E
_LAST_OF_BASIC_PLANE = 0xFFFF
_HIGH_SURROGATES, _LOW_SURROGATES = 0xD800, 0xDC00


def quote(text: str) -> str:
    """Return a JSON string literal, of ASCII characters alone."""
    parts = []
    for character in text:
        code = ord(character)
        if character in '"\\':
            parts.append("\\" + character)
        elif _FIRST_PLAIN <= code <= _LAST_PLAIN:
            parts.append(character)
        elif code > _LAST_OF_BASIC_PLANE:
            high, low = divmod(code - 0x10000, 0x400)
            parts.append(f"\\u{_HIGH_SURROGATES + high:04x}\\u{_LOW_SURROGATES + low:04x}")
        else:
            parts.append(f"\\u{code:04x}")
    return '"' + "".join(parts) + '"'


def encode_json(value: object) -> str:
    """Return the JSON text of dicts, lists, texts and whole numbers in each other.

    Raises:
        TypeError: A value of another type; no executable prints one.
    """
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        members = (f"{quote(name)}:{encode_json(each)}" for name, each in value.items())
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode_json, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    message = f"no JSON is written of {type(value).__name__}"
    raise TypeError(message)
