"""All metrics of all parts, as the parts define them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, Final, cast

from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

import danm_api.ipam_client
import danm_api.kube.metrics
import danm_api.telemetry.build_info
import danm_api.telemetry.scrapes
import danm_cni.daemon
import danm_cni.ipam_only
import danm_cni.metrics
import ipam_svc.metrics
import ipam_svc.process
import netwatcher.metrics
import netwatcher.node_process
import netwatcher.validator_process
import svcwatcher.metrics
import svcwatcher.process
from ipam_svc.network_addresses import NetworkAddresses

_UNITS: Final = ("seconds", "bytes")
# What prometheus-client itself adds to each process.
_FOREIGN: Final = ("python_", "process_")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricInfo:
    """One metric.

    Attributes:
        name: As queries have it: a counter with ``_total``, a histogram without ``_bucket``.
        type: counter, gauge or histogram.
        labels: Their names.
        text: What it means.
    """

    name: str
    type: str
    labels: tuple[str, ...]
    text: str

    @property
    def unit(self) -> str:
        """The unit that the name says; empty for a number of things."""
        return next((unit for unit in _UNITS if self.name.endswith(f"_{unit}")), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Metrics that are shown together.

    Attributes:
        title: Whose they are.
        where: Where they are scraped.
    """

    title: str
    where: str
    metrics: tuple[MetricInfo, ...]


def parts() -> tuple[Part, ...]:
    """Return all parts in the page's order."""
    addresses = NetworkAddresses(now=lambda: datetime.now(tz=UTC))
    return (
        Part(
            title="Every process",
            where="Each shows those of what it has: only some have a Lease or queues.",
            metrics=_sorted(
                (
                    *_of(danm_api.telemetry.build_info),
                    *_of(danm_api.telemetry.scrapes),
                    *_of(danm_api.kube.metrics),
                ),
            ),
        ),
        Part(
            title="danmd",
            where="Port 9441 of each node.",
            metrics=_sorted((*_of(danm_cni.metrics), *_of(danm_api.ipam_client))),
        ),
        Part(
            title="ipam-svc",
            where="`/metrics` on port 9443, with TLS and a token "
            "([decision 0014](decisions/0014-metrics-of-ipam-svc.md)).",
            metrics=_sorted((*_of(ipam_svc.metrics), *_infos(addresses))),
        ),
        Part(
            title="netwatcher",
            where="Port 9442 of each node; the validator's port is 9444.",
            metrics=_sorted(_of(netwatcher.metrics)),
        ),
        Part(
            title="svcwatcher",
            where="Port 9445.",
            metrics=_sorted(_of(svcwatcher.metrics)),
        ),
    )


def registered() -> frozenset[str]:
    """Return the names of what is registered once all parts are imported."""
    return frozenset(
        _name(family) for family in REGISTRY.collect() if not family.name.startswith(_FOREIGN)
    )


# Imported for what they register, in whichever module.
PROCESSES: Final[tuple[ModuleType, ...]] = (
    danm_cni.daemon,
    danm_cni.ipam_only,
    ipam_svc.process,
    netwatcher.node_process,
    netwatcher.validator_process,
    svcwatcher.process,
)


def _of(module: ModuleType) -> Iterator[MetricInfo]:
    """Yield the metrics that a module defines, not those that it imports."""
    for value in vars(module).values():
        if isinstance(value, MetricWrapperBase):
            yield from _infos(value)


def _infos(collector: Collector) -> Iterator[MetricInfo]:
    for family in collector.collect():
        # Of a family that is made when it is asked for, only that one knows its labels.
        known = collector if hasattr(collector, "_labelnames") else family
        labels = cast(Any, known)._labelnames  # noqa: SLF001  (there is no reader)
        text = family.documentation.rstrip(".")
        yield MetricInfo(name=_name(family), type=family.type, labels=tuple(labels), text=text)


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _sorted(metrics: Iterable[MetricInfo]) -> tuple[MetricInfo, ...]:
    return tuple(sorted(metrics, key=lambda each: each.name))
