"""The networks of a run are such as DANM takes, on the wires that the checker is told of."""

from ipaddress import ip_address, ip_interface
from itertools import combinations
from random import Random

from danm_api.model.danmnet import NetworkSpec
from danm_api.testing.builders import a_danmnet, accepted
from danm_api.validation import conflicts, same_wire, validate_network
from tests.lab.chaos.networks import (
    HIGH,
    LOW,
    NETWORKS,
    WIDE,
    attachments_of_a_pod,
    pools,
    static_attachment,
)

_NETS = {name: accepted(a_danmnet(name, **options)) for name, options in NETWORKS.items()}


def _spec(name: str) -> NetworkSpec:
    spec = _NETS[name].spec
    assert isinstance(spec, NetworkSpec)
    return spec


def test_a_validator_takes_them_all() -> None:
    """Each of them is valid, and beside all the others too."""
    # SPEC N1
    for net in _NETS.values():
        assert validate_network(net) == ()
        assert conflicts(net, _NETS.values()) == ()


def test_the_checker_is_told_of_their_wires() -> None:
    """Those that share one by DANM's own rule have the same, and no others; two of them do."""
    # DESIGN P1
    wires = {pool.network: pool.wire for pool in pools()}
    shared = set()
    for one, other in combinations(NETWORKS, 2):
        is_same = same_wire(_spec(one), _spec(other))
        assert is_same == bool(wires[one] and wires[one] == wires[other])
        if is_same:
            shared.add((one, other))
    assert shared == {(LOW, HIGH)}


def test_pods_ask_for_addresses_beyond_the_pool() -> None:
    """On a wire that is shared of the own pool, the other one's and neither; alone of neither."""
    # SPEC G3
    of = {pool.network: set(pool.addresses) for pool in pools() if pool.family == 4}
    chance = Random(1)
    asked = [each for _ in range(500) for each in attachments_of_a_pod(chance)]
    for own, other in ((LOW, HIGH), (HIGH, LOW)):
        statics = {
            str(ip_interface(each.ip).ip)
            for each in asked
            if each.network == own and each.ip != "dynamic"
        }
        assert statics & of[own]
        assert statics & of[other]
        assert statics - of[own] - of[other]
    alone = static_attachment(0)
    assert alone.network == WIDE
    assert str(ip_interface(alone.ip).ip) not in of[WIDE]


def test_the_pools_on_the_wire_adjoin() -> None:
    """The next address after one pool is the first one of the other."""
    low, high = (NETWORKS[name]["allocation_pool"] for name in (LOW, HIGH))
    assert ip_address(low["end"]) + 1 == ip_address(high["start"])
