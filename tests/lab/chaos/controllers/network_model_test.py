"""The model of the validator: what is wrong, what contradicts, and what it refuses."""

from typing import Any

import pytest

from tests.lab.chaos.controllers.facts import DanmEp, read
from tests.lab.chaos.controllers.network_facts import DanmNet, Networks, NetworkSpec
from tests.lab.chaos.controllers.network_model import contradict, differences, faults

Raw = dict[str, Any]


def a_spec(name: str = "ext", kind: str = "ipvlan", **options: object) -> Raw:
    """Return a spec."""
    return {"NetworkID": name, "NetworkType": kind, "Options": {"host_device": "ens4", **options}}


def a_pool(first: int, last: int) -> Raw:
    """Return options of a network with a pool, both ends inclusive."""
    return {
        "cidr": "10.1.0.0/24",
        "allocation_pool": {"start": f"10.1.0.{first}", "end": f"10.1.0.{last}"},
    }


def a_network(
    spec: Raw,
    *,
    name: str = "ext",
    namespace: str = "red",
    valid: str = "True",
    applied: Raw | None = None,
    **changes: Any,  # noqa: ANN401  (JSON values)
) -> Raw:
    """Return a DanmNet with its verdict; one that is accepted is in force."""
    conditions = [
        {
            "type": "Valid",
            "status": valid,
            "observedGeneration": 1,
            "message": changes.pop("message", "said"),
        },
        {
            "type": "Applied",
            "status": changes.pop("in_force", valid),
            "reason": changes.pop("reason", ""),
            "observedGeneration": 1,
        },
    ]
    status: Raw = {"conditions": conditions}
    if valid == "True":
        status["applied"] = spec if applied is None else applied
    elif applied is not None:
        status["applied"] = applied
    return {
        "metadata": {"namespace": namespace, "name": name, "uid": name, "generation": 1},
        "spec": {"Validation": valid} | spec,
        "status": status,
    } | changes


def told(*networks: Raw, users: tuple[Raw, ...] = ()) -> list[str]:
    """Return what differs, in the model's words."""
    world = Networks(
        networks=tuple(read(raw, DanmNet) for raw in networks),
        interfaces=tuple(read(raw, DanmEp) for raw in users),
    )
    return [str(each) for each in differences(world)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(a_spec(), [], id="nothing"),
        pytest.param(a_spec(vlan=300, **a_pool(5, 9)), [], id="VLAN and pool"),
        pytest.param(a_spec("other"), ["NetworkID differs from the name"], id="NetworkID"),
        pytest.param(a_spec(kind="../x"), ["the type is no plain file name"], id="type"),
        pytest.param(a_spec(vlan=1, vxlan=2), ["vlan and vxlan together"], id="both"),
        pytest.param(a_spec(vlan=1, host_device=""), ["no host_device"], id="no device"),
        pytest.param(a_spec(host_device="x" * 16), ["host_device is too long"], id="device"),
        pytest.param(a_spec(rt_tables=254), ["rt_tables"], id="rt_tables"),
        pytest.param(a_spec(rt_tables=100), [], id="a free table"),
        pytest.param(a_spec(container_prefix="lo"), ["container_prefix"], id="prefix"),
        pytest.param(a_spec(cidr="10.1.0.0/33"), ["cidr"], id="cidr"),
        pytest.param(a_spec(**a_pool(9, 5)), ["start after end"], id="start after end"),
        pytest.param(
            a_spec(**a_pool(9, 9) | {"cidr": "10.2.0.0/24"}), ["pool outside of cidr"], id="outside"
        ),
        pytest.param(
            a_spec(allocation_pool={"start": "10.1.0.5", "end": "10.1.0.9"}),
            ["pool without cidr"],
            id="pool without cidr",
        ),
        pytest.param(
            a_spec(cidr="10.1.0.0/24", routes={"10.9.0.0/16": "10.2.0.1"}),
            ["gateway outside of cidr"],
            id="gateway",
        ),
    ],
)
def test_what_is_wrong_by_itself(spec: Raw, expected: list[str]) -> None:
    """SPEC N1, of one DanmNet."""
    assert faults(read(a_network(spec), DanmNet)) == expected


