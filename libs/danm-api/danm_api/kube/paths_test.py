"""Paths and queries."""

import pytest

from danm_api.errors import NotFoundError
from danm_api.kube.api import DANMNETS, NODES, PODS
from danm_api.kube.paths import object_path, selectors


def test_paths_are_those_of_the_api() -> None:
    """Core and named groups, namespaced or not, one object or all, and what is below one."""
    assert object_path(NODES, None) == "/api/v1/nodes"
    assert object_path(PODS, "ns", "p", "log") == "/api/v1/namespaces/ns/pods/p/log"
    assert object_path(DANMNETS, "ns") == "/apis/danm.k8s.io/v1/namespaces/ns/danmnets"


def test_a_name_stays_one_segment() -> None:
    """Whatever a tenant writes where a name belongs."""
    assert object_path(PODS, "ns", "a/../b?c") == "/api/v1/namespaces/ns/pods/a%2F..%2Fb%3Fc"
    with pytest.raises(NotFoundError, match='name "..".*'):
        object_path(PODS, "ns", "..")


def test_only_given_selectors_are_sent() -> None:
    """An empty one would be another question."""
    assert selectors("", "") == {}
    assert selectors("a=b", "") == {"labelSelector": "a=b"}
    assert selectors("", "type=x") == {"fieldSelector": "type=x"}
