"""The evidence of a violation is what concerns its address and its holders, and nothing else."""

import msgspec

from tests.lab.chaos.checker import Violation
from tests.lab.chaos.evidence import evidence
from tests.lab.chaos.history import (
    ClockStep,
    End,
    Fault,
    Pool,
    Record,
    Release,
    Reserve,
    Seen,
    Wish,
)


def _ask(owner: str, start: float) -> Reserve:
    wish = Wish(holder=f"{owner}/eth0", network="net", family=4)
    return Reserve(owner=owner, wishes=(wish,), sends=(), start=start, end=start + 1, answer="held")


def test_all_that_concerns_the_violation_in_the_order_of_time() -> None:
    """The calls of both owners, the changes of the address, faults nearby, steps of the clock."""
    concerns: list[Record] = [
        Seen(network="net", address="10.0.0.1", at=2, holder="b/eth0"),
        _ask("a", 20),
        Seen(network="net", address="10.0.0.1", at=20.5, holder="a/eth0"),
        ClockStep(since=20.6, at=20.7, forward_s=1.0),
        Fault(kind="replica frozen", target="r", start=20.8, end=21),
        Release(owner="a", holders=("a/eth0",), attempt=1, start=21, end=22, answer="done"),
        End(owner="b", at=22),
    ]
    other: list[Record] = [
        _ask("c", 20),
        Seen(network="net", address="10.0.0.2", at=20.5, holder="c/eth0"),
        Seen(network="other", address="10.0.0.1", at=20.5, holder="c/eth0"),
        Seen(network="net", address="10.0.0.1", at=1, holder="c/eth0"),
        Seen(network="net", address="10.0.0.1", at=60),
        Fault(kind="replica frozen", target="r", start=1, end=2),
        Fault(kind="replica frozen", target="r", start=30, end=31),
    ]
    violation = Violation(
        rule="double",
        at=22,
        what="both had it",
        holders=("a/eth0", "b/eth0"),
        place=("net", "10.0.0.1"),
    )
    later = _ask("b", 23)
    found = evidence([later, *other, *reversed(concerns)], violation)
    expected = [msgspec.json.encode(record).decode() for record in [*concerns, later]]
    assert found == expected


def test_an_address_is_of_a_wire() -> None:
    """What another network on the wire has of the address concerns the violation too."""
    seen = [
        Seen(network=network, address="10.0.0.1", at=20, holder=f"{network}/eth0")
        for network in ("one", "two", "three")
    ]
    pools = [
        Pool(network="one", family=4, addresses=(), wire="w"),
        Pool(network="two", family=4, addresses=(), wire="w"),
        Pool(network="three", family=4, addresses=(), wire="x"),
    ]
    violation = Violation(rule="double", at=20, what="both had it", place=("w", "10.0.0.1"))
    expected = [msgspec.json.encode(record).decode() for record in seen[:2]]
    assert evidence([*pools, *seen], violation) == expected
