"""Verdicts and the status that tells them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.errors import InvalidNetworkError
from danm_api.model.danmnet import Condition, DanmNet, NetworkSpec
from danm_api.testing.builders import a_danmnet, accepted
from danm_api.validation import conflicts
from danm_api.validation.wire import claims
from netwatcher.applied import InForce
from netwatcher.verdict import (
    Accepted,
    Refused,
    claim_keys,
    is_settled,
    judge,
    keys_to_rivals,
    news,
    only_words_differ,
    refused_keys,
    status_after,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def spec_of(net: DanmNet) -> NetworkSpec:
    """Return the spec of a network that has a readable one."""
    assert isinstance(net.spec, NetworkSpec)
    return net.spec


def edited(net: DanmNet, **options: Any) -> DanmNet:  # noqa: ANN401
    """Return an accepted network after an edit that nobody has judged yet."""
    new = a_danmnet(net.name, namespace=net.namespace, **options)
    return replace(net, spec=new.spec, generation=net.generation + 1)


def judged(net: DanmNet, *others: DanmNet, now: datetime = NOW) -> DanmNet:
    """Return a network with the status that its verdict gives it."""
    verdict = judge(net, others)
    in_force = InForce(spec=verdict.spec) if isinstance(verdict, Accepted) else None
    status = status_after(net, verdict, in_force, generation=net.generation, now=now)
    return replace(net, status=status)


def test_a_pool_without_a_subnet_is_refused() -> None:
    """All broken rules are told at once, each with what to do."""  # SPEC N1
    pool = {"start": "10.0.0.1", "end": "10.0.0.9"}
    verdict = judge(a_danmnet(allocation_pool=pool, rt_tables=254), ())
    assert isinstance(verdict, Refused)
    assert "allocation_pool: stands without cidr; set cidr" in verdict.message
    assert "rt_tables" in verdict.message


def test_the_first_accepted_wins() -> None:
    """Whoever comes second is refused, in whatever order they were created."""  # SPEC N1, N3
    first = judged(a_danmnet("a", host_device="ens4", vlan=300))
    second = a_danmnet("b", host_device="ens4", vlan=300)
    assert is_settled(first)
    assert isinstance(judge(second, [first]), Refused)
    assert isinstance(judge(first, [first, judged(second, first)]), Accepted)


def test_what_is_in_force_is_settled_though_its_verdict_is_of_another_release() -> None:
    """Two in use do not refuse each other by rules that are new; an edit is judged."""  # SPEC N1
    first = judged(a_danmnet("a", host_device="ens4", vlan=300))
    unread = replace(first, status=replace(first.status, conditions=()))
    assert is_settled(unread)
    assert not is_settled(edited(unread, host_device="ens4", vlan=301))
    assert not is_settled(replace(unread, status=replace(unread.status, applied=None)))


def test_an_edit_cannot_push_another_network_aside() -> None:
    """The one that is edited loses, and its spec of before stays in force."""  # SPEC N1, N5
    pool = {"start": "10.0.0.1", "end": "10.0.0.9"}
    mine = judged(a_danmnet("a", host_device="e", cidr="10.0.0.0/24", allocation_pool=pool))
    pool2 = {"start": "10.0.0.20", "end": "10.0.0.29"}
    other = judged(a_danmnet("b", host_device="e", cidr="10.0.0.0/24", allocation_pool=pool2), mine)
    assert is_settled(other)
    edit = edited(other, host_device="e", cidr="10.0.0.0/24")
    assert isinstance(judge(edit, [mine, edit]), Refused)
    assert judged(edit, mine).status.applied == spec_of(other)
    assert is_settled(judged(mine, edit))


def test_the_demos_networks_share_a_link() -> None:
    """One VLAN in two namespaces, with pools that do not overlap, is right."""  # SPEC N3
    nets = [
        a_danmnet(
            "external",
            namespace=namespace,
            host_device="ens4",
            vlan=300,
            cidr="10.100.20.0/24",
            allocation_pool={"start": f"10.100.20.{start}", "end": f"10.100.20.{end}"},
        )
        for namespace, start, end in (("example-vnf", 10, 30), ("external-client", 50, 60))
    ]
    first = judged(nets[0])
    assert is_settled(judged(nets[1], first))


def test_a_rule_that_a_release_brings_breaks_nothing_that_runs() -> None:
    """The network takes no new Pods, and its links and its place on the wire stay."""  # SPEC N5
    before = accepted(a_danmnet("a", network_type="sriov", host_device="ens4", vxlan=5))
    after = judged(before)
    with pytest.raises(InvalidNetworkError, match="vxlan: cannot be had with sriov"):
        after.spec_in_force()
    assert after.status.applied == before.spec
    assert claims(after) == (before.spec,)


def test_a_condition_remembers_when_it_turned() -> None:
    """Judging again changes nothing; a new verdict has a new time."""
    first = judged(a_danmnet("a"))
    assert judged(first, now=LATER).status == first.status
    turned = judged(edited(first, vlan=300), now=LATER).status.condition("Valid")
    assert turned is not None
    assert (turned.status, turned.last_transition) == (False, LATER)


def test_conditions_of_others_stay() -> None:
    """What ipam-svc says in the status is not the validator's to change."""  # SPEC A4, A5
    other = Condition(
        type="InUse",
        status=True,
        reason="Pods",
        message="2 Pods",
        observed_generation=1,
        last_transition=NOW,
    )
    net = a_danmnet("a")
    net = replace(net, status=replace(net.status, conditions=(other,)))
    assert other in judged(net).status.conditions


