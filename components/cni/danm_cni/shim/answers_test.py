"""What the executable answers by itself."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_cni.shim.answers import (
    SUPPORTED_VERSIONS,
    error_answer,
    is_missing,
    quote,
    requested_version,
    version_answer,
)


@given(st.text())
def test_quoted_text_is_json(text: str) -> None:
    """Whatever an error says, the output stays pure JSON."""
    assert json.loads(quote(text)) == text


@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        pytest.param(b'{"cniVersion": "0.3.1", "name": "x"}', "0.3.1", id="plain"),
        pytest.param(b'{"name":"x","cniVersion"\n:\t"0.4.0"}', "0.4.0", id="white space"),
        pytest.param(b'{"cniVersion": "9.9.9"}', "1.1.0", id="unknown version"),
        pytest.param(b'{"cniVersion": 3}', "1.1.0", id="no string"),
        pytest.param(b'{"cniVersion": ""}', "0.1.0", id="libcni's form of none"),
        pytest.param(b' {"name": "x"}', "0.1.0", id="none means 0.1.0"),
        pytest.param(b"", "1.1.0", id="nothing"),
        pytest.param(b"\xff\xfe", "1.1.0", id="garbage"),
    ],
)
def test_the_version_of_the_request_is_found(stdin: bytes, expected: str) -> None:
    """Errors are printed in the version of the request, or in the newest."""
    assert requested_version(stdin) == expected


def test_verbs_came_one_after_the_other() -> None:
    """CHECK is of 0.4.0, GC and STATUS are of 1.1.0, and the others of all versions."""  # SPEC C2
    lacking = {
        verb: [version for version in SUPPORTED_VERSIONS if is_missing(verb, version)]
        for verb in ("ADD", "DEL", "CHECK", "GC", "STATUS")
    }
    assert lacking == {
        "ADD": [],
        "DEL": [],
        "CHECK": ["0.1.0", "0.2.0", "0.3.0", "0.3.1"],
        "GC": ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"],
        "STATUS": ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"],
    }


def test_version_lists_all_supported() -> None:
    """VERSION answers with every supported version."""  # SPEC C2
    answer = json.loads(version_answer(b'{"cniVersion":"1.0.0"}'))
    assert answer == {"cniVersion": "1.0.0", "supportedVersions": list(SUPPORTED_VERSIONS)}


@given(st.text(), st.text())
def test_errors_are_error_objects(message: str, details: str) -> None:
    """An error carries version, code and message."""  # SPEC C2
    answer = json.loads(error_answer(b"", code=11, message=message, details=details))
    assert answer["cniVersion"] == "1.1.0"
    assert answer["code"] == 11
    assert answer["msg"] == message
    assert answer.get("details", "") == details
