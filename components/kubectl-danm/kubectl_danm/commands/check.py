"""``check``: whether addresses, Pods, DanmEps, nodes and DanmNets fit together."""

import click

from danm_api.examining import BETWEEN_LOOKS_S, examine_twice
from kubectl_danm.connection import Session
from kubectl_danm.options import Options, with_options
from kubectl_danm.progress import Progress
from kubectl_danm.view.findings import report_findings
from kubectl_danm.view.report import Report


@click.command(name="check")
@click.option(
    "--between-looks",
    type=click.FloatRange(min=0),
    default=BETWEEN_LOOKS_S,
    show_default=True,
    help="Seconds between the two looks; what only one of them sees is in flight.",
)
@with_options()
def check(options: Options, *, between_looks: float) -> None:
    """Examine whether the record of addresses fits to Pods, DanmEps, nodes and DanmNets.

    The same examination as ipam-svc's fsck, and like it of all namespaces; it changes nothing. Ends
    with status 0 when all fits, 1 when something does not, 2 when the cluster could not be looked
    at.
    """
    world = options.world

    async def ask(session: Session) -> Report:
        with Progress() as progress:
            progress.begin("First look at all namespaces")

            async def wait(seconds: float) -> None:
                progress.begin("Waiting for what is in flight")
                await world.sleep(seconds)
                progress.begin("Second look")

            seen = await examine_twice(
                session.api, now=world.now, sleep=wait, between_looks_s=between_looks
            )
        return report_findings(seen.report(each.finding for each in seen.found))

    options.answer(ask)
