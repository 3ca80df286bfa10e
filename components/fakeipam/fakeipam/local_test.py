"""The verbs of one call that names its address, and what is wrong with calls."""

import json
from typing import Any

import pytest

from danm_api.node_frame import MAX_STDIN_BYTES
from fakeipam.answer import SUPPORTED_VERSIONS
from fakeipam.main import answer_call

GOOD = json.dumps({"cniVersion": "1.1.0", "ipam": {"ip": "10.0.0.4", "subnet": "10.0.0.0/24"}})


def call(verb: str, stdin: bytes) -> tuple[int, Any]:
    """Return exit status and what was printed."""
    status, output = answer_call({b"CNI_COMMAND": verb.encode()}, stdin)
    return status, json.loads(output) if output else None


@pytest.mark.parametrize("verb", ["DEL", "GC", "STATUS", "CHECK"])
def test_verbs_that_only_agree(verb: str) -> None:
    """Nothing was allocated, so there is nothing to do, and nothing is printed."""
    assert call(verb, GOOD.encode()) == (0, None)


def test_del_succeeds_without_an_address() -> None:
    """DEL is idempotent and never asks for more than it needs."""
    assert call("DEL", b'{"cniVersion":"1.0.0","ipam":{"type":"fakeipam"}}') == (0, None)


def test_add_prints_the_address() -> None:
    """ADD answers in the version of the request."""  # SPEC F1
    status, answer = call("ADD", GOOD.encode())
    assert status == 0
    assert answer == {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.4/24"}], "dns": {}}


@pytest.mark.parametrize(
    ("verb", "stdin", "code"),
    [
        pytest.param("ADD", b"{", 6, id="bad JSON"),
        pytest.param("ADD", b"[" * 100_000, 6, id="deep JSON"),
        pytest.param("ADD", b"[]", 6, id="no object"),
        pytest.param("ADD", b'{"cniVersion":"1.0.0"}', 7, id="no ipam"),
        pytest.param("ADD", b'{"cniVersion":"7"}', 1, id="unknown version"),
        pytest.param("CHECK", b'{"cniVersion":"0.4.0","ipam":{}}', 7, id="CHECK without address"),
        pytest.param("CHECK", b'{"cniVersion":"0.3.1","ipam":{}}', 1, id="CHECK before 0.4.0"),
        pytest.param("GC", b'{"cniVersion":"1.0.0","ipam":{}}', 1, id="GC before 1.1.0"),
        pytest.param("STATUS", b'{"ipam":{"network":"lan"}}', 1, id="STATUS before 1.1.0"),
        pytest.param("ADD", b" " * (MAX_STDIN_BYTES + 1), 5, id="too large"),
        pytest.param("ADD", b'{"network":1}' + b" " * MAX_STDIN_BYTES, 5, id="a large network"),
        pytest.param("ADD", b'{"ipam":{"network":"lan"}', 6, id="bad JSON with a network"),
        pytest.param("", b"{}", 4, id="no verb"),
    ],
)
def test_errors_carry_the_codes_of_the_specification(verb: str, stdin: bytes, code: int) -> None:
    """A failure is an error object, never an empty result."""
    status, answer = call(verb, stdin)
    assert status == 1
    assert answer is not None
    assert answer["code"] == code


@pytest.mark.parametrize(
    ("stdin", "version"),
    [
        pytest.param(b"", "1.1.0", id="nothing"),
        pytest.param(b"{", "1.1.0", id="rubbish"),
        pytest.param(b'{"cniVersion":"9.9.9"}', "1.1.0", id="unknown"),
        pytest.param(b'{"cniVersion":"0.1.0"}', "0.1.0", id="before VERSION was written down"),
        pytest.param(b'{"cniVersion":"1.0.0"}', "1.0.0", id="known"),
    ],
)
def test_version_is_answered_whatever_comes(stdin: bytes, version: str) -> None:
    """Who asks in another version learns from the answer which ones there are."""  # SPEC C2
    status, answer = call("VERSION", stdin)
    assert (status, answer) == (
        0,
        {"cniVersion": version, "supportedVersions": list(SUPPORTED_VERSIONS)},
    )
