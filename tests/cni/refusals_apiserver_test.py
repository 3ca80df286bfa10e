"""Calls that break the specification: variables, JSON, configurations and versions.

It needs root and the reference plugins, as the tests with an API server do, and runs with them.
"""

from typing import Any

import pytest

from tests.cni.node import CniNode
from tests.cni.sandbox import a_sandbox
from tests.cni.strict import read_error
from tests.cni.table import NEWEST, SINCE, VERSIONS, Backend, Kind, has

MACVLAN = Backend(kind=Kind.MACVLAN, families="dual")
WITH_INPUT = ("ADD", "DEL", "CHECK", "GC", "STATUS")


def rows_of(*cases: tuple[Any, ...]) -> list[Any]:
    """Return each case (its name, the verb, and more) in each version that has its verb."""
    return [
        pytest.param(version, verb, *more, id=f"{version}-{verb or 'none'}-{name}")
        for name, verb, *more in cases
        for version in VERSIONS
        if has(version, verb)
    ]


@pytest.mark.parametrize(
    ("version", "verb", "change", "names"),
    rows_of(
        ("no verb", "", {}, ["CNI_COMMAND"]),
        ("unknown verb", "UPDATE", {}, ["CNI_COMMAND", "UPDATE"]),
        ("small letters", "add", {}, ["CNI_COMMAND", "add"]),
        ("no container", "ADD", {"CNI_CONTAINERID": ""}, ["CNI_CONTAINERID"]),
        ("path for an id", "ADD", {"CNI_CONTAINERID": "../x"}, ["CNI_CONTAINERID"]),
        ("id starts with -", "ADD", {"CNI_CONTAINERID": "-x"}, ["CNI_CONTAINERID"]),
        ("no namespace", "ADD", {"CNI_NETNS": ""}, ["CNI_NETNS"]),
        ("no interface", "ADD", {"CNI_IFNAME": ""}, ["CNI_IFNAME"]),
        ("interface with a slash", "ADD", {"CNI_IFNAME": "a/b"}, ["CNI_IFNAME"]),
        ("interface too long", "ADD", {"CNI_IFNAME": "x" * 16}, ["CNI_IFNAME"]),
        ("not to be made", "ADD", {"CNI_IFNAME": "net1"}, ["CNI_IFNAME", "net1"]),
        ("no Pod", "ADD", {"CNI_ARGS": ""}, ["CNI_ARGS"]),
        ("half a Pod", "ADD", {"CNI_ARGS": "K8S_POD_NAME=x"}, ["CNI_ARGS"]),
        (
            "all wrong",
            "ADD",
            {"CNI_CONTAINERID": "", "CNI_IFNAME": ".", "CNI_NETNS": ""},
            ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"],
        ),
        ("no container", "DEL", {"CNI_CONTAINERID": ""}, ["CNI_CONTAINERID"]),
        ("no interface", "DEL", {"CNI_IFNAME": ""}, ["CNI_IFNAME"]),
        ("no namespace", "CHECK", {"CNI_NETNS": ""}, ["CNI_NETNS"]),
        ("no interface", "CHECK", {"CNI_IFNAME": ""}, ["CNI_IFNAME"]),
    ),
)
def test_variables(
    node: CniNode, version: str, verb: str, change: dict[str, str], names: list[str]
) -> None:
    """A missing or bad variable is error 4, with the names of all that are wrong."""  # SPEC C2
    sandbox = node.pod(MACVLAN.attachments) if verb == "ADD" else a_sandbox()
    outcome = node.call(verb, sandbox, version, change=change)
    read_error(outcome, version, code=4, names=names)
    assert node.leftovers(sandbox) == {}


@pytest.mark.parametrize("verb", WITH_INPUT)
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half an object"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"danm"', id="a text"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b'{"cniVersion":"\xff"}', id="a text that is no UTF-8"),
        pytest.param(b'{"cniVersion":110}', id="a number for a version"),
        pytest.param(b'{"a":' * 100_000, id="too deep"),
    ],
)
def test_what_is_no_configuration(node: CniNode, verb: str, config: bytes) -> None:
    """What cannot be decoded is error 6, in the newest version since none can be read."""
    outcome = node.call(verb, a_sandbox(), config=config)
    read_error(outcome, NEWEST, code=6)


