"""Who may: the parts that a whole request does not show (see access_matrix_test)."""

import pytest

from danm_api.errors import (
    AccessDeniedError,
    ApiUnavailableError,
    RateLimitedError,
    UnauthenticatedError,
)
from danm_api.ipam_api import AUDIENCE
from danm_api.kube.api import TOKEN_REVIEWS, RawObject
from danm_api.model.caller import Caller
from danm_api.names import Namespace
from danm_api.testing.clock import FakeClock
from ipam_svc.access import Access
from ipam_svc.limits import Rate
from ipam_svc.testing.cluster import Cluster

_JANE = Caller(username="jane", uid="", groups=())


def _access(cluster: Cluster, clock: FakeClock) -> Access:
    replica = cluster.replica()
    return Access(
        cluster.kube,
        networks=replica.networks,
        possessions=replica.possessions,
        danmd_user="danmd",
        reviews=Rate(per_s=1, burst=5),
        clock=clock,
    )


def _accept(_: RawObject) -> RawObject:
    return {"authenticated": True, "audiences": [AUDIENCE], "user": {"username": "jane"}}


async def test_tokens_are_reviewed_again_after_some_seconds() -> None:
    """A token that is taken back works for seconds, and costs one review in that time."""
    # DESIGN, "Who may"
    cluster, clock = Cluster(), FakeClock()
    cluster.kube.review_token = _accept
    access = _access(cluster, clock)
    for _ in range(3):
        assert await access.authenticate("Bearer abc", address="198.51.100.1") == _JANE
    assert cluster.kube.calls["create", TOKEN_REVIEWS.plural] == 1
    cluster.kube.review_token = lambda _: {"authenticated": False}
    assert await access.authenticate("bearer abc", address="198.51.100.1") == _JANE
    clock.advance(10)
    with pytest.raises(UnauthenticatedError):
        await access.authenticate("Bearer abc", address="198.51.100.1")


async def test_permissions_are_asked_for_each_namespace_and_verb() -> None:
    """What was allowed in one namespace says nothing of another."""
    cluster, clock = Cluster(), FakeClock()
    access = _access(cluster, clock)
    asked: list[tuple[str, str]] = []

    def allow(spec: RawObject) -> RawObject:
        attributes = spec["resourceAttributes"]
        asked.append((attributes["verb"], attributes.get("namespace", "")))
        return {"allowed": True}

    cluster.kube.review_access = allow
    for verb, namespace in (("get", "a"), ("get", "a"), ("list", "a"), ("get", "b")):
        await access.may_read(_JANE, verb, Namespace(namespace))
    await access.may_read_node(_JANE, "n1")
    assert asked == [("get", "a"), ("list", "a"), ("get", "b"), ("list", "")]


async def test_silent_api_server_lets_nobody_in() -> None:
    """When nobody can be asked the answer is "try again", and the next request asks anew."""
    cluster, clock = Cluster(), FakeClock()
    cluster.kube.review_token = _accept
    access = _access(cluster, clock)
    cluster.kube.fail_next("create", TOKEN_REVIEWS, ApiUnavailableError("silent", status=0))
    with pytest.raises(ApiUnavailableError):
        await access.authenticate("Bearer abc", address="198.51.100.1")
    assert await access.authenticate("Bearer abc", address="198.51.100.1") == _JANE


async def test_a_refusal_is_asked_about_again_after_a_second() -> None:
    """The API server refuses good callers too while it cannot look something up."""
    # P7
    cluster, clock = Cluster(), FakeClock()
    access = _access(cluster, clock)
    fault = "context deadline exceeded"
    cluster.kube.review_token = lambda _: {"authenticated": False, "error": fault}
    cluster.kube.review_access = lambda _: {"allowed": False, "evaluationError": fault}

    async def refused() -> None:
        with pytest.raises(UnauthenticatedError):
            await access.authenticate("Bearer abc", address="198.51.100.1")
        with pytest.raises(AccessDeniedError):
            await access.may_read(_JANE, "get", Namespace("a"))

    await refused()
    cluster.kube.review_token = _accept
    cluster.kube.review_access = lambda _: {"allowed": True}
    # Whoever keeps asking costs a review a second.
    await refused()
    clock.advance(1)
    assert await access.authenticate("Bearer abc", address="198.51.100.1") == _JANE
    await access.may_read(_JANE, "get", Namespace("a"))


async def test_token_without_end_is_refused_unseen() -> None:
    """A header of nonsense costs no review."""
    cluster = Cluster()
    access = _access(cluster, FakeClock())
    with pytest.raises(UnauthenticatedError):
        await access.authenticate("Bearer " + "x" * 20_000, address="198.51.100.1")
    assert cluster.kube.calls["create", TOKEN_REVIEWS.plural] == 0


async def test_guessed_tokens_do_not_reach_the_api_server() -> None:
    """An address that sends token after token is stopped before the reviews are; others are not."""
    # DESIGN P6
    cluster, clock = Cluster(), FakeClock()
    cluster.kube.review_token = lambda _: {"authenticated": False}
    access = _access(cluster, clock)
    for number in range(5):
        with pytest.raises(UnauthenticatedError):
            await access.authenticate(f"Bearer {number}", address="198.51.100.1")
    with pytest.raises(RateLimitedError):
        await access.authenticate("Bearer 6", address="198.51.100.1")
    assert cluster.kube.calls["create", TOKEN_REVIEWS.plural] == 5
    # What is known by now costs nothing.
    with pytest.raises(UnauthenticatedError):
        await access.authenticate("Bearer 0", address="198.51.100.1")
    with pytest.raises(UnauthenticatedError):
        await access.authenticate("Bearer 6", address="198.51.100.2")
    clock.advance(1)
    with pytest.raises(UnauthenticatedError):
        await access.authenticate("Bearer 7", address="198.51.100.1")


async def test_permissions_for_ever_new_namespaces_do_not_reach_the_api_server() -> None:
    """A caller that asks for namespace after namespace is stopped before the reviews are."""
    # DESIGN P6
    cluster, clock = Cluster(), FakeClock()
    access = _access(cluster, clock)
    for number in range(5):
        await access.may_read(_JANE, "get", Namespace(f"n{number}"))
    with pytest.raises(RateLimitedError):
        await access.may_read(_JANE, "get", Namespace("n6"))
    await access.may_read(_JANE, "get", Namespace("n0"))


async def test_token_is_known_for_its_audience_only() -> None:
    """A token that the API server takes for itself opens nothing that another audience is for."""
    cluster = Cluster()
    cluster.kube.review_token = lambda spec: (
        {"authenticated": False} if "audiences" in spec else _accept(spec)
    )
    access = _access(cluster, FakeClock())
    where = "198.51.100.1"
    assert await access.authenticate("Bearer abc", address=where, audience=None) == _JANE
    with pytest.raises(UnauthenticatedError, match=AUDIENCE):
        await access.authenticate("Bearer abc", address=where)


async def test_paths_are_permitted_one_by_one() -> None:
    """A caller without the verb on the path hears what to bind."""
    cluster = Cluster()
    cluster.kube.review_access = lambda spec: {
        "allowed": spec.get("nonResourceAttributes") == {"verb": "get", "path": "/metrics"}
    }
    access = _access(cluster, FakeClock())
    await access.may_get(_JANE, "/metrics")
    with pytest.raises(AccessDeniedError, match="nonResourceURL /other; bind a ClusterRole"):
        await access.may_get(_JANE, "/other")
