"""What the executables send to the node daemon: frames, and the CNI requests in them. Pure.

The executables decide nothing: they send their environment and standard input as they are, and
this module is the only place that knows the form of both: the CNI_* variables of the CNI
specification 1.1.0, section 2, and the keys of the network configuration.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final

import msgspec

from danm_api.codec.cni import VersionedWire, stated_version
from danm_api.codec.json_text import decode_foreign
from danm_api.errors import InvalidRequestError
from danm_api.model.cni import CniVersion
from danm_api.names import (
    ContainerId,
    InterfaceName,
    Namespace,
    PodName,
    PodUid,
)
from danm_api.node_frame import (
    MAX_CONTAINER_ID_LENGTH,
    PROGRAM_DANM,
    PROGRAM_FAKEIPAM,
    is_container_id,
)
from danm_api.validation import interface_name_fault
from danm_cni.cni_errors import CniCode, CniRequestError


class Program(IntEnum):
    """Which executable asks."""

    DANM = PROGRAM_DANM
    FAKEIPAM = PROGRAM_FAKEIPAM


class Verb(StrEnum):
    """The operations of CNI; VERSION is answered by the executable itself."""

    ADD = "ADD"
    DEL = "DEL"
    CHECK = "CHECK"
    GC = "GC"
    STATUS = "STATUS"


# The first version of the specification that has a verb; the others are in all of them.
_SINCE: Final[Mapping[Verb, CniVersion]] = {
    Verb.CHECK: CniVersion.V0_4_0,
    Verb.GC: CniVersion.V1_1_0,
    Verb.STATUS: CniVersion.V1_1_0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One call of an executable, as it was.

    Attributes:
        deadline_s: On CLOCK_MONOTONIC; None for no limit.
        environment: Its variables, less those that are no UTF-8.
        unreadable: The names of CNI's variables among those.
    """

    program: Program
    deadline_s: float | None
    environment: Mapping[str, str]
    stdin: bytes
    unreadable: tuple[str, ...] = ()

    def require_readable(self) -> None:
        """Refuse a call whose variables nobody could act on.

        The executables of this release refuse it themselves.

        Raises:
            CniRequestError: It names them.
        """
        if self.unreadable:
            raise _bad_variables(
                "; ".join(f"the variable {name} is no text in UTF-8" for name in self.unreadable)
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PodIdentity:
    """The Pod that the runtime speaks of (SPEC C1).

    Attributes:
        uid: The runtime's: of a static Pod it is not the mirror Pod's. None from older runtimes.
    """

    namespace: Namespace
    name: PodName
    uid: PodUid | None

    def __str__(self) -> str:
        """Return the Pod as sentences name it."""
        return f"Pod {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CniRequest:
    """One operation that a runtime asks for.

    Attributes:
        interface: CNI_IFNAME; empty for GC and STATUS.
        container_id: Empty for GC and STATUS.
        netns: Path of the network namespace on the host; None when it is gone.
        pod: None when CNI_ARGS names no Pod (another tool than a kubelet's runtime).
        config: The network configuration, byte for byte.
        config_name: Its name; GC speaks of the attachments to this network alone.
        runtime_config: What the runtime adds for the capabilities that the configuration declares.
        previous: The result of the plugin before danm in its list, as it came; empty for the first.
        valid_attachments: GC: (container id, interface) of what the runtime still has; None when
            it does not say.
    """

    verb: Verb
    version: CniVersion
    container_id: ContainerId
    interface: InterfaceName
    netns: str | None
    pod: PodIdentity | None
    config: bytes
    environment: Mapping[str, str]
    runtime_config: Mapping[str, Any]
    previous: bytes = b""
    valid_attachments: frozenset[tuple[ContainerId, InterfaceName]] | None = None
    config_name: str = ""


class _Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """One of the attachments that a runtime lists for GC."""

    container_id: str = msgspec.field(name="containerID")
    interface: str = msgspec.field(name="ifname")


_Attachments = list[_Attachment] | None | msgspec.UnsetType


class _Config(VersionedWire, frozen=True, kw_only=True):
    """The keys of the network configuration that DANM looks at.

    CNI 1.1.0 was published with ``cni.dev/attachments`` for the list of GC, which was an error: its
    text has ``cni.dev/valid-attachments`` since, as libcni had from the beginning. libcni sends
    both. Go programs write null for an empty list.
    """

    name: str | None = None
    runtime_config: dict[str, Any] | None = msgspec.field(name="runtimeConfig", default=None)
    previous: msgspec.Raw = msgspec.field(name="prevResult", default=msgspec.Raw(b"null"))
    attachments: _Attachments = msgspec.field(name="cni.dev/attachments", default=msgspec.UNSET)
    valid_attachments: _Attachments = msgspec.field(
        name="cni.dev/valid-attachments", default=msgspec.UNSET
    )


def frame_of(*, program: int, deadline_ns: int, environment: bytes, stdin: bytes) -> Frame:
    """Type the parts of a frame that ``danm_api.node_frame`` has taken apart."""
    readable: dict[str, str] = {}
    unreadable: list[str] = []
    for entry in environment.split(b"\0"):
        try:
            key, _, value = entry.decode().partition("=")
        except UnicodeDecodeError:
            name = entry.partition(b"=")[0].decode("utf-8", "backslashreplace")
            if name.startswith("CNI_"):
                unreadable.append(name)
            continue
        if key:
            readable[key] = value
    return Frame(
        program=Program(program),
        deadline_s=deadline_ns / 1e9 if deadline_ns else None,
        environment=readable,
        stdin=stdin,
        unreadable=tuple(sorted(unreadable)),
    )


def requested_version(stdin: bytes) -> CniVersion:
    """Return the version to answer in, also for requests that are broken otherwise."""
    try:
        return stated_version(stdin) or CniVersion.V1_1_0
    except InvalidRequestError:
        return CniVersion.V1_1_0


def decode_request(environment: Mapping[str, str], stdin: bytes) -> CniRequest:
    """Read an operation from a plugin's environment and standard input.

    Raises:
        CniRequestError: It breaks the CNI specification.
    """
    config, version = _config(stdin)
    verb = _verb(environment)
    _require_in(verb, version)
    arguments = _arguments(environment.get("CNI_ARGS", ""))
    about_container = verb not in (Verb.GC, Verb.STATUS)
    if about_container and (faults := list(_faults(verb, environment))):
        raise _bad_variables("; ".join(faults))
    return CniRequest(
        verb=verb,
        version=version,
        container_id=ContainerId(environment["CNI_CONTAINERID"] if about_container else ""),
        interface=InterfaceName(environment["CNI_IFNAME"] if about_container else ""),
        netns=environment.get("CNI_NETNS") or None,
        pod=_pod(arguments),
        config=stdin,
        environment=dict(environment),
        runtime_config=config.runtime_config or {},
        previous=b"" if bytes(config.previous) == b"null" else bytes(config.previous),
        valid_attachments=_valid_attachments(config),
        config_name=config.name or "",
    )


def _config(stdin: bytes) -> tuple[_Config, CniVersion]:
    try:
        config = decode_foreign(stdin, _Config)
    except msgspec.DecodeError as error:
        raise CniRequestError(
            f"the network configuration on standard input cannot be read: {error}",
            code=CniCode.UNDECODABLE,
        ) from error
    version = stated_version(stdin)
    if version is None:
        known = ", ".join(CniVersion)
        raise CniRequestError(
            f"cniVersion {config.cni_version!r} is not supported; supported are {known}",
            code=CniCode.INCOMPATIBLE_VERSION,
        )
    return config, version


def _valid_attachments(
    config: _Config,
) -> frozenset[tuple[ContainerId, InterfaceName]] | None:
    """Return everything that either key lists; None when there is neither."""
    lists = [
        each
        for each in (config.attachments, config.valid_attachments)
        if not isinstance(each, msgspec.UnsetType)
    ]
    if not lists:
        return None
    return frozenset(
        (ContainerId(each.container_id), InterfaceName(each.interface))
        for listed in lists
        for each in listed or ()
    )


def _require_in(verb: Verb, version: CniVersion) -> None:
    """Refuse a verb that the version asked for does not have yet."""
    since = _SINCE.get(verb, CniVersion.V0_1_0)
    if not version.has(since):
        raise CniRequestError(
            f"{verb} does not exist in version {version} of the CNI specification, which the "
            f"configuration has; it came with {since}",
            code=CniCode.INCOMPATIBLE_VERSION,
        )


def _bad_variables(what: str) -> CniRequestError:
    return CniRequestError(what, code=CniCode.INVALID_ENVIRONMENT)


def _verb(environment: Mapping[str, str]) -> Verb:
    text = environment.get("CNI_COMMAND", "")
    try:
        return Verb(text)
    except ValueError as error:
        what = f"is {text!r}, which danm does not know" if text else "is missing"
        raise _bad_variables(f"the variable CNI_COMMAND {what}") from error


def _faults(verb: Verb, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with the variables of a container: the specification wants all named."""
    if not is_container_id(environment.get("CNI_CONTAINERID", "")):
        yield (
            "the variable CNI_CONTAINERID must start with a letter or digit and hold only "
            f"letters, digits, '_', '.' and '-', {MAX_CONTAINER_ID_LENGTH} of them at most"
        )
    if verb is not Verb.DEL and not environment.get("CNI_NETNS"):
        yield f"the variable CNI_NETNS is required for {verb}"
    fault = interface_name_fault(environment.get("CNI_IFNAME", ""))
    if fault is not None:
        yield f"the variable CNI_IFNAME {fault}"


def _arguments(text: str) -> dict[str, str]:
    pairs = (entry.partition("=") for entry in text.split(";") if entry)
    return {key: value for key, _, value in pairs}


def _pod(arguments: Mapping[str, str]) -> PodIdentity | None:
    namespace, name = arguments.get("K8S_POD_NAMESPACE"), arguments.get("K8S_POD_NAME")
    if not namespace or not name:
        return None
    uid = arguments.get("K8S_POD_UID")
    return PodIdentity(
        namespace=Namespace(namespace), name=PodName(name), uid=PodUid(uid) if uid else None
    )
