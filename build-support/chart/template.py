"""Trees of YAML with places that Helm fills in, and their text. Pure.

A tree is what ``yaml.safe_load`` returns, in which any value may be one of the nodes below.
"""

import re
import textwrap
from dataclasses import dataclass
from typing import Any, Final

import yaml

_LINE_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Filled:
    """A value that a template's expression gives, which must be a scalar."""

    expression: str


@dataclass(frozen=True, slots=True)
class Whole:
    """The value of a key, which goes where the value at this path is empty."""

    path: str


@dataclass(frozen=True, slots=True)
class More:
    """What the value at this path adds: as a key to its mapping, as an item to its list."""

    path: str


@dataclass(frozen=True, slots=True)
class Either:
    """One of two values of a key. None: the key goes."""

    condition: str
    then: Any
    otherwise: Any


@dataclass(frozen=True, slots=True)
class Only:
    """An item that is there if a condition holds."""

    condition: str
    item: Any


_INSERTION: Final = re.compile(r"^( *)\{\{- toYaml \. \| nindent @ \}\}$", re.MULTILINE)
_NODES: Final = (Filled, Whole, More, Either, Only)


class _Dumper(yaml.SafeDumper):
    """Repeats what occurs twice, since people read it."""

    def ignore_aliases(self, data: object) -> bool:
        """Write no anchors."""
        return True


def dumped(value: object) -> str:
    """Return a value as YAML, ending in a newline."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, width=_LINE_LENGTH, allow_unicode=True
    ).removesuffix("...\n")


def rendered(tree: object) -> str:
    """Return a tree as the text of a template, ending in a newline."""
    # What a value adds stands below its own line, as deep as that.
    return _INSERTION.sub(lambda line: f"{line[1]}{_insertion(len(line[1]))}", _text(tree))


def _insertion(depth: object) -> str:
    return f"{{{{- toYaml . | nindent {depth} }}}}"


def _text(tree: object) -> str:
    if not _has_nodes(tree):
        return dumped(tree).replace("{{", '{{ "{{" }}')
    match tree:
        case dict():
            return "".join(_entry(key, value) for key, value in tree.items())
        case list():
            return "".join(_item(item) for item in tree)
        case _:
            raise TypeError(f"no mapping or list: {tree!r}")


def conditional(condition: str, text: str, otherwise: str = "") -> str:
    """Return lines that are there if a condition holds, and else others."""
    middle = f"{{{{- else }}}}\n{otherwise}" if otherwise else ""
    return f"{{{{- if {condition} }}}}\n{text}{middle}{{{{- end }}}}\n"


def _has_nodes(tree: object) -> bool:
    match tree:
        case dict():
            return any(_has_nodes(each) for pair in tree.items() for each in pair)
        case list():
            return any(_has_nodes(each) for each in tree)
        case _:
            return isinstance(tree, _NODES)


def _entry(key: object, value: object) -> str:
    match key, value:
        case More(path), _:
            return _inserted(path)
        case str(), Whole(path):
            return f"{{{{- with {path} }}}}\n{key}:\n  {_insertion('@')}\n{{{{- end }}}}\n"
        case str(), Either(condition, then, otherwise):
            texts = ("" if each is None else _entry(key, each) for each in (then, otherwise))
            return conditional(condition, *texts)
        case str(), Filled(expression):
            return f"{key}: {{{{ {expression} }}}}\n"
        case str(), dict() if _has_nodes(value):
            return f"{key}:\n{textwrap.indent(_text(value), '  ')}"
        case str(), list() if _has_nodes(value):
            return f"{key}:\n{_text(value)}"
    return _text({key: value})


def _item(item: object) -> str:
    match item:
        case More(path):
            return _inserted(path)
        case Only(condition, inner):
            return conditional(condition, _item(inner))
        case dict() if _has_nodes(item):
            lines = textwrap.indent(_text(item), "  ")
            if lines.lstrip().startswith("{{"):
                raise ValueError(f"an item's first key is always there; move it: {item!r}")
            return f"-{lines[1:]}"
    return _text([item])


def _inserted(path: str) -> str:
    return f"{{{{- with {path} }}}}\n{_insertion('@')}\n{{{{- end }}}}\n"
