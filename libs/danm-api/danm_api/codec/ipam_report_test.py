"""Reports survive their JSON form."""

from datetime import UTC, datetime

import pytest

from danm_api.codec.ipam_report import decode_report, encode_report
from danm_api.errors import InvalidObjectError
from danm_api.model.ipam_report import Examined, Finding, FindingKind, IpamReport, Outcome

_REPORT = IpamReport(
    began=datetime(2026, 1, 1, tzinfo=UTC),
    ended=datetime(2026, 1, 1, 0, 0, 12, tzinfo=UTC),
    examined=Examined(networks=1, blocks=1, addresses=2, endpoints=1, pods=1),
    findings=(
        Finding(
            kind=FindingKind.TWO_ADDRESSES,
            namespace="ns",
            network="net",
            subject="Pod ns/a (interface eth0)",
            address="10.0.0.1",
            node="n1",
            attempt=3,
            problem="it has a newer address",
            remedy="the Lease holder frees it",
            outcome=Outcome.REPAIRED,
        ),
    ),
)


def test_a_report_survives_its_json_form() -> None:
    """What is written is read back, and a field that came later does no harm."""
    content = encode_report(_REPORT)
    assert b'"kind": "TwoAddresses"' in content
    assert decode_report(content) == _REPORT
    assert decode_report(content.replace(b'"networks"', b'"later": 1, "networks"')) == _REPORT


def test_something_else_is_no_report() -> None:
    """What cannot be read is an error, never an empty report."""
    with pytest.raises(InvalidObjectError):
        decode_report(b"{}")
