"""``ipam-svc fsck``: examines the record of addresses, and repairs it where that harms nobody."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

import click

from danm_api.codec.danmep import decode_danmep
from danm_api.codec.danmnet import decode_danmnet
from danm_api.codec.ip_block import decode_ip_block
from danm_api.codec.ipam_report import encode_report
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
from danm_api.kube.client import KubeClient
from danm_api.model.ipam_report import Examined, Finding, IpamReport, Outcome
from danm_api.telemetry import configure_logging
from ipam_svc.block import held_entries
from ipam_svc.diagnosis import Diagnosis, in_both
from ipam_svc.examination import examine
from ipam_svc.repair import Repairer
from ipam_svc.snapshot import Snapshot, Unreadable

T = TypeVar("T")

# Longer than danmd's and the Lease holder's rounds (10 s and 5 s): what they end by themselves is
# no finding.
BETWEEN_LOOKS_S: Final = 15.0

CLEAN: Final = 0
FOUND: Final = 1
COULD_NOT_LOOK: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Fsck:
    """Looks twice and repairs.

    Attributes:
        api: The cluster.
        now: The time that expiries are compared with.
        clock: Monotonic seconds.
        sleep: Waits between the looks.
    """

    api: KubeApi
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def run(self, *, between_looks_s: float, repair: bool) -> IpamReport:
        """Examine the whole cluster.

        Args:
            between_looks_s: What one look sees and another so much later does not was in flight.
            repair: End what is dead for sure.

        Raises:
            DanmError: The API server does not answer, or does not let us look.
        """
        began = self.now()
        first = examine(await self._look())
        await self.sleep(between_looks_s)
        snapshot = await self._look()
        found = in_both(first, examine(snapshot))
        repairer = Repairer(self.api, now=self.now, clock=self.clock, sleep=self.sleep)
        findings = [await _settle(each, repairer if repair else None) for each in found]
        await repairer.tell()
        return IpamReport(
            began=began,
            ended=snapshot.now,
            examined=Examined(
                networks=len(snapshot.networks),
                blocks=len(snapshot.blocks),
                addresses=sum(len(held_entries(block)) for block in snapshot.blocks),
                endpoints=len(snapshot.endpoints),
                pods=len(snapshot.pods),
            ),
            findings=tuple(findings),
        )

    async def _look(self) -> Snapshot:
        """Read all that is compared: owners after what they own, so that none is missed."""
        unreadable: list[Unreadable] = []
        blocks = await self._read(DANMIPBLOCKS, decode_ip_block, unreadable)
        endpoints = await self._read(DANMEPS, decode_danmep, unreadable)
        networks = await self._read(DANMNETS, decode_danmnet, unreadable)
        nodes = await self._read(NODES, decode_node, unreadable)
        pods = await self._read(PODS, decode_pod, unreadable)
        return Snapshot(
            now=self.now(),
            networks=networks,
            blocks=blocks,
            endpoints=endpoints,
            nodes=nodes,
            pods=pods,
            unreadable=tuple(unreadable),
        )

    async def _read(
        self, resource: Resource, decode: Callable[[RawObject], T], unreadable: list[Unreadable]
    ) -> tuple[T, ...]:
        """Read all objects of a kind; only one page of them exists in its JSON form."""
        found: list[T] = []
        async with aclosing(self.api.pages(resource)) as pages:
            async for page in pages:
                for raw in page.items:
                    try:
                        found.append(decode(raw))
                    except DanmError as error:
                        metadata = raw["metadata"]
                        unreadable.append(
                            Unreadable(
                                kind=resource.kind,
                                namespace=metadata.get("namespace", ""),
                                name=metadata["name"],
                                reason=error.reason,
                            )
                        )
        return tuple(found)


async def _settle(diagnosis: Diagnosis, repairer: Repairer | None) -> Finding:
    if diagnosis.action is None or repairer is None:
        return diagnosis.finding
    done = await repairer.run(diagnosis.action)
    return replace(diagnosis.finding, outcome=Outcome.REPAIRED if done else Outcome.NOT_REPAIRED)


def as_table(report: IpamReport) -> str:
    """Return a report for people."""
    seen = report.examined
    lines = [
        f"Examined {seen.networks} DanmNets, {seen.blocks} blocks with {seen.addresses} addresses,"
        f" {seen.endpoints} DanmEps and {seen.pods} Pods."
    ]
    lines += [line for finding in report.findings for line in _lines(finding)]
    lines.append(_total(report.findings))
    return "\n".join(lines)


def _lines(finding: Finding) -> Iterable[str]:
    where = "/".join(text for text in (finding.namespace, finding.network) if text)
    what = " of ".join(text for text in (finding.address, finding.subject) if text)
    yield f"{finding.kind}  {where}: {what}" + (f" on {finding.node}" if finding.node else "")
    yield f"    {finding.problem}"
    yield f"    {finding.outcome}: {finding.remedy}"


def _total(findings: tuple[Finding, ...]) -> str:
    if not findings:
        return "All fits together."
    dead = sum(each.outcome is Outcome.REPAIRABLE for each in findings)
    hint = f"; --repair ends {dead} of them now" if dead else ""
    return f"{len(findings)} findings{hint}."


@click.command(name="fsck")
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="How to reach the API server; without it, by the Pod's service account.",
)
@click.option("--repair", is_flag=True, help="End what is dead for sure; never what may be live.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    help="How the report is printed.",
)
@click.option(
    "--between-looks",
    type=click.FloatRange(min=0),
    default=BETWEEN_LOOKS_S,
    help="Seconds between the two looks; what only one of them sees is in flight.",
)
def fsck(*, kubeconfig: Path | None, repair: bool, output: str, between_looks: float) -> None:
    """Examine whether addresses, Pods, DanmEps, nodes and DanmNets fit together.

    Ends with status 0 when all fits, 1 when something does not (repaired or not), 2 when the
    cluster could not be looked at.
    """
    # On standard error, so that the report stays readable: a line for each thing that is freed.
    configure_logging("ipam-svc fsck", level="info")

    async def look() -> IpamReport:
        async with await KubeClient.connect(kubeconfig) as api:
            run = Fsck(api=api, now=lambda: datetime.now(tz=UTC))
            return await run.run(between_looks_s=between_looks, repair=repair)

    try:
        report = asyncio.run(look())
    except DanmError as error:
        click.echo(f"Could not look: {error.reason}", err=True)
        sys.exit(COULD_NOT_LOOK)
    click.echo(encode_report(report) if output == "json" else as_table(report))
    sys.exit(FOUND if report.findings else CLEAN)