@pytest.mark.parametrize(
    ("version", "verb", "keys"),
    rows_of(
        ("capabilities", "ADD", {"runtimeConfig": []}),
        ("previous result", "ADD", {"prevResult": {"ips": 7}}),
        ("previous address", "ADD", {"prevResult": {"ip4": {"ip": "x"}}}),
        ("previous result", "CHECK", {"prevResult": []}),
        ("attachments", "GC", {"cni.dev/attachments": {}}),
        ("half an attachment", "GC", {"cni.dev/attachments": [{"ifname": "eth0"}]}),
    ),
)
def test_keys_of_another_form(node: CniNode, version: str, verb: str, keys: dict[str, Any]) -> None:
    """Keys that cannot be decoded are error 6, in the version that can be read."""
    sandbox = node.sandbox(MACVLAN)
    if verb == "CHECK":
        assert node.call("ADD", sandbox, version).status == 0
    read_error(node.call(verb, sandbox, version, more=keys), version, code=6)


@pytest.mark.parametrize("verb", WITH_INPUT)
@pytest.mark.parametrize("unknown", ["9.9.9", "0.5.0", "1", "1.1", "latest"])
def test_unknown_versions(node: CniNode, verb: str, unknown: str) -> None:
    """A version that danm does not speak is error 1, which tells those that it speaks."""
    outcome = node.call(verb, a_sandbox(), unknown)
    read_error(outcome, unknown, code=1, names=[unknown, *VERSIONS])


@pytest.mark.parametrize("unknown", ["9.9.9", ""])
def test_version_is_answered_to_who_asks_in_another_one(node: CniNode, unknown: str) -> None:
    """VERSION is how to find out: it is no error to ask in a version that danm does not know."""
    assert node.call("VERSION", version=unknown).status == 0
    assert node.call("VERSION", config=b"").status == 0


@pytest.mark.parametrize("verb", sorted(SINCE))
def test_a_configuration_without_a_version_lacks_verbs(node: CniNode, verb: str) -> None:
    """No cniVersion, or an empty one as libcni writes it, is 0.1.0, which has ADD and DEL alone."""
    for config in (b'{"name":"danm","type":"danm"}', b'{"cniVersion":"","name":"danm"}'):
        outcome = node.call(verb, a_sandbox(), config=config)
        read_error(outcome, "0.1.0", code=1, names=[verb])


STATIC = {"cniVersion": "1.0.0", "name": "bad"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "neither bad.conflist nor bad.conf", id="no file"),
        pytest.param("no object", "cannot be read", id="no object"),
        pytest.param({**STATIC, "plugins": []}, "at least one", id="no plugin"),
        pytest.param({**STATIC, "plugins": [{"bridge": "x"}]}, "without a type", id="no type"),
        pytest.param({**STATIC, "plugins": [{"type": "danm"}]}, "call itself", id="danm itself"),
        pytest.param({**STATIC, "plugins": [{"type": "nowhere"}]}, "CNI_PATH", id="no executable"),
    ],
)
def test_bad_configurations_of_a_static_type(
    node: CniNode, version: str, content: object, words: str
) -> None:
    """A file that cannot be used is error 7, and nothing is left of the ADD."""  # SPEC E2
    node.add_network_once("bad", network_type="bad")
    file = node.configurations / "bad.conflist"
    file.unlink(missing_ok=True)
    if content is not None:
        node.write_configuration(file.name, content)
    sandbox = node.pod([{"network": "bad"}])
    read_error(node.call("ADD", sandbox, version), version, code=7, names=[words])
    assert node.leftovers(sandbox) == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_no_fallback(node: CniNode, version: str) -> None:
    """A Pod that asks for nothing, where nothing is there for it, is error 7."""  # SPEC B2
    (node.configurations / "fallback.conflist").unlink(missing_ok=True)
    sandbox = node.pod(None)
    read_error(node.call("ADD", sandbox, version), version, code=7)
    assert node.leftovers(sandbox) == {}
