"""Looks at the whole cluster twice, and examines whether the record of addresses fits to it.

It only reads: list rights on DanmNets, DanmIPBlocks, DanmEps, Nodes and Pods of all namespaces are
enough. What may be done about a finding is in its diagnosis, and somebody else's business.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from danm_api.codec.danmep import decode_danmep
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.ip_block import decode_ip_block
from danm_api.codec.node import decode_node
from danm_api.codec.pod import decode_pod
from danm_api.errors import DanmError
from danm_api.kube.api import (
    DANMEPS,
    DANMIPBLOCKS,
    DANMNETS,
    NODES,
    PODS,
    KubeApi,
    RawObject,
    Resource,
)
from danm_api.kube.relisting import begin_anew
from danm_api.model.ipam_report import Examined, Finding, IpamReport
from danm_api.record.diagnosis import Diagnosis, in_both
from danm_api.record.entries import held_entries
from danm_api.record.examination import examine
from danm_api.record.snapshot import Snapshot, Unreadable

T = TypeVar("T")

# Longer than danmd's and the Lease holder's rounds (10 s and 5 s): what they end by themselves is
# no finding.
BETWEEN_LOOKS_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What both looks have found.

    Attributes:
        began: When the first look began.
        snapshot: What the second one has seen.
        found: What both have found; what only one did was in flight.
    """

    began: datetime
    snapshot: Snapshot
    found: tuple[Diagnosis, ...]

    def report(self, findings: Iterable[Finding]) -> IpamReport:
        """Return the report with findings as they ended."""
        seen = self.snapshot
        return IpamReport(
            began=self.began,
            ended=seen.now,
            examined=Examined(
                networks=len(seen.networks),
                blocks=len(seen.blocks),
                addresses=sum(len(held_entries(block)) for block in seen.blocks),
                endpoints=len(seen.endpoints),
                pods=len(seen.pods),
            ),
            findings=tuple(findings),
        )


async def examine_twice(
    api: KubeApi,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[None]],
    between_looks_s: float,
) -> Examination:
    """Examine the whole cluster.

    Args:
        api: The cluster.
        now: The time that expiries are compared with.
        sleep: Waits between the looks.
        between_looks_s: What one look sees and another so much later does not was in flight.

    Raises:
        DanmError: The API server does not answer, or does not let us look.
    """
    began = now()
    first = examine(await look(api, now=now))
    await sleep(between_looks_s)
    snapshot = await look(api, now=now)
    return Examination(began=began, snapshot=snapshot, found=in_both(first, examine(snapshot)))


async def look(api: KubeApi, *, now: Callable[[], datetime]) -> Snapshot:
    """Read all that is compared: owners after what they own, so that none is missed.

    Raises:
        DanmError: The API server does not answer, or does not let us look.
    """
    unreadable: list[Unreadable] = []
    blocks = await _read(api, DANMIPBLOCKS, decode_ip_block, unreadable)
    endpoints = await _read(api, DANMEPS, decode_danmep, unreadable)
    networks = await _read(api, DANMNETS, decode_danmnet, unreadable)
    nodes = await _read(api, NODES, decode_node, unreadable)
    pods = await _read(api, PODS, decode_pod, unreadable)
    return Snapshot(
        now=now(),
        networks=networks,
        blocks=blocks,
        endpoints=endpoints,
        nodes=nodes,
        pods=pods,
        unreadable=tuple(unreadable),
    )


async def _read(
    api: KubeApi,
    resource: Resource,
    decode: Callable[[RawObject], T],
    unreadable: list[Unreadable],
) -> tuple[T, ...]:
    """Read all objects of a kind; only one page of them exists in its JSON form."""

    async def read() -> tuple[list[T], list[Unreadable]]:
        found: list[T] = []
        broken: list[Unreadable] = []
        async with aclosing(api.pages(resource)) as pages:
            async for page in pages:
                for raw in page.items:
                    try:
                        found.append(decode(raw))
                    except DanmError as error:
                        broken.append(_unreadable(resource, raw, error))
        return found, broken

    found, broken = await begin_anew(read)
    unreadable += broken
    return tuple(found)


def _unreadable(resource: Resource, raw: RawObject, error: DanmError) -> Unreadable:
    metadata = raw["metadata"]
    return Unreadable(
        kind=resource.kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        reason=error.reason,
    )
