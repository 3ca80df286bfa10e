"""Requests of runtimes."""

import re
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from danm_api.model.cni import CniVersion
from danm_api.node_frame import PROGRAM_DANM, decode_request, encode_request, is_container_id
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.request import Program, Verb, frame_of, requested_version
from danm_cni.request import decode_request as decode_cni_request

ENVIRONMENT = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "abc123",
    "CNI_NETNS": "/var/run/netns/x",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
    "CNI_ARGS": "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;K8S_POD_UID=u-1;IgnoreUnknown=1",
}
CONFIG = b'{"cniVersion":"1.0.0","name":"danm","type":"danm","kubeconfig":"/etc/x"}'


def test_an_add_is_read_whole() -> None:
    """Verb, version, container, interface, netns and Pod come out typed."""
    request = decode_cni_request(ENVIRONMENT, CONFIG)
    assert (request.verb, request.version) == (Verb.ADD, CniVersion.V1_0_0)
    assert (request.container_id, request.interface) == ("abc123", "eth0")
    assert request.pod is not None
    # SPEC C1
    assert (request.pod.namespace, request.pod.name, request.pod.uid) == ("ns", "pod", "u-1")
    assert request.config == CONFIG


@pytest.mark.parametrize(
    ("change", "config", "code"),
    [
        pytest.param({"CNI_COMMAND": "FLY"}, CONFIG, CniCode.INVALID_ENVIRONMENT, id="verb"),
        pytest.param({"CNI_COMMAND": ""}, CONFIG, CniCode.INVALID_ENVIRONMENT, id="no verb"),
        pytest.param({"CNI_NETNS": ""}, CONFIG, CniCode.INVALID_ENVIRONMENT, id="no netns"),
        pytest.param({"CNI_CONTAINERID": ""}, CONFIG, CniCode.INVALID_ENVIRONMENT, id="no id"),
        pytest.param({"CNI_CONTAINERID": "../x"}, CONFIG, CniCode.INVALID_ENVIRONMENT, id="path"),
        pytest.param(
            {"CNI_CONTAINERID": "a" * 300}, CONFIG, CniCode.INVALID_ENVIRONMENT, id="long"
        ),
        pytest.param({"CNI_IFNAME": "a/b"}, CONFIG, CniCode.INVALID_ENVIRONMENT, id="interface"),
        pytest.param({"CNI_IFNAME": "x" * 16}, CONFIG, CniCode.INVALID_ENVIRONMENT, id="16 bytes"),
        pytest.param({}, b"{", CniCode.UNDECODABLE, id="broken JSON"),
        pytest.param({}, b'{"a":' + b"[" * 100_000, CniCode.UNDECODABLE, id="deep JSON"),
        pytest.param({}, b"[]", CniCode.UNDECODABLE, id="no object"),
        pytest.param({}, b'{"cniVersion":"\xff"}', CniCode.UNDECODABLE, id="no UTF-8"),
        pytest.param({}, b'{"cniVersion":"9.0.0"}', CniCode.INCOMPATIBLE_VERSION, id="version"),
    ],
)
def test_broken_requests_have_the_specifications_code(
    change: Mapping[str, str], config: bytes, code: CniCode
) -> None:
    """Each way to break the CNI specification is refused with the code that it names."""
    # SPEC C2
    with pytest.raises(CniRequestError) as caught:
        decode_cni_request({**ENVIRONMENT, **change}, config)
    assert code is caught.value.code


@given(
    st.one_of(
        st.text(st.sampled_from("aZ09_.-/\n\u00e4\u0660"), max_size=4),
        st.integers(190, 260).map(lambda length: "a" * length),
    )
)
def test_danmd_takes_the_container_ids_that_the_executables_take(container_id: str) -> None:
    """A DEL that it takes can be kept on the disk by either of them, whatever else fails."""
    # CNI 1.1.0, section 2; DESIGN, P5
    environment = {**ENVIRONMENT, "CNI_CONTAINERID": container_id}
    if is_container_id(container_id):
        assert decode_cni_request(environment, CONFIG).container_id == container_id
        return
    with pytest.raises(CniRequestError, match="CNI_CONTAINERID") as caught:
        decode_cni_request(environment, CONFIG)
    assert caught.value.code is CniCode.INVALID_ENVIRONMENT


