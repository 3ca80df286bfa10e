"""The node's network in memory, as faithful as netwatcher's tests need it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from danm_api.errors import LinkSetupError
from danm_api.names import InterfaceName
from netwatcher.kernel import AddressesChanged, LinkChanged, LinkEvent, LinkGone
from netwatcher.links import (
    HALF_MADE_GROUP,
    VXLAN_PORT,
    ObservedAddress,
    ObservedLink,
    ObservedVlan,
    ObservedVxlan,
    OtherKind,
    alias_for,
)
from netwatcher.plan import (
    Action,
    CreateVlan,
    CreateVxlan,
    Delete,
    Mark,
    Rename,
    SetMtu,
    SetUp,
    SetVxlanSource,
)

_VXLAN_OVERHEAD = {4: 50, 6: 70}


class FakeKernel:
    """A ``Kernel`` in memory.

    Attributes:
        executed: Every action that was carried out, for tests of what was not done.
        silent: Swallow events, as a socket that ran over does.
    """

    def __init__(self) -> None:
        self.executed: list[Action] = []
        self.silent = False
        self._links: dict[int, ObservedLink] = {}
        self._addresses: dict[int, list[ObservedAddress]] = {}
        self._last_index = 0
        self._handlers: list[Callable[[LinkEvent], None]] = []
        self._dies_after_create = False

    # What a test does.

    def add_parent(
        self,
        name: str,
        *addresses: ObservedAddress,
        up: bool = True,
        mtu: int = 1500,
        altnames: Iterable[str] = (),
    ) -> int:
        """Plug a device in and return its index."""
        index = self._add(name, OtherKind(name=""), up=up, mtu=mtu, altnames=altnames)
        self.set_addresses(index, *addresses)
        return index

    def add_foreign(
        self,
        name: str,
        kind: ObservedVlan | ObservedVxlan | OtherKind,
        *,
        altnames: Iterable[str] = (),
    ) -> int:
        """Let somebody else make a link."""
        return self._add(name, kind, up=True, mtu=1500, altnames=altnames)

    def place(self, link: ObservedLink) -> None:
        """Put a link as it is given in the place of its index."""
        self._put(link)

    def set_addresses(self, index: int, *addresses: ObservedAddress) -> None:
        """Replace the addresses of a link."""
        self._addresses[index] = list(addresses)
        self._tell(AddressesChanged(index=index))

    def change(
        self,
        name: str,
        *,
        up: bool | None = None,
        mtu: int | None = None,
        renamed_to: str | None = None,
    ) -> None:
        """Let somebody change a link by hand."""
        link = self.named(name)
        self._put(
            replace(
                link,
                up=link.up if up is None else up,
                mtu=link.mtu if mtu is None else mtu,
                name=InterfaceName(renamed_to or link.name),
            )
        )

    def remove(self, name: str) -> None:
        """Let somebody remove a link, and with it all that hang on it."""
        self._remove(self.named(name).index)

    def die_after_next_create(self) -> None:
        """Let the next creation leave an unmarked link behind and fail."""
        self._dies_after_create = True

    def named(self, name: str) -> ObservedLink:
        """Return the link of a name, which must exist."""
        return next(link for link in self._links.values() if link.name == name)

    def names(self) -> set[str]:
        """Return the names of all links."""
        return {link.name for link in self._links.values()}

    # The Kernel protocol.

    async def link_by_name(self, name: InterfaceName) -> ObservedLink | None:
        """Return the link of a name."""
        return next(
            (link for link in self._links.values() if name in (link.name, *link.altnames)), None
        )

    async def link_by_index(self, index: int) -> ObservedLink | None:
        """Return the link of an index."""
        return self._links.get(index)

    async def links(self) -> Sequence[ObservedLink]:
        """Return all links."""
        return list(self._links.values())

    async def children(self, index: int) -> Sequence[InterfaceName]:
        """Return the links that hang on a link."""
        return [link.name for link in self._links.values() if _parent_of(link) == index]

    async def addresses(self, index: int) -> Sequence[ObservedAddress]:
        """Return a link's addresses."""
        return list(self._addresses.get(index, ()))

    async def execute(self, action: Action) -> None:
        """Carry an action out as Linux does."""
        self.executed.append(action)
        match action:
            case CreateVlan() | CreateVxlan():
                self._create(action)
            case Mark(index=index, name=name):
                self._put(replace(self._links[index], alias=alias_for(name), group=0))
            case Rename(index=index, name=name):
                self._put(replace(self._links[index], name=name, up=True))
            case SetMtu(index=index, mtu=mtu):
                self._put(replace(self._links[index], mtu=mtu))
            case SetVxlanSource(index=index, source=source):
                link = self._links[index]
                assert isinstance(link.kind, ObservedVxlan)
                self._put(replace(link, kind=replace(link.kind, source=source)))
            case SetUp(index=index):
                self._put(replace(self._links[index], up=True))
            case Delete(index=index):
                if index in self._links:
                    self._remove(index)

    async def subscribe(self, on_event: Callable[[LinkEvent], None]) -> None:
        """Call ``on_event`` for whatever happens from now on."""
        self._handlers.append(on_event)

    def _create(self, action: CreateVlan | CreateVxlan) -> None:
        parent = self._links[action.parent_index]
        kind: ObservedVlan | ObservedVxlan
        if isinstance(action, CreateVlan):
            kind = ObservedVlan(parent_index=parent.index, vid=action.vid)
            taken = any(link.kind == kind for link in self._links.values())
            mtu = parent.mtu
        else:
            kind = ObservedVxlan(
                parent_index=parent.index,
                vni=action.vni,
                port=VXLAN_PORT,
                source=action.source,
                group=action.group,
                learning=True,
            )
            taken = any(
                isinstance(link.kind, ObservedVxlan) and link.kind.vni == action.vni
                for link in self._links.values()
            )
            mtu = parent.mtu - _VXLAN_OVERHEAD[action.source.version]
        if taken or action.name in self.names():
            raise LinkSetupError(f"the kernel refused to create link {action.name}: File exists")
        index = self._add(action.name, kind, up=False, mtu=mtu, group=HALF_MADE_GROUP)
        if self._dies_after_create:
            self._dies_after_create = False
            raise LinkSetupError("netwatcher died")
        marked = replace(self._links[index], alias=alias_for(action.name), group=0, up=True)
        self._put(marked)

    def _add(
        self,
        name: str,
        kind: ObservedVlan | ObservedVxlan | OtherKind,
        *,
        up: bool,
        mtu: int,
        group: int = 0,
        altnames: Iterable[str] = (),
    ) -> int:
        self._last_index += 1
        self._put(
            ObservedLink(
                index=self._last_index,
                name=InterfaceName(name),
                alias="",
                group=group,
                up=up,
                carrier=True,
                mtu=mtu,
                kind=kind,
                altnames=frozenset(map(InterfaceName, altnames)),
            )
        )
        return self._last_index

    def _put(self, link: ObservedLink) -> None:
        self._links[link.index] = link
        self._tell(
            LinkChanged(
                index=link.index,
                name=link.name,
                alias=link.alias,
                up=link.up,
                mtu=link.mtu,
                fingerprint=repr((link.kind, link.group, link.carrier)).encode(),
                altnames=link.altnames,
            )
        )

    def _remove(self, index: int) -> None:
        for link in list(self._links.values()):
            if _parent_of(link) == index:
                self._remove(link.index)
        gone = self._links.pop(index)
        self._addresses.pop(index, None)
        self._tell(LinkGone(index=index, name=gone.name))

    def _tell(self, event: LinkEvent) -> None:
        if not self.silent:
            for handler in self._handlers:
                handler(event)


def _parent_of(link: ObservedLink) -> int | None:
    match link.kind:
        case ObservedVlan(parent_index=parent) | ObservedVxlan(parent_index=parent):
            return parent
        case OtherKind():
            return None
