"""Expressions of CEL, the API server's language of rules, as texts. Pure."""

from collections.abc import Iterable
from typing import Final

# IPv4 in IPv6 with or without dots: five groups of zeros and one of ones, then two more.
MAPPED_TEXT: Final = (
    r"^([0:]+:ffff:([0-9a-f]{1,4}:[0-9a-f]{1,4}|[0-9]+(\.[0-9]+){3})"
    r"|(0{1,4}:){5}ffff::[0-9a-f]{0,4})(/[0-9]+)?$"
)


def literal(value: str) -> str:
    """Return a text as CEL has it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literals(values: Iterable[str]) -> str:
    """Return a list of texts in CEL, sorted."""
    return f"[{', '.join(literal(value) for value in sorted(values))}]"


def option(name: str, missing: str) -> str:
    """Return an option's value, or what stands for a missing one."""
    # A key without a value counts as missing: the old program took such manifests.
    where = f"variables.options.{name}"
    return f"has({where}) && {where} != null ? {where} : {missing}"


def pool_end(pool: str, end: str) -> str:
    """Return an end of an allocation pool; empty where there is none."""
    where = f"variables.{pool}.{end}"
    return f"has({where}) && {where} != null ? {where} : ''"


def may_be(readable: str, text: str) -> str:
    """Return what holds if CEL can read a text, or DANM may where CEL cannot.

    That is IPv4 in IPv6, and prefix lengths with leading zeros.
    """
    return f"({readable} || {text}.lowerAscii().contains('ffff:') || {text}.matches('/0[0-9]'))"


def is_ip(text: str, family: int) -> str:
    """Return what holds of an address of a family, 4 or 6."""
    return f"(isIP({text}) && ip({text}).family() == {family})"


def is_cidr(text: str, family: int) -> str:
    """Return what holds of a subnet of a family, 4 or 6."""
    return f"(isCIDR({text}) && cidr({text}).ip().family() == {family})"


def number_of(text: str) -> str:
    """Return an IPv4 address as a number: addresses have no order in CEL."""
    parts = (f"int({text}.split('.')[{place}]) * {256 ** (3 - place)}" for place in range(4))
    return " + ".join(parts)
