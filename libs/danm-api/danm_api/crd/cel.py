"""Expressions of CEL, the API server's language of rules, as texts. Pure."""

from collections.abc import Iterable
from typing import Final

# For `matches`, of a text in lower case. IPv4 in IPv6 with or without dots: five groups of zeros
# and one of ones, then two more.
MAPPED_TEXT: Final = (
    r"^([0:]+:ffff:([0-9a-f]{1,4}:[0-9a-f]{1,4}|[0-9]+(\.[0-9]+){3})"
    r"|(0{1,4}:){5}ffff::[0-9a-f]{0,4})(/[0-9]+)?$"
)


def literal(value: str) -> str:
    """Return an expression for a text."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literals(values: Iterable[str]) -> str:
    """Return an expression for a list of texts, sorted."""
    return f"[{', '.join(literal(value) for value in sorted(values))}]"


def option(name: str, missing: str) -> str:
    """Return an expression for an option: its value, or ``missing``, an expression as well.

    Of the variable `options`, which holds all of them.
    """
    # A key without a value counts as missing: the old program took such manifests.
    where = f"variables.options.{name}"
    return f"has({where}) && {where} != null ? {where} : {missing}"


def pool_end(pool: str, end: str) -> str:
    """Return an expression for an end of a pool, which is a variable; an empty text for none."""
    where = f"variables.{pool}.{end}"
    return f"has({where}) && {where} != null ? {where} : ''"


def may_be(readable: str, text: str) -> str:
    """Return a condition: ``readable`` holds, or DANM may read a text where CEL cannot.

    That is IPv4 in IPv6, and prefix lengths with leading zeros. All are expressions.
    """
    return f"({readable} || {text}.lowerAscii().contains('ffff:') || {text}.matches('/0[0-9]'))"


def is_ip(text: str, family: int) -> str:
    """Return a condition: what an expression gives is an address of a family, 4 or 6."""
    return f"(isIP({text}) && ip({text}).family() == {family})"


def is_cidr(text: str, family: int) -> str:
    """Return a condition: what an expression gives is a subnet of a family, 4 or 6."""
    return f"(isCIDR({text}) && cidr({text}).ip().family() == {family})"


def number_of(text: str) -> str:
    """Return an expression for an IPv4 address as a number: addresses have no order in CEL."""
    parts = (f"int({text}.split('.')[{place}]) * {256 ** (3 - place)}" for place in range(4))
    return " + ".join(parts)
