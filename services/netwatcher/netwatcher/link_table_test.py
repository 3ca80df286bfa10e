"""Which names an event concerns."""

from danm_api.names import InterfaceName
from netwatcher.kernel import LinkChanged
from netwatcher.link_table import Concern, LinkTable
from netwatcher.links import alias_for

OURS = InterfaceName("external.300")
OOPS = InterfaceName("oops")


def an_event(
    name: str, *, index: int = 7, alias: str = "", up: bool = True, mtu: int = 1500
) -> LinkChanged:
    """Build an event."""
    return LinkChanged(index=index, name=InterfaceName(name), alias=alias, up=up, mtu=mtu)


def test_a_new_link_concerns_its_name() -> None:
    """A device that comes late may be the parent that links wait for."""  # SPEC N4
    concern = LinkTable().changed(an_event("ens4"))
    assert concern == Concern(
        links=frozenset({InterfaceName("ens4")}), parents=frozenset({InterfaceName("ens4")})
    )


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


def test_a_link_that_went_is_forgotten() -> None:
    """Its name is looked at once more, and its index means nothing any more."""
    table = LinkTable()
    table.changed(an_event(OOPS, alias=alias_for(OURS)))
    concern = table.gone(7, OOPS)
    assert concern.links == {OURS, OOPS}
    assert table.name_of(7) is None
    assert table.renamed(OURS) is None
