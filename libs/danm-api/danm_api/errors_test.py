"""The tree of errors."""

import inspect
from collections.abc import Iterator

import pytest

from danm_api import errors
from danm_api.errors import (
    ApiUnavailableError,
    DanmError,
    DelegateError,
    InvalidNetworkError,
    PoolExhaustedError,
    SeveralErrors,
    StaleAttemptError,
    Violation,
)


def _subclasses(kind: type[DanmError]) -> Iterator[type[DanmError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _subclasses(each)


_OURS = sorted(
    {each for each in _subclasses(DanmError) if each.__module__ == errors.__name__},
    key=lambda each: each.__name__,
)
_DRAWN = inspect.getdoc(errors) or ""


@pytest.mark.parametrize("kind", _OURS, ids=lambda each: each.__name__)
def test_each_error_is_drawn_with_its_depth(kind: type[DanmError]) -> None:
    """Whoever reads the docstring sees the whole tree as it is."""
    (line,) = (
        line for line in _DRAWN.splitlines() if kind.__name__ in line.replace("(", " ").split()
    )
    depth = len(kind.__mro__) - len(DanmError.__mro__)
    indent = line.index(kind.__name__) // 4
    assert indent == depth


@pytest.mark.parametrize("kind", _OURS, ids=lambda each: each.__name__)
def test_each_transient_error_says_so(kind: type[DanmError]) -> None:
    """The drawing and the class agree on what may succeed later."""
    (line,) = (
        line for line in _DRAWN.splitlines() if kind.__name__ in line.replace("(", " ").split()
    )
    assert ("(transient)" in line) is kind.transient


def test_an_instance_may_know_better_than_its_class() -> None:
    """Such as an API server that asks to come back."""
    assert not DanmError("x").transient
    assert DanmError("x", transient=True).transient
    assert not ApiUnavailableError("x", status=429, transient=False).transient


def test_several_errors_are_reported_together() -> None:
    """All reasons, and transient only when every part is."""  # SPEC C3
    full, away = PoolExhaustedError("full"), ApiUnavailableError("away", status=0)
    both = SeveralErrors([full, away])
    assert (both.reason, both.transient, both.errors) == ("full; away", False, (full, away))
    assert SeveralErrors([away, away]).transient


def test_errors_carry_what_their_edge_needs() -> None:
    """Violations, the current attempt, a delegate's own code, an HTTP status."""
    violation = Violation(field="spec.Options.cidr", rule="N1", message="is wrong")
    assert InvalidNetworkError("x", violations=[violation]).violations == (violation,)
    assert StaleAttemptError("x", current_attempt=7).current_attempt == 7
    assert DelegateError("x", code=11).code == 11
    assert ApiUnavailableError("x", status=503).status == 503


def test_a_violation_reads_as_a_clause() -> None:
    """With its field where there is one."""
    assert str(Violation(field="spec", rule="N1", message="is wrong")) == "spec: is wrong"
    assert str(Violation(field="", rule="N1", message="all is wrong")) == "all is wrong"
