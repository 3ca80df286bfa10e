"""What happens in a run: a seed says it, and nobody changes what belongs to others."""

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

import pytest

from tests.lab.chaos.controllers.actions import Action, Command, Damage, RunPod, Write
from tests.lab.chaos.controllers.deck import DECK, KINDS, WITHOUT_LEADER
from tests.lab.chaos.controllers.link_life import LinkLife
from tests.lab.chaos.controllers.link_life import foreign as foreign_links
from tests.lab.chaos.controllers.network_life import NAMES, NetworkLife, epilogue
from tests.lab.chaos.controllers.service_life import ServiceLife
from tests.lab.chaos.controllers.service_others import foreign
from tests.lab.chaos.schedule import Kind

_MANY = 4000

_LIVES = [
    pytest.param(lambda chance: ServiceLife(chance=chance).actions(), id="services"),
    pytest.param(lambda chance: NetworkLife(chance=chance).actions(), id="networks"),
    pytest.param(lambda chance: LinkLife(netns="n", chance=chance).actions(), id="links"),
]


def _first(life: Callable[[Random], Iterator[Action]], seed: int, count: int) -> list[Action]:
    return list(islice(life(Random(seed)), count))


@pytest.mark.parametrize("life", _LIVES)
def test_a_seed_says_it_all(life: Callable[[Random], Iterator[Action]]) -> None:
    """The same seed gives the same actions, another one others."""
    assert _first(life, 7, 300) == _first(life, 7, 300)
    assert _first(life, 7, 300) != _first(life, 8, 300)


def test_nobody_changes_what_others_made() -> None:
    """Or a run could not tell who touched it; and damage meets what carries our labels alone."""
    theirs = {(each.resource, each.namespace, each.name) for each in foreign()}
    for action in _first(_services, 1, _MANY):
        if isinstance(action, Write):
            assert (action.resource, action.namespace, action.name) not in theirs
        if isinstance(action, Damage):
            assert action.labels


def _services(chance: Random) -> Iterator[Action]:
    return ServiceLife(chance=chance).actions()


def test_nobody_changes_links_of_others() -> None:
    """The one whose name a DanmNet asks for is among them."""
    theirs = {"vx_taken", "vx_other", "mine", "vx_mine", "p9", "q9"}
    assert all(any(name in command for name in theirs) for command in foreign_links())
    for action in _first(lambda c: LinkLife(netns="n", chance=c).actions(), 1, _MANY):
        if isinstance(action, Command):
            assert not theirs & set(action.argv)


def test_everything_happens_to_services() -> None:
    """Each verb, to each kind; Pods of one name come again and again, with new interfaces."""
    actions = _first(_services, 1, _MANY)
    done = {(a.verb, a.resource.kind, a.subresource) for a in actions if isinstance(a, Write)}
    assert done == {
        ("create", "Service", ""),
        ("patch", "Service", ""),
        ("delete", "Service", ""),
        ("patch", "Pod", ""),
        ("patch", "Pod", "status"),
        ("delete", "Pod", ""),
        ("patch", "DanmEp", ""),
        ("delete", "DanmEp", ""),
        ("create", "Endpoints", ""),
        ("delete", "Endpoints", ""),
    }
    names = [i.name for a in actions if isinstance(a, RunPod) for i in a.interfaces]
    assert len(names) == len(set(names))
    damaged = {(a.resource.kind, a.patch is None, a.copy) for a in actions if isinstance(a, Damage)}
    assert damaged == {
        ("EndpointSlice", True, False),
        ("EndpointSlice", False, False),
        ("EndpointSlice", False, True),
        ("Endpoints", True, False),
        ("Endpoints", False, False),
    }


def test_what_may_take_longer_is_known() -> None:
    """Services whose names others may have had, and no more."""
    life = ServiceLife(chance=Random(1))
    seen = list(islice(life.actions(), _MANY))
    made = {
        (a.namespace, a.name)
        for a in seen
        if isinstance(a, Write) and a.resource.kind == "Endpoints"
    }
    assert made <= life.hindered
    life.begin(2)
    assert life.hindered == set()


def test_the_epilogue_contradicts_nobody() -> None:
    """Its DanmNets have names, a device and numbers of their own, and come anew in each round."""
    actions = [action for step in epilogue() for action in step]
    theirs = [a for a in actions if isinstance(a, Write) and a.resource.kind == "DanmNet"]
    made = {each.name: each.body["spec"]["Options"] for each in theirs if each.verb != "delete"}
    assert not {*made} & {*NAMES}
    devices = {options["host_device"] for options in made.values()}
    others = [
        action.body["spec"]["Options"]["host_device"]
        for action in _first(lambda c: NetworkLife(chance=c).actions(), 1, _MANY)
        if isinstance(action, Write) and "Options" in action.body.get("spec", {})
    ]
    assert not devices & {*others}
    assert len({options["vlan"] for options in made.values()}) == len(made)
    deleted = [each.name for each in theirs if each.verb == "delete"]
    assert sorted(deleted) == sorted(made)


def test_a_round_breaks_all_that_it_can() -> None:
    """What is of leaders is left out where none leads."""
    leaders = {Kind.KILL_LEADER, Kind.FREEZE_LEADER, Kind.STALL_LEADER}
    assert {card.kind for card in DECK} == set(KINDS)
    assert {card.kind for card in WITHOUT_LEADER} == set(KINDS) - leaders
