"""What fakeipam asks for: a CNI request whose ``ipam`` section names a DanmNet (SPEC F2). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from danm_api.codec.cni import RouteWire, decode_result
from danm_api.codec.json_text import decode_foreign
from danm_api.codec.values import UnreadableValueError, parse_ip, parse_ip_network
from danm_api.errors import InvalidNetworkError, InvalidRequestError
from danm_api.ipam_api import (
    AttachmentAnswer,
    AttachmentRequest,
    ContainerOwnerMessage,
    OwnerMessage,
    PodOwnerMessage,
)
from danm_api.model.addresses import IPAddress, Route
from danm_api.model.cni import CniIp, CniResult, CniRoute
from danm_api.model.danmnet import DanmNet, NetworkSpec
from danm_api.names import Namespace, NetworkName, PodUid
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.request import CniRequest, Verb, decode_request

# The executable, as ``ipam.type`` names it.
_TYPE: Final = "fakeipam"
# Where the DanmNet of a container that is no Pod is looked for, unless ipam.namespace says it.
_DEFAULT_NAMESPACE: Final = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpamRequest:
    """One operation that fakeipam forwards.

    Attributes:
        call: Verb, container, interface, Pod and version.
        network: The DanmNet.
        namespace: The Pod's, or the one that the configuration names for other containers.
        routes: Of the ``ipam`` section; they join those of the DanmNet.
        previous: The addresses of ``prevResult``; None where there is none.
    """

    call: CniRequest
    network: NetworkName
    namespace: Namespace
    routes: tuple[CniRoute, ...] = ()
    previous: frozenset[IPAddress] | None = None

    @property
    def subject(self) -> str:
        """Whose address it is, as sentences name it."""
        if self.call.pod is not None:
            return f"{self.call.pod}, interface {self.call.interface}"
        return f"container {self.call.container_id}, interface {self.call.interface}"

    def asks_the_same(self, other: "IpamRequest") -> bool:
        """Say whether the answer to one ADD is the answer to the other."""
        return _question(self) == _question(other)


class _Section(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of ``ipam`` that are for fakeipam."""

    type: str = ""
    network: str = ""
    namespace: str = ""
    ip: msgspec.Raw | None = None
    routes: list[RouteWire] | None = None


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a network configuration that are for its IPAM plugin."""

    ipam: _Section = msgspec.field(default_factory=_Section)
    previous: msgspec.Raw = msgspec.field(name="prevResult", default=msgspec.Raw(b"null"))


def decode_ipam_request(environment: Mapping[str, str], stdin: bytes) -> IpamRequest:
    """Read an operation from fakeipam's environment and standard input.

    Raises:
        CniRequestError: It breaks the CNI specification, or a rule of the ``ipam`` section.
    """
    call = decode_request(environment, stdin)
    try:
        config = decode_foreign(stdin, _Config)
        routes = tuple(_route(each) for each in config.ipam.routes or ())
        previous = _previous(bytes(config.previous))
    except (msgspec.DecodeError, UnreadableValueError, InvalidRequestError) as error:
        raise _bad_config(f"cannot be read: {error}") from error
    if not config.ipam.network:
        raise _bad_config("has no ipam.network; name a DanmNet there, or an address in ipam.ip")
    namespace = config.ipam.namespace
    if call.pod is not None:
        if namespace and namespace != call.pod.namespace:
            raise _bad_config(
                f"names the namespace {namespace} in ipam.namespace, but {call.pod} gets addresses "
                "of its own namespace only; leave ipam.namespace out"
            )
        namespace = call.pod.namespace
    return IpamRequest(
        call=call,
        network=NetworkName(config.ipam.network),
        namespace=Namespace(namespace or _DEFAULT_NAMESPACE),
        routes=routes,
        previous=previous,
    )


def _question(request: IpamRequest) -> tuple[object, ...]:
    """Return what the answer to an ADD depends on."""
    call = request.call
    attachment = (call.container_id, call.interface, call.netns, call.pod)
    asked = (request.network, request.namespace, request.routes)
    return (attachment, call.config_name, call.version, asked)


def request_of_delegate(config: bytes, environment: Mapping[str, str]) -> IpamRequest | None:
    """Return the ADD that a delegate's fakeipam is about to send; None where it will not ask danmd.

    Source: CNI specification 1.1.0, section 4: a plugin hands its configuration and its environment
    on to its IPAM plugin as they are.

    Args:
        config: The delegate's.
        environment: Likewise.
    """
    try:
        section = decode_foreign(config, _Config).ipam
        if section.type != _TYPE or not section.network or section.ip is not None:
            return None
        return decode_ipam_request({**environment, "CNI_COMMAND": Verb.ADD}, config)
    except (msgspec.DecodeError, CniRequestError):
        # fakeipam will be told what is wrong with it.
        return None


def _bad_config(what: str) -> CniRequestError:
    return CniRequestError(f"fakeipam: the configuration {what}", code=CniCode.INVALID_CONFIG)


def _route(wire: RouteWire) -> CniRoute:
    return CniRoute(
        destination=parse_ip_network(wire.dst), gateway=parse_ip(wire.gw) if wire.gw else None
    )


def _previous(data: bytes) -> frozenset[IPAddress] | None:
    if data == b"null":
        return None
    return frozenset(each.address.ip for each in decode_result(data).ips)


def owner_message(request: IpamRequest, uid: PodUid | None) -> OwnerMessage:
    """Return whom ipam-svc is to know as the owner; ``uid`` is the Pod's, where there is a Pod."""
    if request.call.pod is None or uid is None:
        return ContainerOwnerMessage(
            namespace=request.namespace, container_id=request.call.container_id
        )
    return PodOwnerMessage(namespace=request.namespace, name=request.call.pod.name, uid=uid)


