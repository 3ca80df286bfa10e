"""Which blocks are left to other replicas."""

from datetime import UTC, datetime, timedelta

from ipam_svc.contention import Contention


def test_a_block_is_left_for_a_while() -> None:
    """A block that another replica won is avoided, and taken again soon after."""
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    contention = Contention[str](now=lambda: now[0])
    assert not contention.holds("a")
    contention.mark("a")
    assert contention.holds("a")
    assert not contention.holds("b")
    now[0] += timedelta(seconds=2)
    assert not contention.holds("a")


def test_an_own_block_is_not_left() -> None:
    """What this replica opened itself it uses, whatever its watch showed first."""
    contention = Contention[str](now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    contention.mark("a")
    contention.end("a")
    assert not contention.holds("a")
