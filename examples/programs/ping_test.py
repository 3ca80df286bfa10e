"""Pings of a peer that takes its time to come."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from ping import first_answer


@dataclass
class Peer:
    """One that answers from some moment on, and the time that passes meanwhile.

    Attributes:
        answers_from: In seconds of its clock.
        takes: Seconds until an attempt fails.
        asked: When it was.
    """

    answers_from: float
    takes: float = 0.0
    now: float = 0.0
    asked: list[float] = field(default_factory=list)

    def attempt(self) -> float:
        """Answer after 0.25 s, or fail."""
        self.asked.append(self.now)
        if self.now < self.answers_from:
            self.now += self.takes
            raise OSError("no answer")
        return 0.25

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def pings(peer: Peer) -> Callable[[], float]:
    """Return a call that pings a peer once a second for a minute."""
    return lambda: first_answer(
        peer.attempt, within_s=60.0, every_s=1.0, clock=lambda: peer.now, sleep=peer.sleep
    )


@pytest.mark.parametrize("takes", [pytest.param(0.0, id="no route"), pytest.param(1.0, id="mute")])
def test_a_peer_that_comes_after_half_a_minute_is_found(takes: float) -> None:
    """It is asked once a second until then, however quickly an attempt fails."""
    peer = Peer(answers_from=30.0, takes=takes)
    assert pings(peer)() == 0.25
    assert peer.asked == [float(second) for second in range(31)]


def test_a_peer_that_never_comes_is_given_up() -> None:
    """With the reason of the last attempt, after the time that was given."""
    peer = Peer(answers_from=1000.0, takes=0.5)
    with pytest.raises(OSError, match="no answer"):
        pings(peer)()
    assert peer.asked[-1] == 60.0