@pytest.mark.parametrize(
    ("arguments", "pod"),
    [
        pytest.param("", None, id="nothing"),
        pytest.param("IgnoreUnknown=1;K8S_POD_NAMESPACE=ns", None, id="no name"),
        pytest.param("K8S_POD_NAME=pod", None, id="no namespace"),
        pytest.param("K8S_POD_NAMESPACE=;K8S_POD_NAME=pod", None, id="an empty namespace"),
        pytest.param("K8S_POD_NAMESPACE=ns;K8S_POD_NAME=", None, id="an empty name"),
        pytest.param("K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod", ("ns", "pod", None), id="no uid"),
        pytest.param(
            "K8S_POD_UID=;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod;",
            ("ns", "pod", None),
            id="an empty uid",
        ),
        pytest.param(
            "odd;;K8S_POD_UID=u=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod",
            ("ns", "pod", "u=1"),
            id="in any order",
        ),
    ],
)
def test_a_pod_is_named_whole_or_not_at_all(
    arguments: str, pod: tuple[str, str, str | None] | None
) -> None:
    """Older runtimes do not tell its uid; other tools name none."""
    # SPEC C1
    found = decode_cni_request({**ENVIRONMENT, "CNI_ARGS": arguments}, CONFIG).pod
    assert (found and (found.namespace, found.name, found.uid)) == pod
    assert found is None or str(found) == "Pod ns/pod"


@pytest.mark.parametrize("verb", ["GC", "STATUS"])
def test_what_is_of_no_container_has_none(verb: str) -> None:
    """Whatever the runtime's environment has from elsewhere, right or wrong."""
    environment = {**ENVIRONMENT, "CNI_COMMAND": verb, "CNI_CONTAINERID": "../x"}
    request = decode_cni_request(environment, b'{"cniVersion":"1.1.0","name":"net"}')
    assert (request.container_id, request.interface, request.config_name) == ("", "", "net")


def test_what_a_runtime_gives_is_passed_on() -> None:
    """Capabilities and the result of the plugin before, byte for byte."""
    config = (
        b'{"cniVersion":"1.0.0","runtimeConfig":{"mac":"02:00:00:00:00:07"},'
        b'"prevResult":{"cniVersion": "1.0.0", "ips":[]}}'
    )
    request = decode_cni_request({**ENVIRONMENT, "CNI_COMMAND": "CHECK"}, config)
    assert request.runtime_config == {"mac": "02:00:00:00:00:07"}
    assert request.previous == b'{"cniVersion": "1.0.0", "ips":[]}'
    assert (request.netns, request.config_name) == ("/var/run/netns/x", "")
    assert request.environment == {**ENVIRONMENT, "CNI_COMMAND": "CHECK"}


@pytest.mark.parametrize("verb", ["ADD", "CHECK"])
def test_a_namespace_is_needed_for_what_is_in_it(verb: str) -> None:
    """The message names the verb."""
    with pytest.raises(CniRequestError, match=f"CNI_NETNS is required for {verb}$"):
        decode_cni_request({**ENVIRONMENT, "CNI_COMMAND": verb, "CNI_NETNS": ""}, CONFIG)


@pytest.mark.parametrize(
    ("verb", "told"), [("", "is missing"), ("FLY", "is 'FLY', which danm does not know")]
)
def test_a_verb_that_is_none_is_told(verb: str, told: str) -> None:
    """One that is missing is told from one that is wrong."""
    with pytest.raises(CniRequestError, match=f"the variable CNI_COMMAND {told}$"):
        decode_cni_request({**ENVIRONMENT, "CNI_COMMAND": verb}, CONFIG)