def wanted_addresses(request: IpamRequest, net: DanmNet, spec: NetworkSpec) -> AttachmentRequest:
    """Return what is to be reserved: an address of each family that the DanmNet has.

    Raises:
        InvalidNetworkError: It has none.
    """
    if spec.cidr is None and spec.net6 is None:
        raise InvalidNetworkError(
            f"{request.subject}: DanmNet {net.namespace}/{net.name} has no addresses to give (an "
            "L2 network); set Options.cidr or Options.net6"
        )
    return AttachmentRequest(
        network=net.name,
        interface=request.call.interface,
        ip="none" if spec.cidr is None else "dynamic",
        ip6="none" if spec.net6 is None else "dynamic",
    )


def result_of(answer: AttachmentAnswer, spec: NetworkSpec, routes: Iterable[CniRoute]) -> CniResult:
    """Return what fakeipam prints for the addresses that were reserved.

    A route of the configuration replaces the DanmNet's to the same destination.
    """
    own = {each.destination: each for each in routes}
    versions = {4 if answer.ip else 0, 6 if answer.ip6 else 0}
    of_network = [
        CniRoute(destination=each.destination, gateway=each.gateway)
        for each in _routes(spec)
        if each.destination.version in versions and each.destination not in own
    ]
    ips = tuple(
        CniIp(address=parsed, gateway=_gateway(parsed.version, [*own.values(), *of_network]))
        for parsed in (each.address for each in _ips(answer))
    )
    return CniResult(ips=ips, routes=(*of_network, *own.values()))


def _routes(spec: NetworkSpec) -> Iterable[Route]:
    yield from spec.routes
    yield from spec.routes6


def _ips(answer: AttachmentAnswer) -> Iterable[CniIp]:
    wire = [{"address": each} for each in (answer.ip, answer.ip6) if each]
    return decode_result(msgspec.json.encode({"ips": wire})).ips


def _gateway(version: int, routes: Iterable[CniRoute]) -> IPAddress | None:
    """Return the gateway of a family: of the default route, else of the first that has one."""
    found = [
        each for each in routes if each.destination.version == version and each.gateway is not None
    ]
    found.sort(key=lambda each: each.destination.prefixlen != 0)
    return found[0].gateway if found else None
