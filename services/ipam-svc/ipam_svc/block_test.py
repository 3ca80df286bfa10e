"""What can happen to one block."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.errors import (
    AddressTakenError,
    InvalidRequestError,
    NetworkNotReadyError,
    StaleAttemptError,
)
from danm_api.model.ip_block import ExternalOwner, Held, IPBlock, Owner, PodOwner, owner_key
from danm_api.names import InterfaceName, Namespace, NetworkName, NetworkUid, NodeName, PodUid
from danm_api.record.entries import CLOCK_SKEW, held_entries
from ipam_svc.address_space import AddressSpace
from ipam_svc.batch import judge
from ipam_svc.block import apply
from ipam_svc.block_change import (
    Confirm,
    Expired,
    GaveBack,
    GiveBack,
    NoSpace,
    NotHeld,
    Seal,
    Sealed,
    Sweep,
    Swept,
    TakeAny,
    TakeExact,
    Took,
)
from ipam_svc.readings import entry_at, is_empty

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_OVER = _NOW + CLOCK_SKEW
_BASE = int(ip_address("10.0.0.0"))
_SPACE = AddressSpace(version=4, intervals=((_BASE + 1, _BASE + 3),), start=_BASE + 1)


def _block(**fields: object) -> IPBlock:
    values: dict[str, object] = {
        "namespace": Namespace("ns"),
        "name": "uid-0a000000",
        "network": NetworkName("net"),
        "network_uid": NetworkUid("uid"),
        "cidr": IPv4Network("10.0.0.0/26"),
        "resource_version": "5",
        **fields,
    }
    return IPBlock(**values)  # type: ignore[arg-type]


def _pod(name: str = "p", interface: str = "eth0") -> PodOwner:
    return PodOwner(
        namespace=Namespace("ns"),
        name=name,
        uid=PodUid(f"uid-{name}"),
        interface=InterfaceName(interface),
    )


def _expiring() -> ExternalOwner:
    return ExternalOwner(namespace=Namespace("ns"), name="x", reason="", expires=_NOW)


def _any(owner: Owner, *, attempt: int = 1, after: int = _BASE) -> TakeAny:
    return TakeAny(
        owner=owner, node=NodeName("n1"), attempt=attempt, space=_SPACE, after=after, mac=None
    )


def _exact(owner: Owner, last: int, *, attempt: int = 1, keep_only: bool = False) -> TakeExact:
    return TakeExact(
        owner=owner,
        node=NodeName("n1"),
        attempt=attempt,
        address=ip_address(_BASE + last),
        mac="fa:16:3e:00:00:07",
        keep_only=keep_only,
    )


def _back(owner: Owner, last: int, *, attempt: int = 1, cooldown_s: int = 0) -> GiveBack:
    return GiveBack(
        key=owner_key(owner),
        attempt=attempt,
        address=ip_address(_BASE + last),
        cooldown_s=cooldown_s,
    )


def _held(block: IPBlock) -> list[tuple[str, int]]:
    return [
        (str(entry.address), entry.attempt) for entry in block.entries if isinstance(entry, Held)
    ]


def test_next_fit_within_the_block() -> None:
    """The search begins behind the last address, and wraps around."""
    block, outcomes = judge(
        _block(),
        [_any(_pod(f"p{i}"), after=_BASE + 2) for i in range(4)],
        now=_NOW,
    )
    assert [str(each.held.address) for each in outcomes if isinstance(each, Took)] == [
        "10.0.0.3",
        "10.0.0.1",
        "10.0.0.2",
    ]
    assert outcomes[3] == NoSpace()
    assert _held(block) == [("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.3", 1)]


def test_entry_tells_all_about_its_owner() -> None:
    """A new entry has owner, node, attempt, time and the MAC of its address."""
    block, outcome = apply(_block(), _any(_pod(), attempt=9), now=_NOW)
    assert outcome == Took(
        held=Held(
            address=ip_address("10.0.0.1"),
            owner=_pod(),
            node=NodeName("n1"),
            attempt=9,
            since=_NOW,
            mac="fa:16:3e:00:00:01",
        ),
        new=True,
    )
    assert entry_at(block, ip_address("10.0.0.1")) == block.entries[0]
    assert entry_at(block, ip_address("10.0.0.2")) is None


@pytest.mark.parametrize("change", [_any(_pod(), attempt=3), _exact(_pod(), 1, attempt=3)])
def test_own_entry_is_kept_with_the_later_attempt(change: TakeAny | TakeExact) -> None:
    """Taking over one's own entry raises its attempt and leaves the rest, unknown fields too."""
    # SPEC G7
    old = Held(
        address=ip_address("10.0.0.1"),
        owner=_pod(),
        node=NodeName("n1"),
        attempt=2,
        since=_NOW - timedelta(days=1),
        mac="fa:16:3e:00:00:01",
        unknown={"later": 1},
    )
    block, outcome = apply(_block(entries=(old,)), change, now=_NOW)
    assert isinstance(outcome, Took)
    assert not outcome.new
    assert (outcome.held.attempt, outcome.held.since, outcome.held.unknown) == (
        3,
        old.since,
        {"later": 1},
    )
    assert block.entries == (outcome.held,)


