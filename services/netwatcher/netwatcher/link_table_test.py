"""Which names an event concerns."""

from collections.abc import Iterable
from dataclasses import replace

from danm_api.names import InterfaceName
from netwatcher.kernel import LinkChanged
from netwatcher.link_table import Concern, LinkTable
from netwatcher.links import ObservedLink, OtherKind, alias_for

OURS = InterfaceName("external.300")
OOPS = InterfaceName("oops")


def a_link(name: InterfaceName, *, index: int) -> ObservedLink:
    """Build a link of a dump."""
    return ObservedLink(
        index=index,
        name=name,
        alias=alias_for(name),
        group=0,
        up=True,
        carrier=True,
        mtu=1500,
        kind=OtherKind(name=""),
    )


def an_event(
    name: str,
    *,
    index: int = 7,
    alias: str = "",
    up: bool = True,
    mtu: int = 1500,
    fingerprint: bytes = b"vlan",
    altnames: Iterable[str] = (),
) -> LinkChanged:
    """Build an event."""
    return LinkChanged(
        index=index,
        name=InterfaceName(name),
        alias=alias,
        up=up,
        mtu=mtu,
        fingerprint=fingerprint,
        altnames=frozenset(map(InterfaceName, altnames)),
    )


def test_a_new_link_concerns_its_name() -> None:
    """A device that comes late may be the parent that links wait for."""  # SPEC N4
    concern = LinkTable().changed(an_event("ens4"))
    assert concern == Concern(
        links=frozenset({InterfaceName("ens4")}), parents=frozenset({InterfaceName("ens4")})
    )


def test_an_event_that_tells_nothing_new_concerns_nobody() -> None:
    """The kernel often says the same twice; a new kind of link is not the same."""  # DESIGN P6
    table = LinkTable()
    table.changed(an_event(OURS, alias=alias_for(OURS)))
    assert table.changed(an_event(OURS, alias=alias_for(OURS))) == Concern()
    other = an_event(OURS, alias=alias_for(OURS), fingerprint=b"vxlan")
    assert table.changed(other).links == {OURS}


def test_a_parents_children_follow_its_state_and_mtu_only() -> None:
    """Each link that is made on a parent causes an event of the parent; that costs nothing."""
    table = LinkTable()
    table.changed(an_event("ens4"))
    assert table.changed(an_event("ens4")).parents == frozenset()
    assert table.changed(an_event("ens4", mtu=9000)).parents == {"ens4"}
    assert table.changed(an_event("ens4", mtu=9000, up=False)).parents == {"ens4"}


def test_a_renamed_link_concerns_both_names() -> None:
    """The kernel tells only the new name; the old one is remembered."""  # SPEC N4
    table = LinkTable()
    table.changed(an_event(OURS, alias=alias_for(OURS)))
    concern = table.changed(an_event(OOPS, alias=alias_for(OURS)))
    assert concern.links == {OURS, OOPS}
    assert concern.marked == {OURS}
    assert concern.parents == {OURS, OOPS}
    assert table.renamed(OURS) == 7
    assert table.renamed(OOPS) is None


def test_a_link_is_known_by_its_alternative_names_too() -> None:
    """A DanmNet may name its host_device by one; they come after the device, and go before it."""
    table = LinkTable()  # SPEC N4
    table.begin_fill()
    dumped = replace(a_link(InterfaceName("ens4"), index=3), altnames=frozenset({OOPS}))
    table.fill([dumped])
    assert table.names_of(3) == {"ens4", OOPS}
    table.changed(an_event("ens4", index=3, altnames=["enp4s0"]))
    assert table.names_of(3) == {"ens4", "enp4s0"}
    concern = table.changed(an_event("ens4", index=3, altnames=["enp4s0", "lan"]))
    assert concern.links == concern.parents == {"ens4", "enp4s0", "lan"}
    assert table.changed(an_event("ens4", index=3, altnames=["lan", "enp4s0"])) == Concern()
    assert table.gone(3, InterfaceName("ens4")).parents == {"ens4", "enp4s0", "lan"}


def test_a_link_that_went_is_forgotten() -> None:
    """Its name is looked at once more, and its index means nothing any more."""
    table = LinkTable()
    table.changed(an_event(OOPS, alias=alias_for(OURS)))
    concern = table.gone(7, OOPS)
    assert concern.links == {OURS, OOPS}
    assert table.names_of(7) == frozenset()
    assert table.renamed(OURS) is None


def test_events_are_newer_than_a_dump_that_was_under_way() -> None:
    """What changed while the kernel was dumping is not forgotten."""  # SPEC N4
    table = LinkTable()
    table.changed(an_event(OURS, index=1, alias=alias_for(OURS)))
    table.changed(an_event("old", index=3))
    table.begin_fill()
    table.changed(an_event(OOPS, index=1, alias=alias_for(OURS)))
    table.gone(2, InterfaceName("gone"))
    table.fill([a_link(OURS, index=1), a_link(InterfaceName("gone"), index=2)])
    assert table.renamed(OURS) == 1
    assert table.names_of(2) == frozenset()
    assert table.names_of(3) == frozenset()