def test_a_frame_without_deadline_has_none() -> None:
    """And what in an environment is no variable is left out."""
    block = b"\0A=b=c\0=x\0EMPTY="
    frame = frame_of(program=PROGRAM_DANM, deadline_ns=0, environment=block, stdin=b"")
    assert (frame.deadline_s, frame.environment) == (None, {"A": "b=c", "EMPTY": ""})


def test_all_variables_that_are_wrong_are_named() -> None:
    """The specification wants the names of the invalid variables in the message."""
    wrong = {"CNI_CONTAINERID": "../x", "CNI_NETNS": "", "CNI_IFNAME": "a/b"}
    with pytest.raises(CniRequestError) as caught:
        decode_cni_request({**ENVIRONMENT, **wrong}, CONFIG)
    assert set(wrong) <= set(re.findall(r"CNI_[A-Z]+", caught.value.reason))


@pytest.mark.parametrize(
    ("verb", "since"),
    [
        pytest.param("ADD", "0.1.0", id="ADD"),
        pytest.param("DEL", "0.1.0", id="DEL"),
        pytest.param("CHECK", "0.4.0", id="CHECK"),
        pytest.param("GC", "1.1.0", id="GC"),
        pytest.param("STATUS", "1.1.0", id="STATUS"),
    ],
)
@pytest.mark.parametrize("version", CniVersion)
def test_a_verb_that_came_later_is_refused(verb: str, since: str, version: CniVersion) -> None:
    """A version without the verb is the specification's error 1, with the way out."""  # SPEC C2
    environment = {**ENVIRONMENT, "CNI_COMMAND": verb}
    config = msgspec.json.encode({"cniVersion": version, "name": "danm", "type": "danm"})
    if version.value >= since:
        assert decode_cni_request(environment, config).verb == verb
        return
    with pytest.raises(CniRequestError, match=f"{verb} .* {version} .* {since}") as caught:
        decode_cni_request(environment, config)
    assert caught.value.code is CniCode.INCOMPATIBLE_VERSION


_A, _B = ({"containerID": name, "ifname": "eth0"} for name in ("a", "b"))


@pytest.mark.parametrize(
    ("keys", "valid"),
    [
        pytest.param({"cni.dev/attachments": [_A]}, {("a", "eth0")}, id="as 1.1.0 was published"),
        pytest.param(
            {"cni.dev/valid-attachments": [_A]}, {("a", "eth0")}, id="as it was corrected"
        ),
        pytest.param(
            {"cni.dev/attachments": [_A], "cni.dev/valid-attachments": [_A]},
            {("a", "eth0")},
            id="both, as libcni sends them",
        ),
        pytest.param(
            {"cni.dev/attachments": [_A], "cni.dev/valid-attachments": [_B]},
            {("a", "eth0"), ("b", "eth0")},
            id="rather too much",
        ),
        pytest.param({"cni.dev/attachments": []}, set(), id="none"),
        pytest.param({"cni.dev/attachments": None}, set(), id="none, as Go writes it"),
        pytest.param({}, None, id="nothing is said"),
    ],
)
def test_what_is_still_valid_is_read(
    keys: dict[str, object], valid: set[tuple[str, str]] | None
) -> None:
    """GC's list has two names; an empty one is told from none. No container is named."""
    config = msgspec.json.encode({"cniVersion": "1.1.0", **keys})
    request = decode_cni_request({"CNI_COMMAND": "GC"}, config)
    assert valid == request.valid_attachments


def test_what_is_null_is_not_there() -> None:
    """A runtime that writes null for what it does not have is understood."""
    config = msgspec.json.encode({"cniVersion": "1.0.0", "prevResult": None, "runtimeConfig": None})
    request = decode_cni_request(ENVIRONMENT, config)
    assert (b"", {}) == (request.previous, request.runtime_config)


