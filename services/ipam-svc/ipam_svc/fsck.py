"""``ipam-svc fsck``: examines the record of addresses, and repairs it where that harms nobody."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from danm_api.codec.ipam_report import encode_report
from danm_api.errors import DanmError
from danm_api.examining import BETWEEN_LOOKS_S, examine_twice
from danm_api.kube.api import KubeApi
from danm_api.kube.client import KubeClient
from danm_api.model.ipam_report import Finding, IpamReport, Outcome
from danm_api.record.diagnosis import Diagnosis
from danm_api.telemetry import configure_logging
from ipam_svc.repair import Repairer

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
        seen = await examine_twice(
            self.api, now=self.now, sleep=self.sleep, between_looks_s=between_looks_s
        )
        repairer = Repairer(self.api, now=self.now, clock=self.clock, sleep=self.sleep)
        findings = [await _settle(each, repairer if repair else None) for each in seen.found]
        await repairer.tell()
        return seen.report(findings)


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
