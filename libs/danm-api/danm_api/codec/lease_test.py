"""Leases on the wire."""

from datetime import UTC, datetime

import pytest

from danm_api.codec.lease import LeaseRecord, decode_lease, encode_lease_spec
from danm_api.errors import InvalidObjectError

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_lease_survives_the_wire() -> None:
    """What is written is read, in the six-digit times that the API server insists on."""
    record = LeaseRecord(holder="a", duration_s=15, acquired=MOMENT, renewed=MOMENT, transitions=2)
    spec = encode_lease_spec(record)
    assert spec["renewTime"] == "2026-01-02T03:04:05.000000Z"
    assert decode_lease({"spec": spec}) == record


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None}])
def test_an_empty_lease_is_nobodys(spec: object) -> None:
    """A released or fresh Lease has no holder and no duration."""
    record = decode_lease({"spec": spec})
    assert (record.holder, record.duration_s) == ("", 0)


def test_an_unreadable_lease_is_named() -> None:
    """A Lease with wrong types is an error that names it."""
    with pytest.raises(InvalidObjectError, match="Lease test"):
        decode_lease({"metadata": {"name": "test"}, "spec": {"holderIdentity": 7}})
