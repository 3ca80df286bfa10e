"""One result out of the results of all interfaces. Pure.

Source: SPEC C3; CNI specification 1.1.0, "Success". The runtime reports the first address as the
Pod's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface

from danm_api.codec.cni import decode_result, encode_result, stated_version
from danm_api.errors import DelegateError, InvalidAttachmentError, InvalidRequestError
from danm_api.model.cni import CniDns, CniInterface, CniIp, CniResult
from danm_api.names import InterfaceName
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.plan import PRIMARY_INTERFACE
from danm_cni.request import CniRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceResult:
    """What one attachment made.

    Attributes:
        interface: Its name in the Pod.
        result: A delegate's may hold interfaces of the host as well.
        output: What the delegate printed, byte for byte.
    """

    interface: InterfaceName
    result: CniResult
    output: bytes = b""


def previous_result(request: CniRequest) -> CniResult | None:
    """Return the result of the plugins before danm in its list.

    Before 0.3.0 a result names no interface: it tells of CNI_IFNAME.

    Raises:
        CniRequestError: It cannot be read.
    """
    if not request.previous:
        return None
    try:
        result = decode_result(request.previous)
    except InvalidRequestError as error:
        raise CniRequestError(f"prevResult: {error.reason}", code=CniCode.UNDECODABLE) from error
    named = range(len(result.interfaces))
    if result.interfaces and any(ip.interface not in (None, *named) for ip in result.ips):
        raise CniRequestError(
            "prevResult: an address is of an interface that is not listed",
            code=CniCode.UNDECODABLE,
        )
    return result if result.interfaces else _of_request(result, request)


def answer_in_version(output: bytes, request: CniRequest) -> bytes:
    """Return what `danm` prints for a result: as it came, if it has the version asked for.

    Args:
        output: What an ADD of this sandbox has told: of the fallback's plugins, or danm's own.
        request: The ADD to answer.

    Raises:
        DelegateError: It is no result.
    """
    try:
        result = decode_result(output)
    except InvalidRequestError as error:
        raise DelegateError(error.reason, code=CniCode.UNDECODABLE) from error
    if stated_version(output) is request.version:
        return output
    return encode_result(_of_request(result, request), request.version)


def _of_request(result: CniResult, request: CniRequest) -> CniResult:
    part = InterfaceResult(interface=request.interface, result=result)
    return complete_result(part, netns=request.netns or "")


def merge(
    parts: Sequence[InterfaceResult], *, netns: str, previous: CniResult | None = None
) -> CniResult:
    """Merge in the order of the annotation, eth0's part first.

    Interfaces that two delegates report alike (one bridge of the host, say) appear once.

    Args:
        parts: One for each attachment.
        netns: The Pod's.
        previous: Of the plugins before danm in its list: they come first, unless eth0 is danm's.
    """
    ordered = sorted(parts, key=lambda part: part.interface != PRIMARY_INTERFACE)
    complete = [complete_result(part, netns=netns) for part in ordered]
    if previous is not None:
        has_primary = PRIMARY_INTERFACE in sandbox_interfaces(previous)
        complete.insert(0 if has_primary else len(complete), previous)
    interfaces: list[CniInterface] = []
    ips: list[CniIp] = []
    for result in complete:
        position_of = [_position(interfaces, interface) for interface in result.interfaces]
        ips.extend(
            replace(ip, interface=None if ip.interface is None else position_of[ip.interface])
            for ip in result.ips
        )
    routes = tuple(dict.fromkeys(route for result in complete for route in result.routes))
    return CniResult(
        interfaces=tuple(interfaces),
        ips=tuple(ips),
        routes=routes,
        dns=_merge_dns([result.dns for result in complete]),
    )


def sandbox_interfaces(result: CniResult) -> frozenset[str]:
    """Return the names of a result's interfaces in the Pod."""
    return frozenset(each.name for each in result.interfaces if each.sandbox)


def is_own(interface: CniInterface, name: str) -> bool:
    """Say whether an interface of a result is the Pod's: the host may have one of that name."""
    return interface.name == name and bool(interface.sandbox)


def own_addresses(result: CniResult, name: str) -> tuple[IPv4Interface | IPv6Interface, ...]:
    """Return the addresses of an interface of the Pod."""
    return tuple(
        ip.address
        for ip in result.ips
        if ip.interface is not None and is_own(result.interfaces[ip.interface], name)
    )


def with_mtu(result: CniResult, name: str, mtu: int | None) -> CniResult:
    """Return a plugin's result with the MTU that its interface has got since; None for none."""
    interfaces = tuple(
        replace(each, mtu=mtu or each.mtu) if is_own(each, name) else each
        for each in result.interfaces
    )
    return replace(result, interfaces=interfaces)


def _position(interfaces: list[CniInterface], interface: CniInterface) -> int:
    if interface not in interfaces:
        interfaces.append(interface)
    return interfaces.index(interface)


def complete_result(part: InterfaceResult, *, netns: str) -> CniResult:
    """Add what results of CNI 0.2.0 and older leave out: the interface, and whose an address is."""
    interfaces = part.result.interfaces
    if not any(is_own(each, part.interface) for each in interfaces):
        interfaces = (*interfaces, CniInterface(name=part.interface, sandbox=netns))
    own = next(i for i, each in enumerate(interfaces) if is_own(each, part.interface))
    known = range(len(interfaces))
    ips = tuple(
        replace(ip, interface=ip.interface if ip.interface in known else own)
        for ip in part.result.ips
    )
    return replace(part.result, interfaces=interfaces, ips=ips)


def _merge_dns(parts: Sequence[CniDns]) -> CniDns:
    return CniDns(
        nameservers=_union(dns.nameservers for dns in parts),
        domain=next((dns.domain for dns in parts if dns.domain), None),
        search=_union(dns.search for dns in parts),
        options=_union(dns.options for dns in parts),
    )


def _union(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entry for part in parts for entry in part))


def require_primary_address(pod: str, result: CniResult) -> None:
    """Refuse a Pod whose eth0 has no address; of a delegate this is known only afterwards.

    Source: SPEC B4.

    Raises:
        InvalidAttachmentError: No address is on eth0.
    """
    if own_addresses(result, PRIMARY_INTERFACE):
        return
    raise InvalidAttachmentError(
        f"{pod}: eth0 got no address, and the container runtime takes the Pod's address from eth0; "
        "give the plugin of its network an IPAM configuration"
    )