def test_a_link_has_a_name_that_linux_takes() -> None:
    """vx_ and the NetworkID have 15 bytes at most."""
    assert faults(read(a_network(a_spec("a" * 12, vxlan=1), name="a" * 12), DanmNet)) == []
    long = read(a_network(a_spec("a" * 13, vxlan=1), name="a" * 13), DanmNet)
    assert faults(long) == ["the link's name is too long"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(a_spec(vlan=300), a_spec(vlan=300), False, id="one link, shared"),
        pytest.param(
            a_spec(vlan=300), a_spec(vlan=300, host_device="ens5"), True, id="one name, two parents"
        ),
        pytest.param(a_spec(vlan=300), a_spec("b", vlan=300), True, id="one VID, two names"),
        pytest.param(
            a_spec(vlan=300), a_spec("b", vlan=300, host_device="ens5"), False, id="two parents"
        ),
        pytest.param(
            a_spec(vxlan=6), a_spec("b", vxlan=6, host_device="ens5"), True, id="a VNI anywhere"
        ),
        pytest.param(a_spec(vxlan=6), a_spec(vxlan=7), True, id="one VXLAN link, two VNIs"),
        pytest.param(a_spec(), a_spec("b", "macvlan"), True, id="ipvlan and macvlan"),
        pytest.param(a_spec(), a_spec("b", "macvlan", vlan=3), False, id="on another link"),
        pytest.param(a_spec(), a_spec("b", "flannel"), False, id="a static delegate"),
        pytest.param(a_spec(**a_pool(5, 9)), a_spec("b", **a_pool(9, 12)), True, id="overlap"),
        pytest.param(a_spec(**a_pool(5, 9)), a_spec("b", **a_pool(10, 12)), False, id="beside"),
        pytest.param(
            a_spec(**a_pool(5, 9)), a_spec("b", cidr="10.1.0.0/24"), True, id="the whole cidr"
        ),
        pytest.param(
            a_spec(**a_pool(5, 9)), a_spec("b", vlan=3, **a_pool(5, 9)), False, id="another wire"
        ),
        pytest.param(
            a_spec(vlan=300, **a_pool(5, 9)),
            a_spec("b", host_device="ext.300", **a_pool(5, 9)),
            True,
            id="on the other's link",
        ),
        pytest.param(
            a_spec(**a_pool(5, 9)), a_spec("b", "flannel", **a_pool(5, 9)), False, id="static"
        ),
    ],
)
def test_what_contradicts(one: Raw, other: Raw, *, expected: bool) -> None:
    """SPEC N1, N3, of two DanmNets, whichever comes first."""
    first, second = read(one, NetworkSpec), read(other, NetworkSpec)
    assert contradict(first, second) is expected
    assert contradict(second, first) is expected


def test_right_worlds_differ_in_nothing() -> None:
    """Accepted, refused with the other's name, and refused by itself."""
    refused: Raw = {"valid": "False", "message": "DanmNet red/ext has it", "namespace": "blue"}
    assert told() == []
    assert (
        told(
            a_network(a_spec(vlan=300, **a_pool(5, 9))),
            a_network(a_spec(vlan=300, **a_pool(9, 9)), **refused),
            a_network(a_spec("a", rt_tables=254), name="a", valid="False"),
        )
        == []
    )


def test_a_refused_edit_still_claims_what_is_in_force() -> None:
    """What contradicts it is refused for it."""
    before = a_spec(vlan=300)
    edited = a_network(a_spec(rt_tables=254), valid="False", applied=before)
    other = a_spec("b", vlan=300)
    message: Raw = {"message": "of DanmNet red/ext"}
    assert told(edited, a_network(other, name="b", valid="False", **message)) == []
    lines = told(edited, a_network(other, name="b"))
    assert lines == ["wrong: red/ext: contradicts red/b, and both are accepted"]


_LATER: Raw = {"metadata": {"namespace": "red", "name": "ext", "uid": "ext", "generation": 2}}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        pytest.param(
            a_network(a_spec(), **_LATER),
            "missing: red/ext: a verdict on its present spec",
            id="an older verdict",
        ),
        pytest.param(
            a_network(a_spec(), status={}), "missing: red/ext: a verdict", id="no verdict"
        ),
        pytest.param(
            a_network(a_spec(), valid="Unknown"), "missing: red/ext: its verdict", id="unknown"
        ),
        pytest.param(
            a_network(a_spec() | {"Validation": "False"}),
            "wrong: red/ext: spec.Validation",
            id="another mark",
        ),
        pytest.param(
            a_network(a_spec(rt_tables=254)), "wrong: red/ext: accepted, but", id="accepted"
        ),
        pytest.param(
            a_network(a_spec(), valid="False"), "wrong: red/ext: refused, and", id="refused"
        ),
        pytest.param(
            a_network(a_spec(), applied=a_spec(vlan=3)),
            "wrong: red/ext: in force is",
            id="not in force",
        ),
        pytest.param(
            a_network(a_spec(), in_force="False"),
            "wrong: red/ext: all is in force",
            id="said to wait",
        ),
        pytest.param(
            a_network(a_spec(rt_tables=254), valid="False", message=""),
            "missing: red/ext: why it was refused",
            id="without a reason",
        ),
    ],
)
def test_a_wrong_world_is_refused(network: Raw, expected: str) -> None:
    """Each of these is told of, in a line that names the DanmNet and what is wrong."""
    assert any(line.startswith(expected) for line in told(network)), told(network)


def test_a_refusal_names_the_other() -> None:
    """Whoever asks gets the object, and so the way out (DESIGN P7)."""
    (line,) = told(
        a_network(a_spec(vlan=300)),
        a_network(a_spec("b", vlan=300), name="b", valid="False", message="no"),
    )
    assert line.startswith("wrong: red/b: its verdict names none of red/ext")


_USER = {
    "metadata": {"namespace": "red", "name": "u"},
    "spec": {"NetworkID": "ext", "Interface": {"Name": "eth0"}},
}


def test_an_edit_waits_for_who_uses_the_network() -> None:
    """SPEC N5: and only then, and says so."""
    waiting: Raw = {"in_force": "False", "reason": "ChangeWaits", "applied": a_spec(vlan=3)}
    moved = a_network(a_spec(), **waiting)
    assert told(moved, users=(_USER,)) == []
    assert told(moved)[0].startswith("wrong: red/ext: in force is")
    said_nothing = a_network(a_spec(), applied=a_spec(vlan=3))
    assert told(said_nothing, users=(_USER,))[0].startswith("wrong: red/ext: waits for ['u']")
    routes = a_network(a_spec(rt_tables=7), applied=a_spec())
    assert told(routes, users=(_USER,))[0].startswith("wrong: red/ext: in force is")
