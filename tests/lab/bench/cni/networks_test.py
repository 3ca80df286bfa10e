"""The same Pods for both sides."""

import json
import subprocess
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bench.cni.cases import SLOW_S, Case, Kind, guest_cases, node_cases
from tests.lab.bench.cni.networks import (
    BRIDGE_TYPE,
    FALLBACK_FILE,
    SLOW_TYPE,
    annotation,
    danm_networks,
    node_files,
    reference,
    slow_plugin,
)

_CASES = [*node_cases(quick=False), *guest_cases(quick=False)]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_both_sides_have_the_same_interfaces(case: Case) -> None:
    """A Pod asks danmd for as many interfaces as the reference plugins make, eth0 first."""
    asked = json.loads(annotation(case) or "[]")
    assert len(asked) == (0 if case.kind is Kind.FALLBACK else case.interfaces)
    called = reference(case)
    if case.kind is not Kind.SLOW:
        assert [each.interface for each in called] == [f"eth{n}" for n in range(case.interfaces)]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_each_interface_is_on_a_network_of_its_own(case: Case) -> None:
    """No name is asked for or called twice, but for delegates that do nothing."""
    asked = [each["network"] for each in json.loads(annotation(case) or "[]")]
    called = [each.config["name"] for each in reference(case)]
    assert len(set(called)) == len(called)
    assert len(set(asked)) == len(asked) or case.kind is Kind.SLOW


def test_the_compared_case_makes_the_same_kinds_of_links() -> None:
    """eth0 is bridge's and all others are macvlan's, on both sides, on the same parent."""
    case = Case(kind=Kind.BRIDGE, interfaces=3)
    networks = {each.name: each for each in danm_networks()}
    first, *others = (networks[each["network"]] for each in json.loads(annotation(case)))
    ours = node_files()[f"{first.type}.conf"]
    their_first, *their_others = (each.config for each in reference(case))
    assert ours["type"] == their_first["type"] == "bridge"
    assert set(ours) == set(their_first)
    assert [each.type for each in others] == [each["type"] for each in their_others]
    assert [each.options["host_device"] for each in others] == [
        each["master"] for each in their_others
    ]


def test_every_address_of_a_compared_pod_is_of_a_danmnet() -> None:
    """Not even eth0 has one of host-local's: its plugin asks fakeipam for one of a DanmNet."""
    networks = {each.name: each for each in danm_networks()}
    ipam = node_files()[f"{BRIDGE_TYPE}.conf"]["ipam"]
    assert ipam["type"] == "fakeipam"
    assert networks[ipam["network"]].options["fakeipam"] is True


def _subnets(value: Any) -> list[IPv4Network]:  # noqa: ANN401  (JSON)
    if isinstance(value, dict):
        found = [IPv4Network(text) for key, text in value.items() if key in ("cidr", "subnet")]
        return found + [each for inner in value.values() for each in _subnets(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in _subnets(inner)]
    return []


def test_subnets_do_not_overlap_and_are_of_one_size() -> None:
    """Neither side has an address of the other's, or an easier pool."""
    ours = [each for net in danm_networks() for each in _subnets(dict(net.options))]
    files = [each for config in node_files().values() for each in _subnets(dict(config))]
    compared = (Case(kind=Kind.BRIDGE, interfaces=17), Case(kind=Kind.MACVLAN, interfaces=1))
    theirs = [
        each
        for case in compared
        for attachment in reference(case)
        for each in _subnets(dict(attachment.config))
    ]
    found = [*ours, *files, *theirs]
    assert len(set(found)) == len(found) > 35
    assert {each.prefixlen for each in found} == {16}


def test_the_fallback_is_no_static_type() -> None:
    """Danmd is told the file, and no DanmNet names it."""
    assert FALLBACK_FILE in node_files()
    assert {each.type for each in danm_networks()} == {"", "macvlan", BRIDGE_TYPE, SLOW_TYPE}


def test_the_slow_plugin_takes_its_time_and_answers(tmp_path: Path) -> None:
    """ADD prints the interface that is asked for, with an address; DEL prints nothing."""
    assert f"sleep {SLOW_S}\n" in slow_plugin()
    plugin = tmp_path / "slow"
    plugin.write_text(slow_plugin().replace(f"sleep {SLOW_S}", ":"))
    environment = {"CNI_IFNAME": "eth3", "CNI_NETNS": "/run/netns/x", "CNI_COMMAND": "ADD"}
    answers = [
        subprocess.run(
            ["/bin/sh", plugin],
            env=environment | {"CNI_COMMAND": verb},
            input=b"{}",
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
        for verb in ("ADD", "DEL")
    ]
    result = json.loads(answers[0])
    assert result["interfaces"] == [{"name": "eth3", "sandbox": "/run/netns/x"}]
    assert len(result["ips"]) == 1
    assert answers[1] == b""
