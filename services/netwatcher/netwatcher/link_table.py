"""What the kernel's events have told so far, and which link names an event concerns.

Pure. Nearly all events of a node are about Pods' interfaces and concern no host link: they cost a
few look-ups here (DESIGN, P6). So do those that tell nothing new, such as the several that a parent
sends for each link that is made on it. What the table says only decides where to look; what is done
follows from what the kernel answers then.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from danm_api.names import InterfaceName
from netwatcher.kernel import LinkChanged
from netwatcher.links import ObservedLink, name_in_alias


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """What an event may mean.

    Attributes:
        links: Names whose link may have changed.
        marked: Those of them that links with our mark were made under.
        parents: Names of host_devices that came, went, or changed in what their links follow.
    """

    links: frozenset[InterfaceName] = frozenset()
    marked: frozenset[InterfaceName] = frozenset()
    parents: frozenset[InterfaceName] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: InterfaceName
    made_as: InterfaceName | None
    up: bool
    mtu: int
    altnames: frozenset[InterfaceName] = frozenset()
    # None after a dump, which has other words for it.
    fingerprint: bytes | None = None

    @property
    def names(self) -> frozenset[InterfaceName]:
        return self.altnames | {self.name}


class LinkTable:
    """The links of the node by index, as far as anybody may care about them."""

    def __init__(self) -> None:
        self._rows: dict[int, _Row] = {}
        self._touched: set[int] = set()

    def begin_fill(self) -> None:
        """Say that a dump is being asked for: events from now on are newer than what it holds."""
        self._touched = set()

    def fill(self, links: Iterable[ObservedLink]) -> None:
        """Replace what is known by a dump, but for what events told since ``begin_fill``."""
        dumped = {
            link.index: _Row(
                name=link.name,
                made_as=link.made_as,
                up=link.up,
                mtu=link.mtu,
                altnames=link.altnames,
            )
            for link in links
            if link.index not in self._touched
        }
        newer = {index: row for index, row in self._rows.items() if index in self._touched}
        self._rows = dumped | newer

    def changed(self, event: LinkChanged) -> Concern:
        """Take in that a link came or changed."""
        row = _Row(
            name=event.name,
            made_as=name_in_alias(event.alias),
            up=event.up,
            mtu=event.mtu,
            altnames=event.altnames,
            fingerprint=event.fingerprint,
        )
        old = self._rows.get(event.index)
        self._rows[event.index] = row
        self._touched.add(event.index)
        if old is None:
            return _concern(row)
        if old == row:
            return Concern()
        same = (old.names, old.up, old.mtu) == (row.names, row.up, row.mtu)
        return _concern(row, old, about_children=not same)

    def gone(self, index: int, name: InterfaceName) -> Concern:
        """Take in that a link went."""
        last = _Row(name=name, made_as=None, up=False, mtu=0)
        old = self._rows.pop(index, None)
        self._touched.add(index)
        return _concern(last) if old is None else _concern(last, old)

    def names_of(self, index: int) -> frozenset[InterfaceName]:
        """Return the names of an index, alternative ones too."""
        row = self._rows.get(index)
        return frozenset() if row is None else row.names

    def renamed(self, name: InterfaceName) -> int | None:
        """Return the index of a link that was made under a name and bears another one."""
        return next(
            (
                index
                for index, row in self._rows.items()
                if row.made_as == name and row.name != name
            ),
            None,
        )


def _concern(*rows: _Row, about_children: bool = True) -> Concern:
    names = frozenset(name for row in rows for name in row.names)
    marked = frozenset(row.made_as for row in rows if row.made_as is not None)
    return Concern(
        links=names | marked, marked=marked, parents=names if about_children else frozenset()
    )
