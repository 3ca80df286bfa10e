"""Metadata and times."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given

from danm_api.codec.meta import NEVER, decode_metadata, describe, encode_time
from danm_api.codec.values import parse_time
from danm_api.errors import InvalidObjectError
from danm_api.testing.strategies import moments


@given(moments)
def test_a_moment_survives_the_round_trip(moment: datetime) -> None:
    """To the microsecond."""
    assert parse_time(encode_time(moment)) == moment


def test_times_are_written_in_utc() -> None:
    """Whatever zone the clock has; without a fraction when there is none."""
    moment = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert encode_time(moment) == "2026-01-01T00:00:00Z"


def test_an_object_that_was_never_created_has_defaults() -> None:
    """Only the name is needed."""
    metadata = decode_metadata({"metadata": {"name": "x"}})
    assert (metadata.created, metadata.deleting, metadata.uid) == (NEVER, False, "")


def test_an_object_that_waits_for_finalizers_is_deleting() -> None:
    """The deletion time says so."""
    raw = {"metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert decode_metadata(raw).deleting


@pytest.mark.parametrize("raw", [{}, {"metadata": {}}, {"metadata": {"name": 5}}])
def test_an_object_without_metadata_is_refused(raw: dict[str, object]) -> None:
    """It came from no API server."""
    with pytest.raises(InvalidObjectError, match="unreadable metadata"):
        decode_metadata(raw)


def test_created_is_read_with_its_zone() -> None:
    """The API server writes UTC."""
    raw = {"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    assert decode_metadata(raw).created == datetime(2026, 1, 1, tzinfo=UTC)


def test_any_object_can_be_named() -> None:
    """Even one that does not decode, for the log."""
    named = {"kind": "DanmNet", "metadata": {"namespace": "a", "name": "b"}}
    assert (describe(named), describe({})) == ("DanmNet a/b", "object (unnamed)")