@pytest.mark.parametrize("change", [_any(_pod(), attempt=3), _exact(_pod(), 1, attempt=3)])
def test_older_attempt_is_refused(change: TakeAny | TakeExact) -> None:
    """A reserve that comes late is refused with the number that holds the address."""
    block, _ = apply(_block(), _any(_pod(), attempt=4), now=_NOW)
    with pytest.raises(StaleAttemptError) as caught:
        apply(block, change, now=_NOW)
    assert caught.value.current_attempt == 4


def test_static_address() -> None:
    """A static address is taken where it is free, refused with its holder's name where not."""
    # SPEC G3
    block, _ = apply(_block(), _exact(_pod("a"), 7), now=_NOW)
    told = r"10\.0\.0\.7 of DanmNet ns/net is held by Pod .*; ask for another address or wait"
    with pytest.raises(AddressTakenError, match=told):
        apply(block, _exact(_pod("b"), 7), now=_NOW)
    with pytest.raises(InvalidRequestError):
        apply(block, _exact(_pod("b"), 70), now=_NOW)
    _, kept = apply(block, _exact(_pod("b"), 8, keep_only=True), now=_NOW)
    assert kept == NotHeld(holder=None)


@pytest.mark.parametrize(
    ("change", "freed"),
    [
        pytest.param(_back(_pod(), 1), True, id="exactly"),
        pytest.param(_back(_pod(), 1, attempt=2), False, id="later attempt"),
        pytest.param(_back(_pod(), 1, attempt=0), False, id="earlier attempt"),
        pytest.param(_back(_pod("q"), 1), False, id="other owner"),
        pytest.param(_back(_pod(interface="eth1"), 1), False, id="other interface"),
        pytest.param(_back(_pod(), 2), False, id="other address"),
    ],
)
def test_release_of_exactly_one_entry(*, change: GiveBack, freed: bool) -> None:
    """Only an entry of exactly this owner and attempt is freed."""
    # DESIGN, "Attempts fence"
    block, _ = apply(_block(), _any(_pod()), now=_NOW)
    after, outcome = apply(block, change, now=_NOW)
    assert isinstance(outcome, GaveBack if freed else NotHeld)
    assert _held(after) == ([] if freed else [("10.0.0.1", 1)])


def test_cooldown() -> None:
    """A cooling address is free for dynamic requests when its time is over, else at once."""
    # SPEC A7
    block, _ = apply(_block(), _any(_pod()), now=_NOW)
    block, _ = apply(block, _back(_pod(), 1, cooldown_s=30), now=_NOW)
    assert not is_empty(block, now=_NOW + timedelta(seconds=29))
    assert is_empty(block, now=_NOW + timedelta(seconds=30))
    for seconds, expected in ((29, "10.0.0.2"), (30, "10.0.0.1")):
        _, outcome = apply(block, _any(_pod("q")), now=_NOW + timedelta(seconds=seconds))
        assert isinstance(outcome, Took)
        assert str(outcome.held.address) == expected
    _, outcome = apply(block, _exact(_pod("q"), 1), now=_NOW)
    assert isinstance(outcome, Took)


def test_a_cooling_address_is_not_taken_for_whom_another_would_do() -> None:
    """It counts as taken while it cools, and is had afterwards."""
    # SPEC A7
    block, _ = apply(_block(), _any(_pod()), now=_NOW)
    block, _ = apply(block, _back(_pod(), 1, cooldown_s=30), now=_NOW)
    change = replace(_exact(_pod("q"), 1), dynamic=True)
    with pytest.raises(AddressTakenError, match="cools"):
        apply(block, change, now=_NOW + timedelta(seconds=29))
    for before in (block, _block()):
        _, outcome = apply(before, change, now=_NOW + timedelta(seconds=30))
        assert isinstance(outcome, Took)


