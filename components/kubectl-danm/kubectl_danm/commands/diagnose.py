"""``diagnose``: one archive for a bug report, without secrets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from danm_api.examining import BETWEEN_LOOKS_S
from danm_api.names import SYSTEM_NAMESPACE
from kubectl_danm.archive import Archive
from kubectl_danm.bundle.censor import Censor
from kubectl_danm.collecting import Bounds, Collector
from kubectl_danm.connection import Session
from kubectl_danm.options import Options, fail, with_options
from kubectl_danm.progress import Progress
from kubectl_danm.view.report import Cell, Report, Section, Tone

_LOG_LINES: Final = 5_000
_OBJECTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnoseDocument:
    """The answer for programs.

    Attributes:
        archive: Its path.
        files: What is in it, below its one directory.
        missing: What could not be collected, and why.
    """

    archive: str
    bytes: int
    files: tuple[str, ...]
    missing: tuple[str, ...]


@click.command(name="diagnose")
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The archive; by default danm-diagnose-TIME.tar.gz here. An existing one is not replaced.",
)
@click.option(
    "--system-namespace",
    metavar="NAME",
    default=SYSTEM_NAMESPACE,
    show_default=True,
    help="Where DANM runs.",
)
@click.option(
    "--log-lines",
    type=click.IntRange(min=1),
    default=_LOG_LINES,
    show_default=True,
    help="The last so many lines of each container's log.",
)
@click.option(
    "--max-objects",
    type=click.IntRange(min=1),
    default=_OBJECTS,
    show_default=True,
    help="At most so many objects of each kind.",
)
@click.option(
    "--between-looks",
    type=click.FloatRange(min=0),
    default=BETWEEN_LOOKS_S,
    show_default=True,
    help="Seconds between the two looks of the examination, as of check.",
)
@with_options()
def diagnose(
    options: Options,
    *,
    path: Path | None,
    system_namespace: str,
    log_lines: int,
    max_objects: int,
    between_looks: float,
) -> None:
    """Collect one archive for a bug report: objects, Events, logs, metrics, an examination.

    No Secret and no ConfigMap is read. Of objects only listed fields are kept, of environments only
    the names; tokens, keys and passwords are taken out of logs and other texts. Look through it
    before you send it: names of Pods, nodes and networks, and addresses, are in it.
    """
    world = options.world
    began = world.now()
    top = f"danm-diagnose-{began:%Y%m%dT%H%M%SZ}"
    target = path or Path(f"{top}.tar.gz")
    if target.exists():
        fail(f"{target} is there already: name another --file, or remove it")
    bounds = Bounds(
        system_namespace=system_namespace,
        log_lines=log_lines,
        objects=max_objects,
        between_looks_s=between_looks,
    )

    async def ask(session: Session) -> Report:
        censor = Censor()
        archive = Archive(target, top=top, written=began, censor=censor)
        with Progress() as progress, archive:
            collector = Collector(
                world=world,
                session=session,
                archive=archive,
                censor=censor,
                bounds=bounds,
                begin=progress.begin,
            )
            await collector.collect()
        return _report(target, archive, collector)

    try:
        options.answer(ask)
    except OSError as error:
        fail(f"{target} cannot be written: {error}; name another --file")


def _report(path: Path, archive: Archive, collector: Collector) -> Report:
    size = path.stat().st_size
    missing = collector.gaps.sentences()
    rows = tuple((Cell(each, Tone.WARN),) for each in missing)
    return Report(
        document=DiagnoseDocument(
            archive=str(path), bytes=size, files=tuple(archive.files), missing=missing
        ),
        names=(str(path),),
        sections=(
            Section(
                columns=("ARCHIVE", "FILES", "BYTES"),
                rows=(
                    (Cell(str(path), Tone.STRONG), Cell(str(len(archive.files))), Cell(str(size))),
                ),
            ),
            Section(title="Not collected", columns=("WHAT",), rows=rows),
        ),
    )
