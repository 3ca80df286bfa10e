"""What is counted while DANM is updated under load."""

from dataclasses import replace

import pytest

from tests.e2e.update_counts import Moment, held_twice, table, told_twice, unanswered_share
from tests.lab.chaos.cni.facts import Endpoint, Link, Netns, NodeView

_FIRST = Moment(
    at=100.0,
    pods=3,
    failed_adds=0,
    failed_pods=0,
    received=50,
    lost=0,
    overruns=0,
    looked_up=4,
    wrong=0,
    unanswered=1,
)


def test_a_table_shows_what_happened_between_moments() -> None:
    """Each column is one step, the last one all of them."""
    second = replace(_FIRST, at=160.4, pods=10, received=650)
    third = replace(second, at=200.0, pods=12, failed_adds=1)
    lines = table(
        [_FIRST, second, third], ["upgrade", "roll-back"], {"addresses held twice": 0}
    ).splitlines()
    assert lines[0] == "| | upgrade | roll-back | in all |"
    assert lines[1] == "| --- | ---: | ---: | ---: |"
    assert "| seconds | 60 | 40 | 100 |" in lines
    assert "| Pods that came and went | 7 | 2 | 9 |" in lines
    assert "| failed ADDs | 0 | 1 | 1 |" in lines
    assert "| packets received | 600 | 0 | 600 |" in lines
    assert lines[-1] == "| addresses held twice | | | 0 |"


@pytest.mark.parametrize(
    ("looked_up", "unanswered", "share"),
    [
        pytest.param(0, 0, 0.0, id="none asked"),
        pytest.param(0, 3, 1.0, id="none answered"),
        pytest.param(483, 38, 0.073, id="as in docs/updates.md"),
    ],
)
def test_unanswered_look_ups_are_a_part_of_all(
    looked_up: int, unanswered: int, share: float
) -> None:
    """What was asked before the first moment counts for nothing."""
    after = replace(
        _FIRST,
        looked_up=_FIRST.looked_up + looked_up,
        unanswered=_FIRST.unanswered + unanswered,
    )
    assert unanswered_share(_FIRST, after) == pytest.approx(share, abs=0.001)


def _endpoint(name: str, network: str, address: str) -> Endpoint:
    return Endpoint(
        name=name,
        pod_uid=f"uid-{name}",
        container_id=name,
        node="node1",
        network=network,
        interface="eth0",
        addresses=frozenset({address}),
    )


def test_two_danmeps_with_one_address_are_found() -> None:
    """An address is one network's: another one may have the same."""
    one = _endpoint("a", "lan", "10.0.0.1/24")
    assert told_twice([one, _endpoint("b", "wan", "10.0.0.1/24")]) == set()
    assert told_twice([one, _endpoint("b", "lan", "10.0.0.2/24")]) == set()
    assert told_twice([one, _endpoint("b", "lan", "10.0.0.1/24")]) == {"10.0.0.1 of lan: a, b"}


def test_two_namespaces_with_one_address_are_found() -> None:
    """On whatever nodes they are; what is of other networks is not looked at."""

    def node(name: str, path: str, *addresses: str) -> NodeView:
        netns = Netns(links=(Link(name="eth0", addresses=addresses),))
        return NodeView(node=name, namespaces={path: netns})

    first = node("node1", "/a", "10.78.0.1/24", "127.0.0.1/8")
    assert held_twice([first, node("node2", "/b", "127.0.0.1/8")], ["10.78."]) == set()
    assert held_twice([first, node("node2", "/b", "10.78.0.1/24")], ["10.78."]) == {
        "10.78.0.1: node1 /a, node2 /b"
    }
