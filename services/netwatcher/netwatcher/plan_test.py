"""What is done to one link, decided by tables, and that it leads where it should."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.danmnet import Vlan, Vxlan
from danm_api.names import InterfaceName
from netwatcher.links import (
    HALF_MADE_GROUP,
    HostLink,
    ObservedAddress,
    ObservedLink,
    ObservedVlan,
    ObservedVxlan,
    OtherKind,
    alias_for,
)
from netwatcher.plan import (
    AskUsers,
    CreateVlan,
    CreateVxlan,
    Delete,
    Mark,
    Plan,
    Rename,
    Seen,
    SetMtu,
    SetUp,
    SetVxlanSource,
    plan_link,
)
from netwatcher.testing.fake_kernel import FakeKernel

PARENT = ObservedLink(
    index=2,
    name=InterfaceName("ens4"),
    alias="",
    group=0,
    up=True,
    carrier=True,
    mtu=1500,
    kind=OtherKind(name=""),
)
SOURCE = IPv4Address("198.18.0.1")
GROUP = IPv4Address("239.0.2.88")
ADDRESS = ObservedAddress(address=SOURCE, is_global=True, is_stable=True)
ADDRESS6 = ObservedAddress(address=IPv6Address("2001:db8::1"), is_global=True, is_stable=True)

VLAN_NAME = InterfaceName("external.300")
VLAN = HostLink(name=VLAN_NAME, parent=PARENT.name, segment=Vlan(vid=300))
VLAN_LINK = ObservedLink(
    index=7,
    name=VLAN_NAME,
    alias=alias_for(VLAN_NAME),
    group=0,
    up=True,
    carrier=True,
    mtu=1500,
    kind=ObservedVlan(parent_index=2, vid=300),
)
CREATE_VLAN = CreateVlan(name=VLAN_NAME, parent_index=2, vid=300)

VXLAN_NAME = InterfaceName("vx_internal")
VXLAN = HostLink(name=VXLAN_NAME, parent=PARENT.name, segment=Vxlan(vni=600))
VXLAN_KIND = ObservedVxlan(
    parent_index=2, vni=600, port=4789, source=SOURCE, group=GROUP, learning=True
)
VXLAN_LINK = replace(
    VLAN_LINK, name=VXLAN_NAME, alias=alias_for(VXLAN_NAME), mtu=1450, kind=VXLAN_KIND
)
CREATE_VXLAN = CreateVxlan(name=VXLAN_NAME, parent_index=2, vni=600, source=SOURCE, group=GROUP)


def a_vlan_seen(link: ObservedLink | None = None, stray: ObservedLink | None = None) -> Seen:
    """Build what the kernel says about the VLAN's name."""
    return Seen(link=link, stray=stray, parent=PARENT)


def a_vxlan_seen(link: ObservedLink | None = None) -> Seen:
    """Build what the kernel says about the VXLAN's name."""
    return Seen(link=link, parent=PARENT, parent_addresses=(ADDRESS,))


