"""What an examination has found, in all forms of an answer. Pure."""

from typing import Final

from danm_api.model.ipam_report import Finding, IpamReport, Outcome
from kubectl_danm.view.report import Cell, Report, Row, Section, Tone

# Where to end what is dead: this program only reads.
_REPAIR: Final = (
    "kubectl -n danm-system exec deploy/danm-ipam -- /app/bin/python -s -m ipam_svc fsck --repair"
)


def report_findings(report: IpamReport) -> Report:
    """Return the answer; a finding makes it a bad one."""
    seen = report.examined
    dead = sum(each.outcome is Outcome.REPAIRABLE for each in report.findings)
    notes = (f"{dead} of the findings are dead for sure; this ends them now: {_REPAIR}",)
    return Report(
        document=report,
        names=tuple(_name(each) for each in report.findings),
        sections=(
            Section(
                title=f"Examined {seen.networks} DanmNets, {seen.blocks} blocks with"
                f" {seen.addresses} addresses, {seen.endpoints} DanmEps and {seen.pods} Pods",
                columns=("FINDING", "NETWORK", "ADDRESS", "OBJECT", "NODE", "PROBLEM", "WAY OUT"),
                rows=tuple(_row(each) for each in report.findings),
                empty="All fits together.",
            ),
        ),
        notes=notes if dead else (),
        found=not report.findings,
    )


def _name(finding: Finding) -> str:
    parts = (finding.namespace, finding.network, finding.address or finding.subject)
    return f"{finding.kind.value}/{'/'.join(part for part in parts if part)}"


def _row(finding: Finding) -> Row:
    where = "/".join(text for text in (finding.namespace, finding.network) if text)
    return (
        Cell(finding.kind.value, Tone.BAD if finding.outcome is Outcome.LEFT else Tone.WARN),
        Cell(where),
        Cell(finding.address or "-"),
        Cell(finding.subject, Tone.STRONG),
        Cell(finding.node or "-"),
        Cell(finding.problem),
        Cell(finding.remedy),
    )
