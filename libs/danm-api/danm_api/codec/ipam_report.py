"""The JSON form of an examination's report. Pure.

The keys are the attributes' names: the report is made to be read by programs and people alike.
"""

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.errors import InvalidObjectError
from danm_api.model.ipam_report import IpamReport


def encode_report(report: IpamReport) -> bytes:
    """Return a report as JSON, readable."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2)


def decode_report(content: bytes) -> IpamReport:
    """Read a report; fields of a later release are passed over.

    Raises:
        InvalidObjectError: It is no report.
    """
    try:
        return decode_foreign(content, IpamReport)
    except msgspec.DecodeError as error:
        raise InvalidObjectError(f"the report cannot be read: {error}") from error