@pytest.mark.parametrize(
    ("wanted", "seen", "actions"),
    [
        pytest.param(VLAN, a_vlan_seen(), (CREATE_VLAN,), id="missing VLAN"),
        pytest.param(VXLAN, a_vxlan_seen(), (CREATE_VXLAN,), id="missing VXLAN"),
        pytest.param(VLAN, a_vlan_seen(VLAN_LINK), (), id="VLAN as wanted"),
        pytest.param(VXLAN, a_vxlan_seen(VXLAN_LINK), (), id="VXLAN as wanted"),
        pytest.param(
            VLAN, a_vlan_seen(replace(VLAN_LINK, up=False)), (SetUp(index=7),), id="downed"
        ),
        pytest.param(
            VLAN,
            a_vlan_seen(replace(VLAN_LINK, mtu=1400)),
            (SetMtu(index=7, mtu=1500),),
            id="moved to another MTU",
        ),
        pytest.param(
            VXLAN,
            a_vxlan_seen(replace(VXLAN_LINK, mtu=1500)),
            (SetMtu(index=7, mtu=1450),),
            id="a tunnel's MTU leaves room for its headers",
        ),
        pytest.param(
            VLAN,
            a_vlan_seen(stray=replace(VLAN_LINK, name=InterfaceName("oops"))),
            (Rename(index=7, name=VLAN_NAME),),
            id="renamed by hand",
        ),
        pytest.param(
            VLAN,
            a_vlan_seen(stray=replace(VLAN_LINK, name=InterfaceName("oops"), up=False)),
            (Rename(index=7, name=VLAN_NAME),),
            id="downed and renamed by hand",
        ),
        pytest.param(
            VLAN,
            a_vlan_seen(replace(VLAN_LINK, alias="", group=HALF_MADE_GROUP, up=False)),
            (Mark(index=7, name=VLAN_NAME), SetUp(index=7)),
            id="netwatcher died between two requests",
        ),
        pytest.param(
            VXLAN,
            a_vxlan_seen(
                replace(VXLAN_LINK, kind=replace(VXLAN_KIND, source=IPv4Address("198.18.0.9")))
            ),
            (SetVxlanSource(index=7, source=SOURCE),),
            id="the parent's address changed",
        ),
        pytest.param(None, Seen(), (), id="nothing wanted, nothing there"),
        pytest.param(
            None,
            Seen(link=replace(VLAN_LINK, alias="")),
            (),
            id="a foreign link is not removed",
        ),
    ],
)
def test_a_link_is_repaired(
    wanted: HostLink | None, seen: Seen, actions: tuple[object, ...]
) -> None:
    """Whatever happened to a link, the smallest change puts it right."""  # SPEC N4
    name = VLAN_NAME if wanted is None else wanted.name
    assert plan_link(name, wanted, seen) == Plan(actions=actions)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "seen", "reason"),
    [
        pytest.param(
            VLAN,
            a_vlan_seen(replace(VLAN_LINK, alias="")),
            "a link external.300 exists that DANM did not make",
            id="foreign link of the name",
        ),
        pytest.param(VLAN, Seen(), "host_device ens4 does not exist", id="no parent"),
        pytest.param(
            VLAN, Seen(parent=replace(PARENT, up=False)), "host_device ens4 is down", id="down"
        ),
        pytest.param(
            VXLAN, Seen(parent=PARENT), "host_device ens4 has no global", id="no source address"
        ),
        pytest.param(
            VLAN,
            a_vlan_seen(replace(VLAN_LINK, carrier=False)),
            "link external.300 has no carrier",
            id="no carrier",
        ),
    ],
)
def test_what_cannot_be_done_is_told(wanted: HostLink, seen: Seen, reason: str) -> None:
    """Nothing is touched, and the reason names the link."""  # SPEC N4, N6
    plan = plan_link(wanted.name, wanted, seen)
    assert isinstance(plan, Plan)
    assert plan.actions == ()
    assert plan.blocked.startswith(reason)


REPLACED = pytest.mark.parametrize(
    ("wanted", "seen", "create"),
    [
        pytest.param(
            VLAN,
            a_vlan_seen(replace(VLAN_LINK, kind=ObservedVlan(parent_index=3, vid=300))),
            (CREATE_VLAN,),
            id="another parent",
        ),
        pytest.param(
            VXLAN,
            a_vxlan_seen(replace(VXLAN_LINK, kind=replace(VXLAN_KIND, vni=601))),
            (CREATE_VXLAN,),
            id="another VNI",
        ),
        pytest.param(
            VXLAN,
            a_vxlan_seen(replace(VXLAN_LINK, kind=replace(VXLAN_KIND, learning=False))),
            (CREATE_VXLAN,),
            id="does not learn",
        ),
        pytest.param(
            VXLAN,
            Seen(link=VXLAN_LINK, parent=PARENT, parent_addresses=(ADDRESS6,)),
            (
                CreateVxlan(
                    name=VXLAN_NAME,
                    parent_index=2,
                    vni=600,
                    source=IPv6Address("2001:db8::1"),
                    group=IPv6Address("ff05::258"),
                ),
            ),
            id="another address family",
        ),
        pytest.param(None, Seen(link=VLAN_LINK), (), id="not wanted any more"),
        pytest.param(
            None,
            Seen(stray=replace(VLAN_LINK, name=InterfaceName("oops"))),
            (),
            id="renamed and not wanted any more",
        ),
    ],
)


