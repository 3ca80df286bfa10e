"""What is known about each host link of the node, for DanmNode (SPEC N6).

Pure.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from danm_api.model.danm_node import NodeNetwork
from danm_api.model.danmnet import DanmNet
from danm_api.names import InterfaceName
from netwatcher.links import demand, link_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """One link.

    Attributes:
        reason: Why interfaces cannot be made on it, and the way out; empty when they can.
    """

    up: bool
    reason: str = ""


class LinkStates:
    """The states of all links that are wanted, or that still have to go."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Call ``on_change`` whenever anything that DanmNode tells may have changed."""
        self._states: dict[InterfaceName, LinkState] = {}
        self._on_change = on_change

    def set(self, name: InterfaceName, state: LinkState) -> None:
        """Record a link's state."""
        if self._states.get(name) != state:
            self._states[name] = state
            self._on_change()

    def forget(self, name: InterfaceName) -> None:
        """Drop a link that nobody asks for and that is gone."""
        if self._states.pop(name, None) is not None:
            self._on_change()

    def networks_changed(self) -> None:
        """Take note that a DanmNet came, went or changed."""
        self._on_change()

    def known(self, name: InterfaceName) -> bool:
        """Say whether a link has a state."""
        return name in self._states

    def is_up(self, name: InterfaceName) -> bool:
        """Say whether a link was up when it was looked at last."""
        state = self._states.get(name)
        return state is not None and state.up

    def names(self) -> frozenset[InterfaceName]:
        """Return the links that have a state."""
        return frozenset(self._states)

    def count_up(self) -> int:
        """Return how many links are up."""
        return sum(state.up for state in self._states.values())

    def get(self, name: InterfaceName) -> LinkState:
        """Return a link's state; one that nobody looked at yet is not up."""
        waiting = LinkState(up=False, reason=f"link {name} was not looked at yet")
        return self._states.get(name, waiting)


def node_networks(networks: Iterable[DanmNet], states: LinkStates) -> tuple[NodeNetwork, ...]:
    """Return what DanmNode says about each network, in its order."""
    ordered = sorted(networks, key=lambda net: (net.namespace, net.name))
    sharing: dict[InterfaceName, list[DanmNet]] = {}
    for net in ordered:
        link = link_of(net)
        if link is not None:
            sharing.setdefault(link.name, []).append(net)
    outvoted = {
        (net.namespace, net.name)
        for name, sharers in sharing.items()
        for net in demand(name, sharers).outvoted
    }
    return tuple(
        _node_network(net, states, outvoted=(net.namespace, net.name) in outvoted)
        for net in ordered
    )


def _node_network(net: DanmNet, states: LinkStates, *, outvoted: bool) -> NodeNetwork:
    link = link_of(net)
    if net.status.applied is None:
        state = LinkState(up=False, reason="not accepted; the DanmNet's conditions say why")
    elif link is None:
        state = LinkState(up=True)
    elif outvoted:
        reason = f"another DanmNet means another link by the name {link.name}; rename one of them"
        state = LinkState(up=False, reason=reason)
    else:
        state = states.get(link.name)
    return NodeNetwork(
        namespace=net.namespace,
        network=net.name,
        link="" if link is None else link.name,
        up=state.up,
        reason=state.reason,
    )