def test_the_owner_hears_of_each_verdict_once() -> None:
    """First acceptance, a refusal, a change that waits and its end."""  # SPEC N1, N5
    net = a_danmnet("a")
    first = judged(net)
    assert [each.reason for each in news(net.status, first.status)] == ["Valid"]
    assert list(news(first.status, first.status)) == []
    refused = judged(edited(first, vlan=300))
    assert [each.reason for each in news(first.status, refused.status)] == ["Refused"]

    spec = spec_of(first)
    waiting = status_after(
        first, Accepted(spec=spec), InForce(spec=spec, waiting=("x",)), generation=1, now=NOW
    )
    assert [each.reason for each in news(first.status, waiting)] == ["ChangeWaits"]
    assert [each.reason for each in news(waiting, first.status)] == ["InForce"]


def test_other_words_about_the_same_spec_are_no_news() -> None:
    """Who stands in the way may change every second; that something does is said once."""
    # DESIGN P6
    refused = judged(edited(judged(a_danmnet("a")), vlan=300))
    verdict = refused.status.condition("Valid")
    assert verdict is not None
    others = tuple(
        replace(each, message="other words") if each.type == "Valid" else each
        for each in refused.status.conditions
    )
    same_spec = replace(refused.status, conditions=others)
    assert list(news(refused.status, same_spec)) == []
    assert only_words_differ(refused.status, same_spec)
    edited_again = tuple(replace(each, observed_generation=99) for each in others)
    other_spec = replace(refused.status, conditions=edited_again)
    assert [each.message for each in news(refused.status, other_spec)] == ["other words"]
    assert not only_words_differ(refused.status, other_spec)


def test_a_refusal_has_bounded_length() -> None:
    """Every node reads it, whatever a user writes and however much is wrong."""  # DESIGN P6
    routes = {f"10.{number}.0.0/16": "x" * 10_000 for number in range(200)}
    verdict = judge(a_danmnet("a", cidr="10.0.0.0/24", routes=routes), ())
    assert isinstance(verdict, Refused)
    assert len(verdict.violations) == 200
    assert len(verdict.message) < 6000
    assert verdict.message.endswith("; and 190 more")


_options = st.fixed_dictionaries(
    {"host_device": st.sampled_from(["e1", "e2"])},
    optional={
        "cidr": st.sampled_from(["10.0.0.0/24", "10.1.0.0/24"]),
        "net6": st.just("2001:db8::/64"),
    },
)
_segments = st.sampled_from([{}, {"vlan": 2}, {"vlan": 3}, {"vxlan": 2}, {"vxlan": 3}])
_nets = st.builds(
    lambda name, namespace, kind, options, segment: a_danmnet(
        name, namespace=namespace, network_type=kind, **options, **segment
    ),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["n", "m"]),
    st.sampled_from(["ipvlan", "macvlan", "flannel"]),
    _options,
    _segments,
)


_functions = st.builds(
    lambda name, namespace, options, segment: a_danmnet(
        name, namespace=namespace, network_type="sriov", **options, **segment
    ),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["n", "m"]),
    st.fixed_dictionaries(
        {"device_pool": st.sampled_from(["a.com/1", "a.com/2"]), "cidr": st.just("10.0.0.0/24")},
        optional={"host_device": st.sampled_from(["e1", "e2"])},
    ),
    st.sampled_from([{}, {"vlan": 2}]),
)
_any_nets = _nets | _functions


@given(_any_nets, _any_nets)
def test_rivals_are_found_by_their_keys(one: DanmNet, other: DanmNet) -> None:
    """Two networks that contradict each other meet under a key, in both directions."""  # DESIGN P6
    if (one.namespace, one.name) == (other.namespace, other.name):
        return
    claimant = accepted(other)
    if conflicts(one, [claimant]):
        assert keys_to_rivals(one) & set(claim_keys(claimant))
        assert set(claim_keys(claimant)) & set(refused_keys(one))


@given(st.lists(_nets, max_size=6))
def test_accepted_networks_never_contradict_each_other(nets: list[DanmNet]) -> None:
    """Judged one after the other, in any order, what is accepted fits together."""  # SPEC N1, N3
    known: dict[tuple[str, str], DanmNet] = {}
    for net in nets:
        known[net.namespace, net.name] = judged(net, *known.values())
    settled = [net for net in known.values() if is_settled(net)]
    for net in settled:
        assert conflicts(net, settled) == ()


@pytest.mark.parametrize("mark", [True, False])
def test_the_mark_decides_nothing(*, mark: bool) -> None:
    """A user who writes Validation: "True" gets the same verdict."""  # SPEC A6
    bad = a_danmnet("a", vlan=300)
    assert isinstance(judge(replace(bad, marked_valid=mark), ()), Refused)
