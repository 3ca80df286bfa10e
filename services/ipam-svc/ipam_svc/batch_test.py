"""Several changes at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, ip_address

from hypothesis import given
from hypothesis import strategies as st

from danm_api.errors import DanmError, StaleAttemptError
from danm_api.model.ip_block import (
    Cooling,
    Entry,
    ExternalOwner,
    Held,
    IPBlock,
    PodOwner,
    owner_key,
)
from danm_api.names import Namespace, NetworkName, NetworkUid, NodeName
from danm_api.testing.builders import a_held_entry, a_pod_owner
from ipam_svc.address_space import AddressSpace
from ipam_svc.batch import judge
from ipam_svc.block import apply
from ipam_svc.block_change import (
    Change,
    Fence,
    GiveBack,
    Outcome,
    Seal,
    Sweep,
    TakeAny,
    TakeExact,
    Took,
)

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_BASE = int(ip_address("10.0.0.0"))
_SPACE = AddressSpace(version=4, intervals=((_BASE + 1, _BASE + 63),), start=_BASE + 1)


def _block() -> IPBlock:
    return IPBlock(
        namespace=Namespace("ns"),
        name="uid-0a000000",
        network=NetworkName("net"),
        network_uid=NetworkUid("uid"),
        cidr=IPv4Network("10.0.0.0/26"),
        resource_version="5",
    )


def _owner(name: str) -> PodOwner:
    return a_pod_owner(name, uid=name)


def _tool(name: str, *, expires_s: int = 100) -> ExternalOwner:
    expires = _NOW + timedelta(seconds=expires_s)
    return ExternalOwner(namespace=Namespace("ns"), name=name, reason="", expires=expires)


def _take(name: str, *, attempt: int = 1, after: int = _BASE + 60) -> TakeAny:
    return TakeAny(
        owner=_owner(name),
        node=NodeName("n1"),
        attempt=attempt,
        space=_SPACE,
        after=after,
        mac=None,
    )


def test_a_batch_goes_on_where_its_last_change_stopped() -> None:
    """Requests that all begin behind one cursor get the next addresses, then those before it."""
    changes = [_take(f"p{number}") for number in range(5)]
    _, verdicts = judge(_block(), changes, now=_NOW)
    taken = [int(each.held.address) - _BASE for each in verdicts if isinstance(each, Took)]
    assert taken == [61, 62, 63, 1, 2]


def test_what_a_sweep_frees_is_found_in_the_same_batch() -> None:
    """A search that goes on where the last one stopped does not pass over what came free."""
    # DESIGN P4
    tools = [
        a_held_entry(str(ip_address(_BASE + last)), owner=_tool(f"t{last}", expires_s=-20), node="")
        for last in (61, 62)
    ]
    block = replace(_block(), entries=tuple(tools))
    changes: list[Change] = [_take("a"), Sweep(cooldown_s=0), _take("b"), _take("c")]
    _, (first, _, *others) = judge(block, changes, now=_NOW)
    taken = [int(each.held.address) - _BASE for each in (first, *others) if isinstance(each, Took)]
    assert taken == [63, 61, 62]


def test_an_owner_that_asks_twice_in_a_batch_gets_one_address() -> None:
    """Also when it had one before the batch; a later attempt keeps it, an older one is refused."""
    before, _ = judge(_block(), [_take("old")], now=_NOW)
    changes = [_take("old", attempt=2), _take("new"), _take("new", attempt=3), _take("new")]
    after, verdicts = judge(before, changes, now=_NOW)
    old, first, second, late = verdicts
    assert isinstance(old, Took)
    assert isinstance(first, Took)
    assert isinstance(second, Took)
    assert (old.new, first.new, second.new) == (False, True, False)
    assert first.held.address == second.held.address
    assert isinstance(late, StaleAttemptError)
    assert len(after.entries) == 2


_NAMES = st.sampled_from("abcdef")
_ATTEMPTS = st.integers(1, 5)
_NUMBERS = st.integers(_BASE, _BASE + 63)
_NODES = st.sampled_from([NodeName("n1"), NodeName("n2")])
_ENTRIES: st.SearchStrategy[list[Entry]] = st.lists(
    st.one_of(
        st.builds(
            lambda number, name, attempt, node: a_held_entry(
                str(ip_address(number)), owner=_owner(name), attempt=attempt, node=node
            ),
            _NUMBERS,
            _NAMES,
            _ATTEMPTS,
            _NODES,
        ),
        st.builds(
            lambda number, name, seconds: a_held_entry(
                str(ip_address(number)), owner=_tool(name, expires_s=seconds), node=""
            ),
            _NUMBERS,
            _NAMES,
            st.sampled_from([-60, -15, -5, 5]),
        ),
        st.builds(
            lambda number, seconds: Cooling(
                address=ip_address(number), free_at=_NOW + timedelta(seconds=seconds)
            ),
            _NUMBERS,
            st.sampled_from([-5, 5]),
        ),
    ),
    max_size=64,
    unique_by=lambda entry: entry.address,
)
_CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        lambda name, after: replace(_take(name, after=after), owner=_tool(name), node=NodeName("")),
        _NAMES,
        st.sampled_from([_BASE - 1, _BASE + 20, _BASE + 60]),
    ),
    st.builds(
        lambda name, attempt, node, after: replace(
            _take(name, attempt=attempt, after=after), node=node
        ),
        _NAMES,
        _ATTEMPTS,
        _NODES,
        st.sampled_from([_BASE - 1, _BASE + 20, _BASE + 60]),
    ),
    st.builds(
        lambda name, attempt, node, number, keep: TakeExact(
            owner=_owner(name),
            node=node,
            attempt=attempt,
            address=ip_address(number),
            mac="02:00:00:00:00:02",
            keep_only=keep,
        ),
        _NAMES,
        _ATTEMPTS,
        _NODES,
        _NUMBERS,
        st.booleans(),
    ),
    st.builds(
        lambda name, attempt, number, cooldown_s: GiveBack(
            key=owner_key(_owner(name)),
            attempt=attempt,
            address=ip_address(number),
            cooldown_s=cooldown_s,
        ),
        _NAMES,
        _ATTEMPTS,
        _NUMBERS,
        st.sampled_from([0, 60]),
    ),
    st.sampled_from([Fence(), Seal(), Sweep(cooldown_s=0), Sweep(cooldown_s=20)]),
)


@given(_ENTRIES, st.lists(_CHANGES, max_size=20))
def test_a_batch_is_what_its_changes_are_one_by_one(
    entries: list[Entry], changes: list[Change]
) -> None:
    """What need not be looked at twice makes no difference."""
    block = replace(_block(), entries=tuple(sorted(entries, key=lambda each: int(each.address))))
    # Some give back what is there.
    changes += [
        GiveBack(
            key=owner_key(entry.owner),
            attempt=entry.attempt,
            address=entry.address,
            cooldown_s=0,
        )
        for entry in block.entries[::3]
        if isinstance(entry, Held)
    ] + changes[::2]
    expected, outcomes = block, list[str]()
    for change in changes:
        outcome: Outcome | DanmError
        try:
            expected, outcome = apply(expected, change, now=_NOW)
        except DanmError as error:
            outcome = error
        outcomes.append(repr(outcome))
    after, verdicts = judge(block, changes, now=_NOW)
    assert after == expected
    assert list(map(repr, verdicts)) == outcomes
