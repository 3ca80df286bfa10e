"""Keeps the host links of one node as the DanmNets want them (SPEC N2 to N4).

Level-triggered: an event says only which link name to look at; what is done follows from the
DanmNets and from what the kernel answers at that moment. So a missed or doubled event, a restart or
a second netwatcher on the node changes nothing. Every so often, and whenever events were lost, all
links are compared in one pass over a dump.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from danm_api.errors import DanmError, LinkSetupError
from danm_api.kube.informer import Change, Informer
from danm_api.kube.workqueue import WorkQueue
from danm_api.model.addresses import IPAddress
from danm_api.model.danmnet import DanmNet
from danm_api.names import InterfaceName
from danm_api.telemetry import get_logger
from netwatcher.damage import damage
from netwatcher.ipv4_wait import IPV4_WAIT_S, Ipv4Wait
from netwatcher.kernel import (
    AddressesChanged,
    EventsLost,
    Kernel,
    LinkChanged,
    LinkEvent,
    LinkGone,
)
from netwatcher.link_states import LinkState, LinkStates
from netwatcher.link_table import Concern, LinkTable
from netwatcher.links import (
    Demand,
    HostLink,
    ObservedAddress,
    ObservedLink,
    PlainLink,
    demand,
    link_of,
    source_of,
)
from netwatcher.metrics import EVENTS_LOST, LINK_ACTIONS, LINK_LOSSES, LINK_REPAIRS, LINK_UP
from netwatcher.parents import Parents
from netwatcher.plan import AskUsers, Plan, Seen, plan_link
from netwatcher.users import LinkUsers

_log = get_logger(__name__)

# Names of the informer's indices.
BY_LINK: Final = "link"
BY_PARENT: Final = "parent"

# A link that somebody still uses is looked at again after this long; DanmEps are not watched.
_USERS_RECHECK_S: Final = 5.0

# All nodes hear at once that a link is wanted no more, and before it goes each asks the API server,
# which looks through all DanmEps for the answer: not more than five hundred nodes in a second.
_PARTING_PER_NODE_S: Final = 0.002
_MAX_PARTING_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class CheckLink:
    """Bring one link about."""

    name: InterfaceName


@dataclass(frozen=True, slots=True)
class CheckSource:
    """See whether tunnels over a host_device have to start at another address."""

    parent: InterfaceName


@dataclass(frozen=True, slots=True)
class CheckAll:
    """Compare all links."""


Task = CheckLink | CheckSource | CheckAll


def link_names(net: DanmNet) -> Iterable[str]:
    """Index a network by the link that its interfaces hang on."""
    link = link_of(net)
    return () if link is None else (link.name,)


def parent_names(net: DanmNet) -> Iterable[str]:
    """Index a network by the host_device of the link that is made for it."""
    match link_of(net):
        case HostLink(parent=parent):
            return (parent,)
        case PlainLink() | None:
            return ()


class LinkReconciler:
    """The node role."""

    def __init__(
        self,
        *,
        networks: Informer[DanmNet],
        kernel: Kernel,
        users: LinkUsers,
        queue: WorkQueue[Task],
        states: LinkStates,
        users_recheck_s: float = _USERS_RECHECK_S,
        ipv4_wait_s: float = IPV4_WAIT_S,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        """Take the edges; ``networks`` has the indices BY_LINK and BY_PARENT."""
        self._networks = networks
        self._kernel = kernel
        self._users = users
        self._queue = queue
        self._states = states
        self._users_recheck_s = users_recheck_s
        self._rng = rng
        self._table = LinkTable()
        # Of parents of tunnels, by index: read anew after each event about them, and not for each
        # tunnel.
        self._addresses: dict[int, tuple[ObservedAddress, ...]] = {}
        self._ipv4_wait = Ipv4Wait(wait_s=ipv4_wait_s, clock=clock)
        self._parents = Parents(kernel)
        self._sources: dict[InterfaceName, IPAddress | None] = {}
        self._compared = asyncio.Event()

    @property
    def compared(self) -> bool:
        """Say whether all links were compared at least once."""
        return self._compared.is_set()

    async def wait_compared(self) -> None:
        """Wait until all links were compared once."""
        await self._compared.wait()

    def on_network(self, change: Change[DanmNet]) -> None:
        """Look at the links that a DanmNet asks for, and at those that it asked for before."""
        old, new = change.old, change.new
        # How full a network is changes often, and every node hears of it; no link follows it.
        if old is not None and new is not None and _asks(old) == _asks(new):
            return
        for net in (each for each in (old, new) if each is not None):
            for name in link_names(net):
                self._queue.add_after(CheckLink(InterfaceName(name)), self._parting_s(name, net))
        self._states.networks_changed()

    def on_event(self, event: LinkEvent) -> None:
        """Look at what an event of the kernel may concern."""
        match event:
            case LinkChanged():
                self._look_at(self._table.changed(event))
            case LinkGone(index=index, name=name):
                self._addresses.pop(index, None)
                self._ipv4_wait.forget(index)
                self._look_at(self._table.gone(index, name))
            case AddressesChanged(index=index):
                self._addresses.pop(index, None)
                for parent in self._table.names_of(index):
                    if self._networks.by_index(BY_PARENT, parent):
                        self._queue.add(CheckSource(parent))
            case EventsLost():
                EVENTS_LOST.inc()
                self._parents.forget_all()
                self._queue.add(CheckAll())

    async def reconcile(self, task: Task) -> None:
        """Do one task.

        Raises:
            DanmError: It has to be tried again.
        """
        match task:
            case CheckLink(name=name):
                await self._check_link(name)
            case CheckSource(parent=parent):
                await self._check_source(parent)
            case CheckAll():
                await self._check_all()

    def _parting_s(self, name: str, net: DanmNet) -> float:
        """Return for how long a link is left alone that a network was the last to ask for."""
        if self._networks.by_index(BY_LINK, name):
            return 0.0
        nodes = 0 if net.status.nodes is None else net.status.nodes.total
        return min(nodes * _PARTING_PER_NODE_S, _MAX_PARTING_S) * self._rng()

    def _look_at(self, concern: Concern) -> None:
        for name in concern.links:
            self._parents.forget(name)
            wanted = self._networks.by_index(BY_LINK, name) or self._states.known(name)
            if wanted or name in concern.marked:
                self._queue.add(CheckLink(name))
        for parent in concern.parents:
            self._check_dependents(parent)

    def _check_dependents(self, parent: InterfaceName) -> None:
        for net in self._networks.by_index(BY_PARENT, parent):
            for name in link_names(net):
                self._queue.add(CheckLink(InterfaceName(name)))

    async def _check_source(self, parent: InterfaceName) -> None:
        link = await self._kernel.link_by_name(parent)
        source = None
        if link is not None:
            # What is known may have been read just before the event, and noted after it.
            self._addresses.pop(link.index, None)
            source = source_of(await self._addresses_of(link))
        # Only this task and a comparison of all links know that all dependents follow a source.
        if parent not in self._sources or source != self._sources[parent]:
            self._sources[parent] = source
            self._check_dependents(parent)

    async def _addresses_of(self, parent: ObservedLink) -> tuple[ObservedAddress, ...]:
        known = self._addresses.get(parent.index)
        if known is None:
            known = tuple(await self._kernel.addresses(parent.index))
            self._addresses[parent.index] = known
            self._ipv4_wait.saw(parent.index, known)
        return known

    async def _check_all(self) -> None:
        self._table.begin_fill()
        links = await self._kernel.links()
        self._table.fill(links)
        by_name = {name: link for link in links for name in (link.name, *link.altnames)}
        strays = {
            link.made_as: link
            for link in links
            if link.made_as is not None and link.made_as != link.name
        }
        self._addresses.clear()
        self._sources.clear()
        self._parents.forget_all()
        names = {InterfaceName(name) for net in self._networks.items() for name in link_names(net)}
        made = {link.made_as for link in links if link.made_as is not None}
        for name in sorted(names | made | self._states.names()):
            wanted = self._demand(name)
            device = wanted.parent
            parent = None if device is None else by_name.get(device)
            addresses: tuple[ObservedAddress, ...] = ()
            if device is not None and parent is not None and wanted.needs_source:
                addresses = await self._addresses_of(parent)
                self._sources[device] = source_of(addresses)
            seen = Seen(
                link=by_name.get(name),
                stray=strays.get(name),
                parent=parent,
                parent_addresses=addresses,
            )
            if not self._settled(name, wanted, seen):
                self._queue.add(CheckLink(name))
        self._compared.set()

    def _settled(self, name: InterfaceName, wanted: Demand, seen: Seen) -> bool:
        """Record the state of a link that needs no work, and say whether it needs none."""
        if isinstance(wanted.link, PlainLink):
            self._note(name, plain_state(name, seen.link))
            return True
        if plan_link(name, wanted.link, seen) != Plan():
            return False
        self._record(name, wanted, Plan())
        return True

    async def _check_link(self, name: InterfaceName) -> None:
        wanted = self._demand(name)
        if isinstance(wanted.link, PlainLink):
            self._note(name, plain_state(name, await self._kernel.link_by_name(name)))
            return
        try:
            plan = await self._plan(name, wanted)
            for action in plan.actions:
                await self._kernel.execute(action)
                LINK_ACTIONS.labels(action=type(action).__name__).inc()
                _log.info("Changed host link", link=name, action=str(action))
            for each in damage(plan.actions, was_up=self._states.get(name).up):
                LINK_REPAIRS.labels(each).inc()
        except DanmError as error:
            if wanted.link is not None:
                self._note(name, LinkState(up=False, reason=error.reason))
            if wanted.parent is not None:
                self._parents.forget(wanted.parent)
            raise
        self._record(name, wanted, plan)

    async def _plan(self, name: InterfaceName, wanted: Demand) -> Plan:
        link = wanted.link if isinstance(wanted.link, HostLink) else None
        seen = await self._observe(name, link)
        plan = plan_link(name, link, seen)
        if isinstance(plan, AskUsers):
            users = await self._users.users_of(name, plan.link, plain=wanted.plain)
            if users:
                self._queue.add_after(CheckLink(name), self._users_recheck_s)
            plan = plan_link(name, link, seen, users=users)
        if isinstance(plan, AskUsers):
            reason = f"the plan for link {name} asks for its users twice"
            raise LinkSetupError(reason)
        if plan.again_s > 0:
            self._queue.add_after(CheckLink(name), plan.again_s)
        return plan

    async def _observe(self, name: InterfaceName, wanted: HostLink | None) -> Seen:
        # At once: to hand a request to the kernel's thread takes longer than to answer it.
        link, stray = await asyncio.gather(self._kernel.link_by_name(name), self._find_stray(name))
        if link is not None and link.made_as == name:
            stray = None
        if wanted is None:
            return Seen(link=link, stray=stray)
        parent = await self._parents.read(wanted.parent)
        if parent is None or not wanted.needs_source:
            return Seen(link=link, stray=stray, parent=parent)
        addresses = await self._addresses_of(parent)
        if self._sources.get(wanted.parent) != source_of(addresses):
            # This one follows another source than all others: whichever stays is told to all.
            self._sources.pop(wanted.parent, None)
        return Seen(
            link=link,
            stray=stray,
            parent=parent,
            parent_addresses=addresses,
            ipv4_wait_s=self._ipv4_wait.left_s(parent.index, addresses),
        )

    async def _find_stray(self, name: InterfaceName) -> ObservedLink | None:
        index = self._table.renamed(name)
        link = None if index is None else await self._kernel.link_by_index(index)
        return link if link is not None and link.made_as == name else None

    def _demand(self, name: InterfaceName) -> Demand:
        return demand(name, self._networks.by_index(BY_LINK, name))

    def _record(self, name: InterfaceName, wanted: Demand, plan: Plan) -> None:
        state = LinkState(up=not plan.blocked, reason=plan.blocked)
        if wanted.link is not None:
            self._note(name, state, mended=bool(plan.actions))
            return
        # Nobody misses a link that has to go, also while something on it keeps it from going.
        LINK_LOSSES.remove(name)
        LINK_UP.remove(name)
        if plan.blocked:
            self._states.set(name, state)
        else:
            self._states.forget(name)

    def _note(self, name: InterfaceName, state: LinkState, *, mended: bool = False) -> None:
        """Record a link's state, and count when one that was up is not, or was not just before."""
        # Counted from zero, so that the first loss is an increase.
        losses = LINK_LOSSES.labels(link=name)
        if self._states.is_up(name) and (mended or not state.up):
            losses.inc()
        LINK_UP.labels(link=name).set(state.up)
        self._states.set(name, state)


def _asks(net: DanmNet) -> tuple[object, ...]:
    """Return all of a network that this role follows."""
    return (link_of(net), net.status.applied is None, net.created)


def plain_state(name: InterfaceName, link: ObservedLink | None) -> LinkState:
    """Return the state of a host_device that Pods hang on directly."""
    if link is None:
        reason = f"host_device {name} does not exist on this node; add it, or correct host_device"
    elif not link.up:
        reason = f"host_device {name} is down on this node; set it up"
    else:
        return LinkState(up=True)
    return LinkState(up=False, reason=reason)
