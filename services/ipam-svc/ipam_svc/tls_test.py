"""Authorities in the Secret, trust in the ConfigMap, and a replica's own certificate."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from prometheus_client import REGISTRY

from danm_api.codec.authority import decode_authorities, decode_trust
from danm_api.errors import ApiUnavailableError, ConflictError, NotFoundError
from danm_api.ipam_api import CA_SECRET, TRUST_CONFIG_MAP
from danm_api.kube.api import CONFIG_MAPS, SECRETS
from danm_api.model.authority import Authorities
from danm_api.testing.fake_kube import FakeKube
from ipam_svc.tls import AuthorityKeeper, ServingTls

_NAMESPACE = "danm-system"


class _World:
    """An API server, and a clock that is moved by days."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.moment = datetime(2026, 1, 1, tzinfo=UTC)
        self.keeper = AuthorityKeeper(self.kube, namespace=_NAMESPACE, now=self.now)

    def now(self) -> datetime:
        return self.moment

    def authorities(self) -> Authorities:
        raw = self.kube.stored(SECRETS, CA_SECRET, namespace=_NAMESPACE)
        assert raw is not None
        return decode_authorities(raw)

    def trust(self) -> str:
        raw = self.kube.stored(CONFIG_MAPS, TRUST_CONFIG_MAP, namespace=_NAMESPACE)
        assert raw is not None
        return decode_trust(raw)

    def serving(self) -> ServingTls:
        return ServingTls(
            self.kube,
            namespace=_NAMESPACE,
            addresses=[ip_address("127.0.0.1")],
            now=self.now,
        )


def _is_ready(tls: ServingTls) -> bool:
    """Ask anew: mypy takes a property that was true for one that stays so."""
    return tls.ready


async def test_lease_holder_makes_and_publishes_one_authority() -> None:
    """The first round makes the authority and publishes it; the next ones change nothing."""
    world = _World()
    await world.keeper.reconcile()
    first = world.authorities()
    assert world.trust() == first.current.certificate
    await world.keeper.reconcile()
    assert world.authorities() == first


async def test_lease_holder_that_was_frozen_publishes_no_authority_of_its_own() -> None:
    """Of two that make the first authority at once, what is published is what signs."""
    # DESIGN P1: "two replicas at once"; else no client would trust any replica for a minute.
    world = _World()
    other = AuthorityKeeper(world.kube, namespace=_NAMESPACE, now=world.now)
    gate = world.kube.hold_next("get", CONFIG_MAPS)
    frozen = asyncio.create_task(world.keeper.reconcile())
    await gate.reached.wait()
    await other.reconcile()
    gate.open()
    await asyncio.wait((frozen,))
    assert world.trust() == world.authorities().current.certificate


async def test_ends_of_certificates_are_metrics() -> None:
    """An alert can see a certificate that nobody renews long before it ends."""
    world = _World()
    await world.keeper.reconcile()
    serving = world.serving()

    def days_left(certificate: str) -> float:
        ends = REGISTRY.get_sample_value(
            "danm_ipam_certificate_expiry_timestamp_seconds", {"certificate": certificate}
        )
        assert ends is not None
        return (datetime.fromtimestamp(ends, tz=UTC) - world.moment).total_seconds() / 86400

    await serving.renew()
    assert (days_left("serving"), days_left("authority")) == (30, 3650)
    world.moment += timedelta(days=14)
    await serving.renew()
    assert (days_left("serving"), days_left("authority")) == (16, 3636)
    world.moment += timedelta(days=2)
    await serving.renew()
    assert (days_left("serving"), days_left("authority")) == (30, 3634)


async def test_trust_is_published_before_the_authority_can_sign() -> None:
    """When the Secret cannot be written, clients trust a little more, never less."""
    world = _World()
    await world.keeper.reconcile()
    world.moment += timedelta(days=3650 - 300)
    world.kube.fail_next("replace", SECRETS, ApiUnavailableError("lost", status=0))
    with pytest.raises(ApiUnavailableError):
        await world.keeper.reconcile()
    assert world.trust().startswith(world.authorities().current.certificate)
    await world.keeper.reconcile()
    assert world.authorities().next is not None
    assert world.trust() == world.authorities().trust


async def test_second_lease_holder_takes_the_authority_that_is_there() -> None:
    """Of two that make an authority at once, the second one goes on with the first one's."""
    world = _World()
    other = AuthorityKeeper(world.kube, namespace=_NAMESPACE, now=world.now)
    world.kube.fail_next("create", SECRETS, ConflictError("exists"))
    with pytest.raises(ConflictError):
        await other.reconcile()
    await world.keeper.reconcile()
    await other.reconcile()
    assert world.trust() == world.authorities().trust


async def test_unreadable_secret_is_replaced() -> None:
    """A Secret that holds no authority gets a new one."""
    world = _World()
    world.kube.add(
        SECRETS, {"metadata": {"name": CA_SECRET, "namespace": _NAMESPACE}, "data": {"x": "eA=="}}
    )
    await world.keeper.reconcile()
    assert world.trust() == world.authorities().current.certificate


async def test_replica_issues_and_renews_its_certificate() -> None:
    """A certificate is issued once, and again when half its time is over."""
    world = _World()
    tls = world.serving()
    with pytest.raises(NotFoundError):
        await tls.renew()
    await world.keeper.reconcile()
    await tls.renew()
    assert tls.ready
    assert tls.context.minimum_version == ssl.TLSVersion.TLSv1_3
    first = tls.certificate
    await tls.renew()
    assert tls.certificate is first
    world.moment += timedelta(days=16)
    await tls.renew()
    assert tls.certificate is not first


async def test_clock_that_is_set_back_costs_no_more_than_a_moment() -> None:
    """A machine that started with a fast clock shows what clients take as soon as it is right."""
    # DESIGN P2: else every client would refuse the replica, which says that it is ready, for hours.
    world = _World()
    world.moment += timedelta(hours=2)
    await world.keeper.reconcile()
    tls = world.serving()
    await tls.renew()
    assert _is_ready(tls)
    early = world.authorities().current.certificate
    world.moment -= timedelta(hours=2)
    assert not _is_ready(tls)
    await tls.renew()
    assert _is_ready(tls)
    assert tls.certificate is not None
    assert tls.certificate.issuer == early
    await world.keeper.reconcile()
    # Whoever still shows a certificate of the first authority is trusted.
    assert world.trust() == world.authorities().trust
    assert early in world.trust()
    await tls.renew()
    assert tls.certificate.issuer == world.authorities().current.certificate != early
    # Once, and by a clock that differs as much as clocks may not at all.
    after = world.authorities()
    world.moment -= timedelta(minutes=4)
    await world.keeper.reconcile()
    assert world.authorities() == after


async def test_certificate_that_has_ended_is_none_to_serve_with() -> None:
    """Nobody takes it any more, so nobody shall be sent there."""
    world = _World()
    await world.keeper.reconcile()
    tls = world.serving()
    await tls.renew()
    world.moment += timedelta(days=30)
    assert not _is_ready(tls)


async def test_replica_follows_the_authority() -> None:
    """When another authority signs, the replica's certificate comes from it."""
    world = _World()
    await world.keeper.reconcile()
    tls = world.serving()
    await tls.renew()
    await world.kube.delete(SECRETS, CA_SECRET, namespace=_NAMESPACE)
    await world.keeper.reconcile()
    await tls.renew()
    assert tls.certificate is not None
    assert tls.certificate.issuer == world.authorities().current.certificate