@REPLACED
def test_a_link_goes_only_after_its_users(
    wanted: HostLink | None, seen: Seen, create: tuple[object, ...]
) -> None:
    """Taking a link away cuts Pods off, so its users are asked for and waited for."""  # SPEC N2
    name = VLAN_NAME if wanted is None else wanted.name
    assert isinstance(plan_link(name, wanted, seen), AskUsers)

    used = plan_link(name, wanted, seen, users=[f"Pod n/p{number}" for number in range(5)])
    assert isinstance(used, Plan)
    assert used.actions == ()
    assert "Pod n/p0, Pod n/p1, Pod n/p2 and 2 more still use it" in used.blocked

    unused = plan_link(name, wanted, seen, users=())
    assert unused == Plan(actions=(Delete(index=7), *create))  # type: ignore[arg-type]


CREATE_VXLAN6 = CreateVxlan(
    name=VXLAN_NAME,
    parent_index=2,
    vni=600,
    source=IPv6Address("2001:db8::1"),
    group=IPv6Address("ff05::258"),
)
VXLAN_LINK6 = replace(
    VXLAN_LINK,
    mtu=1430,
    kind=replace(VXLAN_KIND, source=CREATE_VXLAN6.source, group=CREATE_VXLAN6.group),
)


def test_no_tunnel_over_ipv6_while_ipv4_may_come() -> None:
    """It could not be made anew under Pods; one that is there is neither made anew nor removed."""
    seen = Seen(parent=PARENT, parent_addresses=(ADDRESS6,))  # SPEC N2
    assert plan_link(VXLAN_NAME, VXLAN, seen) == Plan(actions=(CREATE_VXLAN6,))
    for link in (None, VXLAN_LINK):
        for users in (None, (), ("Pod n/p",)):
            waiting = replace(seen, link=link, ipv4_wait_s=7)
            plan = plan_link(VXLAN_NAME, VXLAN, waiting, users=users)
            assert isinstance(plan, Plan)
            assert (plan.actions, plan.again_s) == ((), 7)
            assert "no IPv4 address yet" in plan.blocked


@pytest.mark.parametrize("wait_s", [0, 7])
def test_a_tunnel_over_ipv6_is_kept_while_ipv4_may_come(wait_s: float) -> None:
    """A netwatcher that starts anew finds it, and repairs it as ever."""  # SPEC N4
    seen = Seen(parent=PARENT, parent_addresses=(ADDRESS6,), ipv4_wait_s=wait_s)
    whole = replace(seen, link=VXLAN_LINK6)
    assert plan_link(VXLAN_NAME, VXLAN, whole) == Plan()
    downed = replace(seen, link=replace(VXLAN_LINK6, up=False))
    assert plan_link(VXLAN_NAME, VXLAN, downed) == Plan(actions=(SetUp(index=7),))


@given(
    wanted=st.sampled_from([VLAN, VXLAN, None]),
    is_vlan=st.booleans(),
    up=st.booleans(),
    half_made=st.booleans(),
    stray=st.booleans(),
    mtu=st.integers(1280, 1500),
    number=st.integers(299, 301),
)
def test_a_plan_is_done_in_one_pass(
    *,
    wanted: HostLink | None,
    is_vlan: bool,
    up: bool,
    half_made: bool,
    stray: bool,
    mtu: int,
    number: int,
) -> None:
    """After a plan was carried out, the next one is empty."""  # SPEC N4
    name = VLAN_NAME if wanted is None else wanted.name
    kernel = FakeKernel()
    while kernel.add_parent("ens4", ADDRESS) != PARENT.index:
        kernel.remove("ens4")
    index = kernel.add_foreign("scratch", OtherKind(name=""))
    link = ObservedLink(
        index=index,
        name=InterfaceName("oops") if stray and not half_made else name,
        alias="" if half_made else alias_for(name),
        group=HALF_MADE_GROUP if half_made else 0,
        up=up,
        carrier=True,
        mtu=mtu,
        kind=(
            ObservedVlan(parent_index=2, vid=number)
            if is_vlan
            else replace(VXLAN_KIND, vni=number + 300)
        ),
    )
    kernel.place(link)

    async def plan_and_do() -> Plan:
        here = await kernel.link_by_name(name)
        other = None if here is not None else await kernel.link_by_index(index)
        seen = Seen(link=here, stray=other, parent=PARENT, parent_addresses=(ADDRESS,))
        plan = plan_link(name, wanted, seen, users=())
        assert isinstance(plan, Plan)
        for action in plan.actions:
            await kernel.execute(action)
        return plan

    async def twice() -> Plan:
        await plan_and_do()
        return await plan_and_do()

    assert asyncio.run(twice()) == Plan()
