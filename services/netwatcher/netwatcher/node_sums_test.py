"""Sums over nodes."""

from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.danm_node import DanmNode, NodeNetwork
from danm_api.model.danmnet import NodeSum
from danm_api.names import Namespace, NetworkName, NodeName
from netwatcher.node_sums import NetworkKey, NodeReport, NodeSums, ReportReader

KEY: NetworkKey = (Namespace("n"), NetworkName("external"))


def a_report(node: str, *, up: bool, reason: str = "no ens4") -> NodeReport:
    """Return what a node says of one network."""
    if up:
        return NodeReport(node=NodeName(node), up=(KEY,))
    return NodeReport(node=NodeName(node), down=((KEY, reason),))


def test_a_network_is_counted_on_all_nodes() -> None:
    """Those that can use it, all that there are, and what is missing on the others."""  # SPEC N6
    sums = NodeSums()
    for number in range(2):
        sums.take(None, a_report(f"up-{number}", up=True))
    for number in range(5):
        sums.take(None, a_report(f"down-{number}", up=False))
    sums.take(None, NodeReport(node=NodeName("new")))
    assert sums.sum_of(KEY) == NodeSum(
        ready=2, total=8, why="down-0: no ens4; down-1: no ens4; down-2: no ens4; and 2 more"
    )


def test_only_what_changed_is_counted_anew() -> None:
    """A node that reports the same again costs nothing; another reason is a change."""  # DESIGN P6
    sums = NodeSums()
    up, down, other = (
        a_report("a", up=True),
        a_report("a", up=False),
        a_report("a", up=False, reason="ens4 is down"),
    )
    assert sums.take(None, up) == {KEY}
    assert sums.take(up, up) == set()
    assert sums.take(up, down) == {KEY}
    assert sums.take(down, other) == {KEY}
    assert sums.sum_of(KEY) == NodeSum(ready=0, total=1, why="a: ens4 is down")
    assert sums.take(other, None) == {KEY}
    assert sums.sum_of(KEY) == NodeSum(ready=0, total=0)


def test_equal_names_are_kept_once() -> None:
    """Thousands of nodes report the same networks."""  # DESIGN P6
    reader = ReportReader()

    def another(text: str) -> str:
        return text.encode().decode()

    first, second = (
        reader.read(
            DanmNode(
                name=NodeName(name),
                networks=(
                    NodeNetwork(
                        namespace=Namespace(another("n-1")),
                        network=NetworkName(another("external")),
                        link="ens4",
                        up=False,
                        reason=another("no ens4" * 100),
                    ),
                ),
            )
        )
        for name in ("a", "b")
    )
    assert first.down[0][0] is second.down[0][0]
    assert first.down[0][1] is second.down[0][1]
    assert len(first.down[0][1]) == 200


def test_what_is_kept_once_is_not_kept_for_ever() -> None:
    """Networks come and go, and a node may give another reason each time."""  # DESIGN P6
    reader = ReportReader(limit=10)
    for number in range(100):
        states = (
            NodeNetwork(
                namespace=Namespace("n"),
                network=NetworkName(f"network-{number}"),
                link="ens4",
                up=up,
                reason="" if up else f"reason {number}",
            )
            for up in (True, False)
        )
        reader.read(DanmNode(name=NodeName("a"), networks=tuple(states)))
    assert len(reader) <= 2 * 10


_networks = st.dictionaries(
    st.sampled_from(["x", "y", "z"]), st.sampled_from(["", "no ens4", "ens4 is down"])
)
_steps = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.none() | _networks), max_size=20)


@given(_steps)
def test_sums_are_those_of_a_recount(steps: list[tuple[str, dict[str, str] | None]]) -> None:
    """However nodes come, go and change."""  # SPEC N6
    sums = NodeSums()
    known: dict[str, NodeReport] = {}
    for node, networks in steps:
        old = known.pop(node, None)
        new = None
        if networks is not None:
            keys = {name: (Namespace("n"), NetworkName(name)) for name in networks}
            new = NodeReport(
                node=NodeName(node),
                up=tuple(keys[name] for name, reason in networks.items() if not reason),
                down=tuple((keys[name], reason) for name, reason in networks.items() if reason),
            )
            known[node] = new
        sums.take(old, new)
    for name in ("x", "y", "z"):
        key = (Namespace("n"), NetworkName(name))
        down = sorted(
            (report.node, reason)
            for report in known.values()
            for each, reason in report.down
            if each == key
        )
        assert sums.sum_of(key) == NodeSum(
            ready=sum(key in report.up for report in known.values()),
            total=len(known),
            why="; ".join(f"{node}: {reason}" for node, reason in down),
        )
