"""What the forms find, and how long they look for it."""

import re
import time
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubectl_danm.bundle.censor import Censor
from kubectl_danm.bundle.looks import FORMS, NAMES

# What a release has once taken out must not come back: its patterns, in the order of FORMS. They
# took quadratic time, so that the texts below are short. The group ``keep`` stayed.
BEFORE: Final = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL),
        (r"\A(?:(?!-----BEGIN ).)*?-----END [A-Z0-9 ]+-----", re.DOTALL),
        (r"eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*)?", 0),
        (r"(?P<keep>\b(?:bearer|basic)\s+)[\w+/=.~:-]{6,}", re.IGNORECASE),
        (r"(?P<keep>\b[a-z][a-z0-9+.-]*://)[^\s/@\"']+@", re.IGNORECASE),
        # In the place of the passwords with slashes, which it did not find.
        (r"(?!)", 0),
        (
            rf"(?P<keep>[\w.-]*(?:{NAMES})[\w.-]*(?:\\*[\"'])?\s*[=:]\s*)"
            r"(?:\\*\"(?:[^\"\\]|\\[^\"])*\\*\"|'[^']*'|[^\s,;\"'}\]]+)",
            re.IGNORECASE,
        ),
        (rf"(?P<keep>--[\w-]*(?:{NAMES})[\w-]*\s+)[^\s-]\S*", re.IGNORECASE),
        (r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b", 0),
        (r"(?<![\w+/])(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?=[\w+/-]*[0-9])[\w+/-]{40,}={0,2}", 0),
    )
)
# Pieces of which each form is made, and what stands between them.
PIECES: Final = st.sampled_from(
    [
        *("-----BEGIN A-----", "-----BEGIN ", "-----END A-----", "-----", "--", "-", "."),
        *("eyJ", "abcdef", "0123456789abcdef", "Ab1" * 14, "bearer", "basic", "a", "B", "7"),
        *("://", "https://", "/", "@", ":", "=", ",", ";", "}", "]", '"', "'", "\\", "\\\\"),
        *("token", "passwd", "api_key", ".dockerconfigjson", "--token", " ", "\n", "+", "\u00e9"),
    ]
)
TEXTS: Final = st.lists(PIECES, max_size=14).map("".join)

MEGABYTE: Final = 1_000_000
# Each takes well under 2 s; what looks at each character anew for each one before it, hours.
ENOUGH_S: Final = 20.0


@settings(max_examples=1000)
@given(TEXTS)
@example("--token.x a--token secret")
@example('--token "cut --token\nsecret')
@example('token="cut token=\nsecret')
def test_what_was_found_before_still_is(text: str) -> None:
    """Each form takes out all characters that it ever has."""
    for find, before in zip(FORMS, BEFORE, strict=True):
        found = {place for begin, end in find(text) for place in range(begin, end)}
        for match in before.finditer(text):
            kept = match.end("keep") if "keep" in before.groupindex else match.start()
            assert found >= set(range(kept, match.end())), (before.pattern, match[0])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("token=\"cut password='\npassword='correct horse' x", id="name after the cut"),
        pytest.param("--token \"cut\\\" --token '\n--token ' correct horse'", id="flag"),
        pytest.param("token='a'token=\ncorrect,horse", id="name after a quote"),
    ],
)
def test_a_cut_value_hides_no_name(text: str) -> None:
    """Neither one in it nor one behind it."""
    censored = Censor().text(text)
    assert "correct" not in censored
    assert "horse" not in censored or "correct,horse" in text


@settings(max_examples=500)
@given(TEXTS)
def test_spans_are_in_order(text: str) -> None:
    """None is empty, and none overlaps the one before it."""
    for find in FORMS:
        last = 0
        for begin, end in find(text):
            assert last <= begin < end <= len(text)
            last = end


@pytest.mark.parametrize(
    ("before", "piece"),
    [
        pytest.param("", "A", id="one word"),
        pytest.param("", "-", id="hyphens"),
        pytest.param("", "a.", id="dots"),
        pytest.param("", "a-", id="words with hyphens"),
        pytest.param("", "a ", id="words"),
        pytest.param("", "eyJ", id="web tokens"),
        pytest.param("", "eyJaaaaaa.", id="web tokens in a row"),
        pytest.param("", "token", id="names"),
        pytest.param("", "--token", id="flags"),
        pytest.param("", "--token ", id="flags without values"),
        pytest.param("", "--token a", id="flags in values"),
        pytest.param("", "token\\", id="names and escapes"),
        pytest.param("", "token='", id="single quotes"),
        pytest.param("", 'token="', id="double quotes"),
        pytest.param("", 'token=\\"', id="escaped quotes"),
        pytest.param("", 'token="\n', id="quotes that end on no line"),
        pytest.param("", "\\", id="escapes"),
        pytest.param("", "://", id="hosts"),
        pytest.param("", "://a:", id="names before hosts"),
        pytest.param("", "://a:b/", id="passwords with slashes"),
        pytest.param("", "a://a@", id="ats"),
        pytest.param("", "bearer ", id="headers"),
        pytest.param("", "basic\n", id="headers on lines"),
        pytest.param("", "-----BEGIN ", id="beginnings of beginnings"),
        pytest.param("", "-----BEGIN A-----", id="beginnings"),
        pytest.param("", "-----END A", id="beginnings of ends"),
        pytest.param("", "-----END A-----", id="ends"),
        pytest.param("", "abcdef.", id="bootstrap tokens"),
        pytest.param("", "aB/", id="base64 without digits"),
        pytest.param("eyJ", "a", id="web token"),
        pytest.param("://a:", "a@", id="password with ats"),
        pytest.param("://a:", "/@", id="password with slashes"),
        pytest.param('token="', "\\", id="escapes in quotes"),
        pytest.param('token=\\"', "\\", id="escapes in escaped quotes"),
        pytest.param('token="', '\\"', id="quotes in quotes"),
    ],
)
def test_a_megabyte_of_anything_is_looked_through_soon(before: str, piece: str) -> None:
    """Whoever may write one long word, as into an annotation, holds nobody up."""
    text = before + piece * (MEGABYTE // len(piece))
    began_s = time.process_time()
    Censor().text(text)
    assert time.process_time() - began_s < ENOUGH_S


def test_a_megabyte_of_a_flag_is_looked_through_soon() -> None:
    """As one word of a list, such as arguments are."""
    began_s = time.process_time()
    for word in ("--" + "token" * (MEGABYTE // 5) + "!", "-" * MEGABYTE + "!"):
        Censor().arguments([word, "x"])
    assert time.process_time() - began_s < ENOUGH_S
