"""Reviews of tokens and of access."""

from typing import Any

import pytest

from danm_api.codec.review import (
    decode_access_review,
    decode_token_review,
    encode_access_review,
    encode_token_review,
)
from danm_api.model.caller import Caller, PathPermission, Permission

_USER = {
    "username": "system:serviceaccount:danm-system:danm-cni",
    "uid": "u1",
    "groups": ["system:authenticated"],
    "extra": {"authentication.kubernetes.io/node-name": ["n1"]},
}


def test_a_good_token_names_the_caller_and_its_node() -> None:
    """The node claim of a bound token becomes the caller's node."""
    status = {"authenticated": True, "audiences": ["a"], "user": _USER}
    caller = decode_token_review({"status": status}, audience="a")
    assert isinstance(caller, Caller)
    assert (caller.username, caller.node) == (_USER["username"], "n1")


@pytest.mark.parametrize(
    ("status", "why"),
    [
        pytest.param({}, "not valid", id="empty"),
        pytest.param({"authenticated": False, "error": "expired"}, "expired", id="refused"),
        pytest.param({"authenticated": True, "user": _USER}, "audience", id="no audience"),
        pytest.param(
            {"authenticated": True, "audiences": ["b"], "user": _USER}, "audience", id="other"
        ),
    ],
)
def test_any_other_token_proves_nothing(status: dict[str, Any], why: str) -> None:
    """A token that is refused, or made for another audience, names no caller."""
    answer = decode_token_review({"status": status}, audience="a")
    assert isinstance(answer, str)
    assert why in answer


def test_access_review_carries_all_that_authorizers_may_look_at() -> None:
    """User, groups and extra go on to the authorizer, with the resource's attributes."""
    caller = Caller(username="u", uid="1", groups=("g",), extra=(("k", ("v",)),))
    permission = Permission(verb="create", group="danm.k8s.io", resource="danmnets")
    spec = encode_access_review(caller, permission)["spec"]
    assert spec == {
        "user": "u",
        "uid": "1",
        "groups": ["g"],
        "extra": {"k": ["v"]},
        "resourceAttributes": {"verb": "create", "group": "danm.k8s.io", "resource": "danmnets"},
    }
    assert encode_token_review("t", audience="a")["spec"] == {"token": "t", "audiences": ["a"]}


@pytest.mark.parametrize(
    ("status", "allowed"),
    [({"allowed": True}, True), ({"allowed": False}, False), ({}, False)],
)
def test_access_needs_an_explicit_yes(*, status: dict[str, Any], allowed: bool) -> None:
    """Only an answer that allows is a permission."""
    assert decode_access_review({"status": status}) is allowed


def test_a_token_for_the_api_server_needs_no_audience() -> None:
    """Where none is named the API server judges by its own, and the answer need not name one."""
    assert encode_token_review("t", audience=None)["spec"] == {"token": "t"}
    caller = decode_token_review({"status": {"authenticated": True, "user": _USER}}, audience=None)
    assert isinstance(caller, Caller)
    assert isinstance(decode_token_review({"status": {}}, audience=None), str)


def test_access_review_of_a_path() -> None:
    """What is no resource is reviewed by its path."""
    caller = Caller(username="u", uid="1", groups=())
    spec = encode_access_review(caller, PathPermission(verb="get", path="/metrics"))["spec"]
    assert spec["nonResourceAttributes"] == {"verb": "get", "path": "/metrics"}
    assert "resourceAttributes" not in spec
