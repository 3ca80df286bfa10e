"""What a process says of its version."""

import logging

import pytest

from danm_api.telemetry import exposition, tell_version


def test_a_start_tells_the_version(caplog: pytest.LogCaptureFixture) -> None:
    """The log has it, and a metric that is 1, in both forms of /metrics."""
    with caplog.at_level(logging.INFO):
        tell_version("some-part", "1.2.3")
    (record,) = caplog.records
    assert record.getMessage() == "Starting"
    assert record.danm_keys == {"version": "1.2.3"}  # type: ignore[attr-defined]
    for accept in ("", "application/openmetrics-text"):
        body, _ = exposition(accept)
        assert b'danm_build_info{part="some-part",version="1.2.3"} 1.0\n' in body
