"""Wishes, MACs, and the whole of allocation on a model."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from danm_api.errors import AddressTakenError, InvalidRequestError
from danm_api.model.addresses import IPAddress, IPv6Range
from danm_api.model.attachment import (
    Dynamic,
    IPv4Request,
    IPv6Request,
    NoAddress,
    StaticIPv4,
    StaticIPv6,
)
from danm_api.model.danmnet import DanmNet, NetworkSpec, StaticDelegate
from danm_api.model.ip_block import ExternalOwner, IPBlock, Owner, PodOwner, owner_key
from danm_api.names import InterfaceName, Namespace, NetworkName, NetworkUid, NodeName, PodUid
from danm_api.record.entries import CLOCK_SKEW, held_entries
from ipam_svc.address_space import AddressSpace, block_network, block_start
from ipam_svc.allocator import (
    AnyOf,
    Exactly,
    Nothing,
    OfMac,
    Wish4,
    Wish6,
    block_ahead,
    choose_block,
    mac_for,
    mac_of_any4,
    mac_of_any6,
    search_seed,
    wishes,
)
from ipam_svc.block import apply
from ipam_svc.block_change import (
    Expired,
    GaveBack,
    GiveBack,
    Sweep,
    Swept,
    TakeAny,
    TakeExact,
    Took,
)
from ipam_svc.family_index import FamilyIndex
from ipam_svc.ledger import Ledger

_UID = NetworkUid("uid")
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _spec(**fields: Any) -> NetworkSpec:  # noqa: ANN401  (a builder)
    return NetworkSpec(network_id=NetworkName("net"), **fields)


def _net(spec: NetworkSpec) -> DanmNet:
    return DanmNet(
        namespace=Namespace("ns"),
        name=NetworkName("net"),
        uid=_UID,
        generation=1,
        resource_version="1",
        spec=spec,
        created=_NOW,
    )


_DUAL = _spec(cidr=IPv4Network("10.0.0.0/24"), net6=IPv6Network("2001:db8::/64"))
_POOL6 = replace(
    _DUAL, pool6=IPv6Range(start=IPv6Address("2001:db8::10"), end=IPv6Address("2001:db8::20"))
)
_STATIC4 = StaticIPv4(interface=IPv4Interface("10.0.0.7/24"))
_STATIC6 = StaticIPv6(interface=IPv6Interface("2001:db8::7/64"))


@pytest.mark.parametrize("spec", [_spec(), _DUAL], ids=["no subnet", "dual"])
def test_a_family_without_subnet_is_not_tracked(spec: NetworkSpec) -> None:
    """A static address is recorded exactly where the network has a subnet of its family."""
    # SPEC G3
    wanted = wishes(_net(spec), spec, _STATIC4, _STATIC6, shares_wire=False)
    assert wanted.ipv4 == Exactly(address=_STATIC4.interface.ip, tracked=spec.cidr is not None)
    assert wanted.ipv6 == Exactly(address=_STATIC6.interface.ip, tracked=spec.net6 is not None)


@pytest.mark.parametrize(
    ("spec", "ip", "ip6", "expected4", "expected6"),
    [
        pytest.param(_DUAL, NoAddress(), NoAddress(), Nothing, Nothing, id="none"),
        pytest.param(_DUAL, Dynamic(), Dynamic(), AnyOf, OfMac, id="dual"),
        pytest.param(_DUAL, NoAddress(), Dynamic(), Nothing, AnyOf, id="IPv6 only"),
        pytest.param(_DUAL, _STATIC4, _STATIC6, Exactly, Exactly, id="static"),
        pytest.param(_POOL6, Dynamic(), Dynamic(), AnyOf, AnyOf, id="pool6"),
        pytest.param(_spec(), _STATIC4, _STATIC6, Exactly, Exactly, id="untracked"),
        pytest.param(
            replace(_DUAL, network_type=StaticDelegate(name="flannel")),
            Dynamic(),
            Dynamic(),
            Nothing,
            Nothing,
            id="static delegate",
        ),
    ],
)
def test_wishes(
    spec: NetworkSpec,
    ip: IPv4Request,
    ip6: IPv6Request,
    expected4: type[Wish4],
    expected6: type[Wish6],
) -> None:
    """What is asked becomes one of a few kinds of wishes."""
    # SPEC G
    found = wishes(_net(spec), spec, ip, ip6, shares_wire=False)
    assert isinstance(found.ipv4, expected4)
    assert isinstance(found.ipv6, expected6)
    if isinstance(found.ipv4, Exactly):
        assert found.ipv4.tracked == (spec.cidr is not None)


@pytest.mark.parametrize(
    ("spec", "ip", "ip6", "shares_wire"),
    [
        pytest.param(_spec(), Dynamic(), NoAddress(), False, id="L2 network"),
        pytest.param(_spec(), NoAddress(), Dynamic(), False, id="no net6"),
        pytest.param(
            _DUAL,
            StaticIPv4(interface=IPv4Interface("10.0.1.7/24")),
            NoAddress(),
            False,
            id="outside",
        ),
        pytest.param(_POOL6, NoAddress(), _STATIC6, True, id="shared wire"),
    ],
)
def test_refused_wishes(
    *, spec: NetworkSpec, ip: IPv4Request, ip6: IPv6Request, shares_wire: bool
) -> None:
    """What the rules refuse names the network and the rule."""
    with pytest.raises(InvalidRequestError, match="DanmNet ns/net cannot give") as caught:
        wishes(_net(spec), spec, ip, ip6, shares_wire=shares_wire)
    assert caught.value.violations


@pytest.mark.parametrize(
    ("spec", "ipv4", "ipv6", "expected"),
    [
        pytest.param(_DUAL, "10.0.0.7", None, "fa:16:3e:00:00:07", id="IPv4"),
        pytest.param(_DUAL, "10.0.0.7", "2001:db8::7", "fa:16:3e:00:00:07", id="both"),
        pytest.param(_DUAL, None, "2001:db8::f816:3eff:fe01:203", "fa:16:3e:01:02:03", id="EUI-64"),
        pytest.param(_DUAL, None, "2001:db8::f816:3eff:fe00:7", None, id="EUI-64 of IPv4's MAC"),
        pytest.param(_DUAL, None, "2001:db8::7", None, id="other IPv6"),
        pytest.param(_DUAL, None, None, None, id="no address"),
        pytest.param(
            replace(_DUAL, cidr=IPv4Network("10.0.0.0/7")),
            "10.0.0.7",
            None,
            None,
            id="wider than /8",
        ),
    ],
)
def test_mac_for(
    spec: NetworkSpec, ipv4: str | None, ipv6: str | None, expected: str | None
) -> None:
    """The MAC follows from the address where that is unique, else it is drawn for the owner."""
    # SPEC G6
    address4: IPAddress | None = None if ipv4 is None else IPv4Interface(ipv4).ip
    address6: IPAddress | None = None if ipv6 is None else IPv6Interface(ipv6).ip
    mac = mac_for(_net(spec), spec, ipv4=address4, ipv6=address6, identity=("Pod", "u", "eth0"))
    if expected is None:
        assert not mac.startswith("fa:16:3e")
    else:
        assert mac == expected


def test_mac_of_any() -> None:
    """A MAC is drawn beforehand only where the address taken will not give a unique one."""
    identity = ("Pod", "u", "eth0")
    assert mac_of_any4(_net(_DUAL), _DUAL, identity) is None
    wide = replace(_DUAL, cidr=IPv4Network("10.0.0.0/7"))
    assert mac_of_any4(_net(wide), wide, identity) is not None
    assert mac_of_any6(_net(_DUAL), _DUAL, identity) is None
    assert mac_of_any6(_net(_POOL6), _POOL6, identity) is not None
    only6 = replace(_POOL6, cidr=None)
    assert mac_of_any6(_net(only6), only6, identity) is None


def test_seed_is_stable_and_differs() -> None:
    """Each network starts its search for EUI-64 addresses somewhere else, always the same."""
    net = _net(_DUAL)
    assert search_seed(net) == search_seed(net)
    assert search_seed(net) != search_seed(replace(net, uid=NetworkUid("other")))


class _Allocation(RuleBasedStateMachine):
    """Takes and gives back addresses as a replica does, and compares with a plain model."""

    @initialize(
        first=st.integers(0, 150), size=st.integers(1, 80), cooldown_s=st.sampled_from([0, 5])
    )
    def start(self, first: int, size: int, cooldown_s: int) -> None:
        """Begin with an empty network."""
        base = int(IPv4Network("10.0.0.0/24").network_address)
        self.space = AddressSpace(
            version=4,
            intervals=((base + first, base + first + size - 1),),
            start=base + first,
        )
        self.now = _NOW
        self.ledger = Ledger(now=lambda: self.now)
        self.version = 0
        self.attempt = 0
        self.cooldown_s = cooldown_s
        self.held: dict[int, Owner] = {}
        self.free_at: dict[int, datetime] = {}

    def _change(
        self, start: int, change: TakeAny | TakeExact | GiveBack | Sweep
    ) -> Any:  # noqa: ANN401
        block = self.ledger.get(_UID, 4, start) or IPBlock(
            namespace=Namespace("ns"),
            name=str(start),
            network=NetworkName("net"),
            network_uid=_UID,
            cidr=block_network(4, start),
            uid=str(start),
        )
        after, outcome = apply(block, change, now=self.now)
        self.version += 1
        self.ledger.observe(replace(after, resource_version=str(self.version)))
        return outcome

    def _free(self) -> set[int]:
        first, last = self.space.intervals[0]
        return {
            number
            for number in range(first, last + 1)
            if number not in self.held and self.free_at.get(number, self.now) <= self.now
        }

    def _lost_at(self, number: int) -> datetime | None:
        """Return when the owner of an address loses it; None for never."""
        owner = self.held[number]
        expires = owner.expires if isinstance(owner, ExternalOwner) else None
        return None if expires is None else expires + CLOCK_SKEW

    def _had_after_a_sweep(self) -> set[int]:
        first, last = self.space.intervals[0]
        cooldown = timedelta(seconds=self.cooldown_s)
        return {
            number
            for number in self.held
            if first <= number <= last
            and (lost_at := self._lost_at(number)) is not None
            and lost_at + cooldown <= self.now
        }

    @rule(name=st.integers(0, 200), expires_s=st.sampled_from([None, None, 1, 20]))
    def take_any(self, name: int, expires_s: int | None) -> None:
        """A free address is found exactly when there is one; the owner's own is kept."""
        owner = _owner(name) if expires_s is None else _tool(name, self.now, expires_s)
        if owner_key(owner) in map(owner_key, self.held.values()):
            return
        self.attempt += 1
        index = FamilyIndex(ledger=self.ledger, uid=_UID, version=4, count_pending=True)
        after = self.ledger.cursor(_UID, self.space)
        start = choose_block(self.space, index, after=after)
        free = self._free()
        assert (start is not None) == bool(free)
        if start is None:
            return
        ahead = block_ahead(self.space, index, of=start)
        unopened = {block_start(each) for each in free if not index.exists(block_start(each))}
        elsewhere = {block_start(each) for each in free if index.exists(block_start(each))}
        if elsewhere - {start}:
            assert ahead is None
        else:
            others = unopened - {start}
            assert (ahead in others) if others else (ahead is None)
        outcome = self._change(
            start,
            TakeAny(
                owner=owner,
                node=NodeName("n"),
                attempt=self.attempt,
                space=self.space,
                after=after,
                mac=None,
            ),
        )
        assert isinstance(outcome, Took)
        number = int(outcome.held.address)
        assert number in free
        self.ledger.move_cursor(_UID, 4, number)
        self.held[number] = owner

    @rule()
    def sweep(self) -> None:
        """Blocks are swept exactly when addresses can be had by it; no time is counted anew."""
        starts = self.ledger.to_be_swept(_UID, self.space, cooldown_s=self.cooldown_s)
        assert set(starts) == {block_start(number) for number in self._had_after_a_sweep()}
        for start in starts:
            outcome = self._change(start, Sweep(cooldown_s=self.cooldown_s))
            assert isinstance(outcome, Swept)
            for number in sorted(self.held):
                lost_at = self._lost_at(number)
                if block_start(number) == start and lost_at is not None and lost_at <= self.now:
                    del self.held[number]
                    self.free_at[number] = lost_at + timedelta(seconds=self.cooldown_s)

    @rule(name=st.integers(0, 200), last=st.integers(0, 255))
    def take_exact(self, name: int, last: int) -> None:
        """A static address is had exactly when nobody else holds it."""
        owner = _owner(name)
        if owner in self.held.values():
            return
        self.attempt += 1
        number = int(IPv4Network("10.0.0.0/24").network_address) + last
        change = TakeExact(
            owner=owner,
            node=NodeName("n"),
            attempt=self.attempt,
            address=IPv4Network("10.0.0.0/24")[last],
            mac="fa:16:3e:00:00:00",
        )
        if number in self.held:
            lost_at = self._lost_at(number)
            if lost_at is not None and lost_at <= self.now:
                assert self._change(block_start(number), change) == Expired()
                return
            with pytest.raises(AddressTakenError):
                self._change(block_start(number), change)
            return
        assert isinstance(self._change(block_start(number), change), Took)
        self.held[number] = owner
        self.free_at.pop(number, None)

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """What an owner gives back is free, after its cooldown."""
        if not self.held:
            return
        number = data.draw(st.sampled_from(sorted(self.held)))
        owner = self.held[number]
        (entry,) = self.ledger.held_by(_UID, owner_key(owner))
        outcome = self._change(
            block_start(number),
            GiveBack(
                key=owner_key(owner),
                attempt=entry.attempt,
                address=entry.address,
                cooldown_s=self.cooldown_s,
            ),
        )
        assert isinstance(outcome, GaveBack)
        lost_at = min(self._lost_at(number) or self.now, self.now)
        del self.held[number]
        self.free_at[number] = lost_at + timedelta(seconds=self.cooldown_s)

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        """Time goes by."""
        self.now += timedelta(seconds=seconds)

    @rule()
    def fill(self) -> None:
        """Every last address can be had."""
        self.sweep()
        for _ in range(len(self._free())):
            self.take_any(1000 + self.attempt, None)
        assert not self._free()
        assert not self._had_after_a_sweep()

    @invariant()
    def record_and_model_agree(self) -> None:
        """The record holds what the model says, each address once."""
        entries = [entry for block in self.ledger.blocks_of(_UID) for entry in held_entries(block)]
        assert {int(entry.address): entry.owner for entry in entries} == self.held
        assert len(entries) == len(self.held)


def _owner(name: int) -> PodOwner:
    return PodOwner(
        namespace=Namespace("ns"),
        name=f"p{name}",
        uid=PodUid(f"u{name}"),
        interface=InterfaceName("eth0"),
    )


def _tool(name: int, now: datetime, expires_s: int) -> ExternalOwner:
    return ExternalOwner(
        namespace=Namespace("ns"),
        name=f"t{name}",
        reason="",
        expires=now + timedelta(seconds=expires_s),
    )


_Allocation.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestAllocation = _Allocation.TestCase
