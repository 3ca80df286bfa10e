"""How many addresses of each network are used, cooling and free, for Prometheus.

The Lease holder alone shows them: it counts them for DanmNet.status anyway, and a sum over replicas
would count everything twice.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from danm_api.model.danmnet import DanmNet, Usage
from danm_api.names import Namespace, NetworkName
from ipam_svc.address_space import Version
from ipam_svc.summary import NetworkSummary

ADDRESSES_NAME: Final = "danm_ipam_network_addresses"
POOL_SIZE_NAME: Final = "danm_ipam_network_pool_size"
_NETWORK: Final = ("namespace", "network", "family")

_Key = tuple[Namespace, NetworkName]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """One address family of one network.

    Attributes:
        free_at: When each address that cools may be handed out again, in order.
    """

    name: str
    usage: Usage
    free_at: Sequence[datetime]


class NetworkAddresses(Collector):
    """What was counted last of every network."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        """Know nothing yet; cooling addresses become free as time goes by."""
        self._now = now
        self._networks: dict[_Key, tuple[_Family, ...]] = {}

    def count(
        self,
        net: DanmNet,
        summary: NetworkSummary,
        cooling: Mapping[Version, Sequence[datetime]],
    ) -> None:
        """Remember a network's numbers.

        Args:
            net: The network.
            summary: What is used and free of it; cooling addresses are among the free ones.
            cooling: When each of them has cooled down, by family; sorted.
        """
        families: tuple[tuple[Version, str, Usage | None], ...] = (
            (4, "ipv4", summary.ipv4),
            (6, "ipv6", summary.ipv6),
        )
        self._networks[net.namespace, net.name] = tuple(
            _Family(name=name, usage=usage, free_at=cooling[version])
            for version, name, usage in families
            if usage is not None
        )

    def keep_only(self, nets: Iterable[DanmNet]) -> None:
        """Forget the networks that are gone."""
        for key in self._networks.keys() - {(net.namespace, net.name) for net in nets}:
            del self._networks[key]

    @contextmanager
    def shown(self, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
        """Show the numbers among a registry's metrics for the time of the block."""
        registry.register(self)
        try:
            yield
        finally:
            registry.unregister(self)

    def describe(self) -> list[GaugeMetricFamily]:
        """Reserve no names: nothing is there before the first network is counted."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics, as of now."""
        now = self._now()
        addresses = GaugeMetricFamily(
            ADDRESSES_NAME,
            "Addresses of a DanmNet: used (those outside of the pool as well), cooling (in the"
            " pool, given back, not to be handed out yet) and free (in the pool).",
            labels=[*_NETWORK, "state"],
        )
        sizes = GaugeMetricFamily(
            POOL_SIZE_NAME, "Addresses that a DanmNet's pool hands out.", labels=_NETWORK
        )
        for (namespace, network), families in self._networks.items():
            for family in families:
                cooling = len(family.free_at) - bisect_right(family.free_at, now)
                states = {
                    "used": family.usage.used,
                    "cooling": cooling,
                    "free": family.usage.free - cooling,
                }
                place = [namespace, network, family.name]
                for state, count in states.items():
                    addresses.add_metric([*place, state], count)
                sizes.add_metric(place, family.usage.total)
        yield addresses
        yield sizes
