"""Which spec is in force."""

import pickle
from dataclasses import replace

import pytest

from danm_api.errors import InvalidNetworkError, NetworkNotReadyError
from danm_api.model.danmnet import CONDITION_VALID, Condition, NetworkStatus
from danm_api.testing.builders import a_danmnet, accepted
from danm_api.testing.clock import START


def test_an_accepted_network_is_in_force() -> None:
    """By the spec that was applied."""  # SPEC G1, N5
    net = accepted(a_danmnet(cidr="10.0.0.0/24"))
    edited = replace(net, spec=a_danmnet(cidr="10.0.1.0/24").spec, generation=2)
    assert edited.spec_in_force() == net.spec


def test_a_user_s_mark_counts_for_nothing() -> None:
    """Exported manifests carry it."""  # SPEC A6
    net = replace(a_danmnet(), marked_valid=True)
    with pytest.raises(NetworkNotReadyError, match="has not been validated yet"):
        net.spec_in_force()


def test_a_refused_network_says_why() -> None:
    """The reason is the validator's."""  # SPEC G1
    verdict = Condition(
        type=CONDITION_VALID,
        status=False,
        reason="Invalid",
        message="spec.Options.cidr is wrong",
        observed_generation=1,
        last_transition=START,
    )
    net = replace(a_danmnet(), status=NetworkStatus(conditions=(verdict,)))
    with pytest.raises(InvalidNetworkError, match="example-vnf/internal .*cidr is wrong"):
        net.spec_in_force()
    assert net.status.condition(CONDITION_VALID) == verdict


def test_a_spec_may_be_pickled() -> None:
    """What it is looked up by in one process is not what it would be in another."""
    spec = a_danmnet(cidr="10.0.0.0/24").spec
    pickled = pickle.dumps(spec)
    assert b"_hash" not in pickled
    copied = pickle.loads(pickled)  # noqa: S301  (what was made just before)
    assert (copied, hash(copied)) == (spec, hash(spec))