def test_an_address_that_its_owner_leaves_is_not_kept() -> None:
    """It stays the owner's beside the new one; a later attempt is still noticed by it."""
    # SPEC G5; DESIGN, "Attempts fence"
    block, _ = apply(_block(), _any(_pod(), attempt=3), now=_NOW)
    left = frozenset({ip_address("10.0.0.1")})
    after, outcome = apply(block, replace(_any(_pod(), attempt=4), left=left), now=_NOW)
    assert isinstance(outcome, Took)
    assert _held(after) == [("10.0.0.1", 3), ("10.0.0.2", 4)]
    _, again = apply(after, replace(_any(_pod(), attempt=5), left=left), now=_NOW)
    assert isinstance(again, Took)
    assert (str(again.held.address), again.new) == ("10.0.0.2", False)
    with pytest.raises(StaleAttemptError):
        apply(block, replace(_any(_pod(), attempt=2), left=left), now=_NOW)


def test_sealed_block_keeps_and_takes_nothing_new() -> None:
    """A sealed block lets owners keep what they have, and takes no new entry."""
    # SPEC A5
    block, _ = apply(_block(), _any(_pod()), now=_NOW)
    block, outcome = apply(block, Seal(), now=_NOW)
    assert outcome == Sealed()
    assert apply(block, _any(_pod("q")), now=_NOW)[1] == NoSpace()
    with pytest.raises(NetworkNotReadyError):
        apply(block, _exact(_pod("q"), 2), now=_NOW)
    assert isinstance(apply(block, _any(_pod(), attempt=2), now=_NOW)[1], Took)
    assert isinstance(apply(block, _back(_pod(), 1), now=_NOW)[1], GaveBack)


def test_block_that_does_not_exist_is_not_sealed() -> None:
    """Sealing makes no block."""
    absent = _block(resource_version="")
    assert apply(absent, Seal(), now=_NOW) == (absent, Sealed())


def test_one_refusal_does_not_stop_the_others() -> None:
    """Changes are judged one after the other, each on what the one before left."""
    block, outcomes = judge(
        _block(),
        [_exact(_pod("a"), 1), _exact(_pod("b"), 1), _back(_pod("a"), 1), _exact(_pod("c"), 1)],
        now=_NOW,
    )
    assert [type(each) for each in outcomes] == [Took, AddressTakenError, GaveBack, Took]
    assert entry_at(block, ip_address("10.0.0.1")) == block.entries[0]
    assert _held(block) == [("10.0.0.1", 1)]


def test_expired_external_owner_gives_way() -> None:
    """An address whose owner agreed to an expiry can be swept when it is over by every clock."""
    # SPEC I3; decision 0015
    block, _ = apply(_block(), _exact(_expiring(), 1), now=_NOW - timedelta(seconds=2))
    early = _OVER - timedelta(seconds=1)
    with pytest.raises(AddressTakenError, match="the external owner ns/x"):
        apply(block, _exact(_pod(), 1), now=early)
    assert apply(block, Sweep(cooldown_s=0), now=early) == (block, Swept(held=()))
    swept, outcome = apply(block, Sweep(cooldown_s=0), now=_OVER)
    assert outcome == Swept(held=held_entries(block))
    assert swept.entries == ()


def test_what_has_expired_is_nobody_elses_before_it_is_swept() -> None:
    """A full block stays full until a write has made room: a late write finds no place in it."""
    # README, "Release after an unknown outcome": full blocks need no fence.
    changes = [_exact(_expiring(), 1), _exact(_pod("a"), 2), _exact(_pod("b"), 3)]
    block, _ = judge(_block(), changes, now=_NOW - timedelta(seconds=2))
    assert apply(block, _exact(_pod(), 1), now=_OVER) == (block, Expired())
    assert apply(block, _any(_pod()), now=_OVER) == (block, NoSpace())
    _, kept = apply(block, _exact(_expiring(), 1, attempt=2), now=_OVER)
    assert isinstance(kept, Took)
    swept, _ = apply(block, Sweep(cooldown_s=0), now=_OVER)
    for change in (_exact(_pod(), 1), _any(_pod())):
        _, outcome = apply(swept, change, now=_OVER)
        assert isinstance(outcome, Took)
        assert outcome.held.address == ip_address("10.0.0.1")


@pytest.mark.parametrize("change", [Sweep(cooldown_s=30), _back(_expiring(), 1, cooldown_s=30)])
@pytest.mark.parametrize("late_s", [0, 5, 29, 30, 500])
def test_what_has_expired_cools_since_its_end(change: Sweep | GiveBack, late_s: int) -> None:
    """Whoever gives it back, and when, it is free for others at the same moment."""
    # SPEC A7
    block, _ = apply(_block(), _exact(_expiring(), 1), now=_NOW - timedelta(seconds=2))
    block, _ = apply(block, change, now=_OVER + timedelta(seconds=late_s))
    for seconds, expected in ((29, "10.0.0.2"), (30, "10.0.0.1")):
        now = _OVER + timedelta(seconds=max(seconds, late_s))
        _, outcome = apply(block, _any(_pod()), now=now)
        assert isinstance(outcome, Took)
        assert str(outcome.held.address) == (expected if late_s < 30 else "10.0.0.1")
    _, outcome = apply(block, _exact(_pod(), 1), now=_OVER + timedelta(seconds=late_s))
    assert isinstance(outcome, Took)


