"""CNI results and errors, whatever version of the specification prints them. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Interface, IPv6Interface

from danm_api.model.addresses import IPAddress, IPNetwork


class CniVersion(StrEnum):
    """The versions of the specification that DANM speaks (SPEC C2)."""

    V0_1_0 = "0.1.0"
    V0_2_0 = "0.2.0"
    V0_3_0 = "0.3.0"
    V0_3_1 = "0.3.1"
    V0_4_0 = "0.4.0"
    V1_0_0 = "1.0.0"
    V1_1_0 = "1.1.0"

    def has(self, since: "CniVersion") -> bool:
        """Say whether it has what came with a version."""
        order = list(CniVersion)
        return order.index(self) >= order.index(since)


@dataclass(frozen=True, slots=True, kw_only=True)
class CniInterface:
    """An interface of a result.

    Attributes:
        sandbox: Path of the netns; None for an interface of the host.
        socket_path: Of a user-space interface (vhost-user); from 1.1.0 on.
        pci_id: Of a device; from 1.1.0 on.
    """

    name: str
    mac: str | None = None
    sandbox: str | None = None
    mtu: int | None = None
    socket_path: str | None = None
    pci_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CniIp:
    """An address of a result.

    Attributes:
        interface: Index into the result's interfaces, from 0.
    """

    address: IPv4Interface | IPv6Interface
    gateway: IPAddress | None = None
    interface: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CniRoute:
    """A route of a result; all but the first two fields are of 1.1.0.

    Attributes:
        mtu: Bytes, of the path.
        advmss: The maximal segment size to advertise.
        priority: The kernel's metric.
        table: The kernel's; None for the main one.
        scope: The kernel's number.
    """

    destination: IPNetwork
    gateway: IPAddress | None = None
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None
    table: int | None = None
    scope: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CniDns:
    """Name servers and search domains of a result."""

    nameservers: tuple[str, ...] = ()
    domain: str | None = None
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CniResult:
    """What an ADD made."""

    interfaces: tuple[CniInterface, ...] = ()
    ips: tuple[CniIp, ...] = ()
    routes: tuple[CniRoute, ...] = ()
    dns: CniDns = CniDns()  # noqa: RUF009  (frozen)


@dataclass(frozen=True, slots=True, kw_only=True)
class CniError:
    """An error object.

    Attributes:
        code: Below 100 the specification's, from 100 on the plugin's own.
    """

    code: int
    message: str
    details: str = ""
