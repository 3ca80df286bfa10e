"""How the demo asks what a node that stands still does not answer at once."""

from collections.abc import Callable

import pytest

from tests.lab.demo import is_refused, patiently
from tests.lab.errors import LabError


def _failing(times: int) -> Callable[[], str]:
    """Return a question that fails so often before it is answered."""
    left = [LabError(f"late {number}") for number in range(times)]

    def ask() -> str:
        if left:
            raise left.pop()
        return "answer"

    return ask


def test_what_fails_is_asked_again() -> None:
    """A node that is late once shows nothing of the demo."""
    assert patiently(_failing(1), timeout_s=60.0) == "answer"


def test_what_fails_for_good_is_told() -> None:
    """The last failure is, when the time is over."""
    with pytest.raises(LabError, match="late 1"):
        patiently(_failing(2), timeout_s=0.0)


def test_only_a_refused_connection_shows_a_closed_port() -> None:
    """One that is taken does not, and one that nobody answers shows nothing."""

    def refused() -> None:
        raise LabError("<urlopen error [Errno 111] Connection refused>")

    def late() -> None:
        raise LabError("<urlopen error timed out>")

    assert is_refused(refused)
    assert not is_refused(lambda: None)
    with pytest.raises(LabError, match="timed out"):
        is_refused(late)