def test_status_needs_no_container() -> None:
    """STATUS comes without container, interface and netns."""
    request = decode_cni_request({"CNI_COMMAND": "STATUS"}, b'{"cniVersion":"1.1.0"}')
    assert request.verb is Verb.STATUS


def test_del_needs_no_netns() -> None:
    """A runtime whose namespace is gone sends DEL without it."""
    request = decode_cni_request({**ENVIRONMENT, "CNI_COMMAND": "DEL", "CNI_NETNS": ""}, CONFIG)
    assert request.netns is None


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_characters="=\0"), min_size=1),
        st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    ),
    st.binary(max_size=200),
)
def test_frames_carry_environment_and_input_unchanged(
    environment: dict[str, str], stdin: bytes
) -> None:
    """What an executable sends arrives as it was."""
    block = b"\0".join(f"{key}={value}".encode() for key, value in environment.items())
    data = encode_request(
        program=PROGRAM_DANM, deadline_ns=5_000_000_000, environment=block, stdin=stdin
    )
    program, deadline_ns, got_block, got_stdin = decode_request(data)
    frame = frame_of(
        program=program, deadline_ns=deadline_ns, environment=got_block, stdin=got_stdin
    )
    assert (Program.DANM, 5.0, environment, stdin) == (
        frame.program,
        frame.deadline_s,
        frame.environment,
        frame.stdin,
    )


def test_variables_that_are_no_utf8_are_named() -> None:
    """They reach neither files nor other plugins; CNI's own are error 4, all of them named."""
    # CNI specification, "Error"
    block = b"CNI_NETNS=/run/\xff\0CNI_ARGS=\xe9=1\0LANG=\xff\0CNI_\xff=x\0CNI_COMMAND=DEL"
    frame = frame_of(program=PROGRAM_DANM, deadline_ns=0, environment=block, stdin=CONFIG)
    assert {"CNI_COMMAND": "DEL"} == frame.environment
    with pytest.raises(CniRequestError) as caught:
        frame.require_readable()
    assert CniCode.INVALID_ENVIRONMENT is caught.value.code
    assert ["CNI_ARGS", "CNI_NETNS", "CNI_\\xff"] == re.findall(
        r"variable (\S+)", caught.value.reason
    )
    frame_of(program=1, deadline_ns=0, environment=b"LANG=\xff", stdin=b"").require_readable()


@pytest.mark.parametrize(
    ("stdin", "version"),
    [
        pytest.param(b'{"cniVersion":"0.4.0"}', CniVersion.V0_4_0, id="known"),
        pytest.param(b"{}", CniVersion.V0_1_0, id="none means 0.1.0"),
        pytest.param(b'{"cniVersion":""}', CniVersion.V0_1_0, id="libcni's form of none"),
        pytest.param(
            b'{"cniVersion":"0.4.0","runtimeConfig":7}', CniVersion.V0_4_0, id="broken otherwise"
        ),
        pytest.param(b'{"cniVersion":"7"}', CniVersion.V1_1_0, id="unknown"),
        pytest.param(b"rubbish", CniVersion.V1_1_0, id="unreadable"),
        pytest.param(b'{"cniVersion":"\xff"}', CniVersion.V1_1_0, id="no UTF-8"),
        pytest.param(b'{"a":' + b"[" * 100_000, CniVersion.V1_1_0, id="deep"),
    ],
)
def test_errors_are_answered_in_a_version(stdin: bytes, version: CniVersion) -> None:
    """Even a request that cannot be read is answered in some version."""
    assert version is requested_version(stdin)


def test_a_configuration_without_a_version_is_of_the_first() -> None:
    """What libcni makes of a file without cniVersion is read as 0.1.0."""
    request = decode_cni_request(ENVIRONMENT, b'{"cniVersion":"","name":"danm","type":"danm"}')
    assert request.version is CniVersion.V0_1_0
