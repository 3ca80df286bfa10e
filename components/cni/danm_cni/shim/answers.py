"""What the executable answers by itself, without the node daemon. Pure.

JSON is put together by hand here, because importing ``json`` doubles the executable's start
(docs/decisions/0003-static-executables.md); every text that goes in is quoted by ``quote``.
"""

# SPEC C2.
SUPPORTED_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
# The first version that has a verb; the others are in all of them.
SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
# Codes of the CNI specification 1.1.0, "Error".
INCOMPATIBLE_VERSION = 1
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
TRY_AGAIN_LATER = 11
PLUGIN_NOT_AVAILABLE = 50

_KEY = b'"cniVersion"'
# Printable without an escape in JSON, from space to tilde.
_FIRST_PLAIN, _LAST_PLAIN = 0x20, 0x7E


def quote(text: str) -> str:
    """Return a JSON string literal."""
    parts = []
    for character in text:
        code = ord(character)
        if character in '"\\':
            parts.append("\\" + character)
        elif _FIRST_PLAIN <= code <= _LAST_PLAIN:
            parts.append(character)
        elif code > 0xFFFF:  # noqa: PLR2004  (the end of UTF-16's basic plane)
            high, low = divmod(code - 0x10000, 0x400)
            parts.append(f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}")
        else:
            parts.append(f"\\u{code:04x}")
    return '"' + "".join(parts) + '"'


def requested_version(stdin: bytes) -> str:
    """Return the configuration's version if it is one that is known, else the newest.

    A configuration without one is of 0.1.0. It is not parsed: the first ``"cniVersion": "..."`` of
    the text is taken, which decides in which form an error is printed and, while danmd is away,
    whether a verb exists.
    """
    _, found, rest = stdin.partition(_KEY)
    if not found:
        return SUPPORTED_VERSIONS[0 if stdin.lstrip()[:1] == b"{" else -1]
    rest = rest.lstrip()
    if rest[:1] == b":":
        before, _, text = rest[1:].lstrip().partition(b'"')
        version = text.partition(b'"')[0].decode("ascii", "replace") or SUPPORTED_VERSIONS[0]
        if not before and version in SUPPORTED_VERSIONS:
            return version
    return SUPPORTED_VERSIONS[-1]


def is_missing(verb: str, version: str) -> bool:
    """Say whether a verb came with a later version."""
    since = SINCE.get(verb, SUPPORTED_VERSIONS[0])
    return SUPPORTED_VERSIONS.index(version) < SUPPORTED_VERSIONS.index(since)


def version_answer(stdin: bytes) -> bytes:
    """Return the result of VERSION."""
    versions = ",".join(quote(version) for version in SUPPORTED_VERSIONS)
    version = quote(requested_version(stdin))
    return f'{{"cniVersion":{version},"supportedVersions":[{versions}]}}\n'.encode()


def error_answer(stdin: bytes, *, code: int, message: str, details: str = "") -> bytes:
    """Return an error object of the CNI specification."""
    fields = [f'"cniVersion":{quote(requested_version(stdin))}', f'"code":{code}']
    fields.append(f'"msg":{quote(message)}')
    if details:
        fields.append(f'"details":{quote(details)}')
    return ("{" + ",".join(fields) + "}\n").encode()
