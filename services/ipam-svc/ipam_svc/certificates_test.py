"""Certificates, and how one authority follows another."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from danm_api.model.authority import Authorities
from ipam_svc.certificates import in_step, issue, make_authority

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def _accepts(trust: str, pem: str, *, at: datetime) -> bool:
    store = Store(x509.load_pem_x509_certificates(trust.encode()))
    leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    verifier = (
        PolicyBuilder()
        .store(store)
        .time(at)
        .build_server_verifier(x509.DNSName("danm-ipam.danm-system.svc"))
    )
    try:
        verifier.verify(leaf, [])
    except x509.verification.VerificationError:
        return False
    return True


def test_serving_certificate_is_trusted_by_its_authority_alone() -> None:
    """A client that trusts the authority accepts the certificate under the Service's name."""
    authority, other = make_authority(now=_NOW), make_authority(now=_NOW)
    certificate = issue(
        authority,
        names=["danm-ipam.danm-system.svc"],
        addresses=[ip_address("198.51.100.7"), ip_address("2001:db8::7")],
        now=_NOW,
    )
    assert _accepts(authority.certificate, certificate.pem, at=_NOW)
    assert not _accepts(other.certificate, certificate.pem, at=_NOW)
    assert not _accepts(authority.certificate, certificate.pem, at=_NOW + 31 * _DAY)
    assert "PRIVATE KEY" not in repr(certificate)


def test_at_every_moment_clients_trust_what_replicas_show() -> None:
    """Through years of rotation, a client and a replica that are an hour behind still meet."""
    authorities: Authorities | None = None
    history: list[tuple[datetime, Authorities]] = []
    moment = _NOW
    while moment < _NOW + 3700 * _DAY:
        # Once a day, and every 4 hours around the change of authorities.
        authorities = in_step(authorities, now=moment)
        history.append((moment, authorities))
        busy = authorities.next is not None or authorities.previous
        moment += timedelta(hours=4) if busy else 30 * _DAY
    changes = sum(one.current != other.current for (_, one), (_, other) in pairwise(history))
    assert changes >= 1
    for (_, before), (at, now) in pairwise(history):
        for shown, trusted in ((now, before), (before, now), (now, now)):
            if at - _NOW < 30 * _DAY:
                continue
            assert shown.current.certificate in trusted.trust
    at, last = history[-1]
    certificate = issue(last.current, names=["danm-ipam.danm-system.svc"], addresses=[], now=at)
    assert _accepts(last.trust, certificate.pem, at=at)


@pytest.mark.parametrize("days", [0, 1, 100, 3000])
def test_nothing_changes_while_nothing_is_due(days: int) -> None:
    """Authorities stay as they are for years."""
    authorities = in_step(None, now=_NOW)
    assert in_step(authorities, now=_NOW + days * _DAY) == authorities


def test_authority_of_a_fast_clock_is_followed_at_once() -> None:
    """Nobody takes what begins in an hour; whoever trusts the next one still trusts that one."""
    first = in_step(None, now=_NOW + timedelta(hours=1))
    second = in_step(first, now=_NOW)
    names = ["danm-ipam.danm-system.svc"]
    early = issue(first.current, names=names, addresses=[], now=_NOW)
    assert not _accepts(first.trust, early.pem, at=_NOW)
    certificate = issue(second.current, names=names, addresses=[], now=_NOW)
    assert _accepts(second.trust, certificate.pem, at=_NOW)
    assert second.previous == first.current.certificate
    assert in_step(second, now=_NOW) == second
    assert in_step(second, now=_NOW + timedelta(minutes=5)) == second
    assert in_step(second, now=_NOW + 3 * _DAY).previous == ""


def test_authority_that_ended_is_followed_at_once() -> None:
    """After years without a Lease holder, nobody waits a day for the next authority to sign."""
    first = in_step(None, now=_NOW)
    late = _NOW + 3651 * _DAY
    second = in_step(first, now=late)
    assert second.current != first.current
    certificate = issue(second.current, names=["danm-ipam.danm-system.svc"], addresses=[], now=late)
    assert _accepts(second.trust, certificate.pem, at=late)
    # One that was made already, and is trusted by some, is taken.
    prepared = in_step(first, now=_NOW + 3500 * _DAY)
    assert in_step(prepared, now=late).current == prepared.next
