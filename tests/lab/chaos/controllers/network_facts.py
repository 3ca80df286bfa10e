"""DanmNets as their documentation describes them, as far as the model needs. Pure."""

import msgspec

from tests.lab.chaos.controllers.facts import DanmEp, Event, Metadata


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """Both ends are inclusive."""

    start: str = ""
    end: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a DanmNet may say; the documentation has more, which no run uses."""

    host_device: str = ""
    cidr: str = ""
    allocation_pool: Pool | None = None
    routes: dict[str, str] = {}
    rt_tables: int | None = None
    vxlan: int | None = None
    vlan: int | None = None
    container_prefix: str = ""


class NetworkSpec(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What a DanmNet asks for, or what of it is in force."""

    network_id: str = msgspec.field(name="NetworkID")
    network_type: str = "ipvlan"
    validation: str = ""
    options: Options = Options()


class NetworkCondition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One aspect of a DanmNet's state."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int = 0


class NetworkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the validator says of it."""

    applied: NetworkSpec | None = None
    conditions: tuple[NetworkCondition, ...] = ()


class DanmNet(msgspec.Struct, frozen=True, kw_only=True):
    """A DanmNet."""

    metadata: Metadata
    spec: NetworkSpec
    status: NetworkStatus = NetworkStatus()

    def condition(self, kind: str) -> NetworkCondition | None:
        """Return a condition."""
        return next((each for each in self.status.conditions if each.type == kind), None)


class Networks(msgspec.Struct, frozen=True, kw_only=True):
    """All that the validator reads and writes, at one moment."""

    networks: tuple[DanmNet, ...] = ()
    interfaces: tuple[DanmEp, ...] = ()
    events: tuple[Event, ...] = ()
