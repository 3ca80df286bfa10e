"""What DanmNode tells about each network."""

from dataclasses import replace

from danm_api.model.danmnet import NetworkStatus, StaticDelegate, Vlan
from danm_api.names import InterfaceName, Namespace
from netwatcher.link_states import LinkState, LinkStates, node_networks
from netwatcher.testing.networks import a_net

LINK = InterfaceName("external.300")
DOWN = LinkState(up=False, reason="host_device ens4 is down on this node; set it up")


def test_every_network_is_told_in_order() -> None:
    """Up or not and why not, for all kinds of networks."""  # SPEC N6
    states = LinkStates(on_change=lambda: None)
    states.set(LINK, DOWN)
    nets = [
        a_net(namespace="z", segment=Vlan(vid=300)),
        a_net(namespace="a", segment=Vlan(vid=300)),
        a_net("management", device=None, kind=StaticDelegate(name="flannel")),
        a_net("new", device="ens5"),
        replace(a_net("refused"), status=NetworkStatus()),
    ]
    told = [
        (entry.namespace, entry.network, entry.link, entry.up, entry.reason)
        for entry in node_networks(nets, states)
    ]
    assert told == [
        ("a", "external", "external.300", False, DOWN.reason),
        ("n", "management", "", True, ""),
        ("n", "new", "ens5", False, "link ens5 was not looked at yet"),
        ("n", "refused", "", False, "not accepted; the DanmNet's conditions say why"),
        ("z", "external", "external.300", False, DOWN.reason),
    ]


def test_a_network_that_means_another_link_is_not_up() -> None:
    """It must not look as if it had what its neighbour has."""  # SPEC N3, N6
    states = LinkStates(on_change=lambda: None)
    states.set(LINK, LinkState(up=True))
    first = a_net(segment=Vlan(vid=300), age_s=10)
    second = replace(a_net(segment=Vlan(vid=300), device="ens3"), namespace=Namespace("other"))
    told = {str(entry.namespace): entry for entry in node_networks([first, second], states)}
    assert told["n"].up
    assert not told["other"].up
    assert "rename one of them" in told["other"].reason


def test_only_changes_are_told() -> None:
    """Looking at a link again writes nothing."""  # DESIGN P6
    changes: list[str] = []
    states = LinkStates(on_change=lambda: changes.append("changed"))
    states.set(LINK, DOWN)
    states.set(LINK, DOWN)
    assert len(changes) == 1
    states.forget(LINK)
    states.forget(LINK)
    assert len(changes) == 2
    assert states.names() == frozenset()