def test_owner_on_another_node_is_another_owner() -> None:
    """An entry is not kept by the same UID on another node."""
    # DESIGN, "A rooted node must stay one node"
    block, _ = apply(_block(), _exact(_pod(), 1, attempt=1), now=_NOW)
    other = replace(_exact(_pod(), 1, attempt=9), node=NodeName("n2"))
    with pytest.raises(AddressTakenError, match="on node n1"):
        apply(block, other, now=_NOW)
    _, outcome = apply(block, replace(_any(_pod(), attempt=9), node=NodeName("n2")), now=_NOW)
    assert isinstance(outcome, Took)
    assert outcome.new


_CHANGES = st.one_of(
    st.builds(
        lambda name, after: _any(_pod(str(name)), after=_BASE + after),
        st.integers(0, 5),
        st.integers(-1, 4),
    ),
    st.builds(
        lambda name, last: _exact(_pod(str(name)), last), st.integers(0, 5), st.integers(1, 3)
    ),
    st.builds(
        lambda name, last: _back(_pod(str(name)), last), st.integers(0, 5), st.integers(1, 3)
    ),
)


def test_what_is_confirmed_cannot_be_taken_back_as_pending() -> None:
    """Whoever undoes a failed move and whoever confirms it are judged by the same entry."""
    owner = _pod()
    key = owner_key(owner)
    address = ip_address("10.0.0.2")
    taking = replace(_exact(owner, 2, attempt=4), beside=True)
    block, took = apply(_block(), taking, now=_NOW)
    assert isinstance(took, Took)
    assert took.held.is_pending
    undo = GiveBack(key=key, attempt=4, address=address, cooldown_s=0, pending=True)
    confirm = Confirm(key=key, attempt=4, address=address)
    undone, _ = apply(block, undo, now=_NOW)
    assert is_empty(undone, now=_NOW)
    assert apply(undone, confirm, now=_NOW) == (undone, NotHeld(holder=None))
    confirmed, outcome = apply(block, confirm, now=_NOW)
    assert isinstance(outcome, Took)
    assert not outcome.held.is_pending
    assert apply(confirmed, undo, now=_NOW) == (confirmed, NotHeld(holder=outcome.held))
    assert apply(confirmed, confirm, now=_NOW)[0] == confirmed
    # A release gives back whatever is of its attempt.
    assert is_empty(apply(confirmed, replace(undo, pending=False), now=_NOW)[0], now=_NOW)


def test_what_is_pending_stays_so_for_a_later_attempt() -> None:
    """Its owner has not been told yet, and of two entries it keeps the one that it was told of."""
    owner = _pod()
    block, _ = apply(_block(), _exact(owner, 1, attempt=3), now=_NOW)
    block, _ = apply(block, replace(_exact(owner, 2, attempt=4), beside=True), now=_NOW)
    _, kept = apply(block, _exact(owner, 2, attempt=5), now=_NOW)
    assert isinstance(kept, Took)
    assert (kept.held.is_pending, kept.held.attempt, kept.new) == (True, 5, False)
    _, any_kept = apply(block, _any(owner, attempt=5), now=_NOW)
    assert isinstance(any_kept, Took)
    assert any_kept.held.address == ip_address("10.0.0.1")
    confirm = Confirm(key=owner_key(owner), attempt=4, address=ip_address("10.0.0.2"))
    later, _ = apply(block, _exact(owner, 2, attempt=5), now=_NOW)
    assert apply(later, confirm, now=_NOW) == (later, NotHeld(holder=kept.held))


@given(changes=st.lists(_CHANGES, max_size=12))
def test_a_batch_is_judged_like_its_changes_one_after_the_other(
    changes: list[TakeAny | TakeExact | GiveBack],
) -> None:
    """A batch takes a shorter way to the same end: nothing is refused that alone would be had."""
    # DESIGN P4
    block, verdicts = judge(_block(), changes, now=_NOW)
    alone = _block()
    for change, verdict in zip(changes, verdicts, strict=True):
        alone, (expected,) = judge(alone, [change], now=_NOW)
        assert type(verdict) is type(expected)
    assert len(block.entries) == len(alone.entries)
