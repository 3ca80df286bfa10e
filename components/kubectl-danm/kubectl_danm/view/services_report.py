"""Services and their endpoints in all forms of an answer. Pure."""

from dataclasses import dataclass
from typing import Final

from kubectl_danm.view.events import EventView, warnings_section
from kubectl_danm.view.report import Cell, Report, Row, Section, Tone
from kubectl_danm.view.services import EndpointView, ServiceView, State

_TONES: Final = {
    State.READY: Tone.GOOD,
    State.NOT_READY: Tone.WARN,
    State.TERMINATING: Tone.WARN,
    State.OUT: Tone.BAD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesDocument:
    """The answer for programs."""

    services: tuple[ServiceView, ...]
    errors: tuple[EventView, ...] = ()


def report_services(
    views: tuple[ServiceView, ...], *, where: str, notes: tuple[str, ...] = ()
) -> Report:
    """Return a line for each Service; ``where`` names what was looked at."""
    return Report(
        document=ServicesDocument(services=views),
        names=tuple(f"service/{each.name}" for each in views),
        sections=(
            Section(
                columns=(
                    "NAMESPACE",
                    "NAME",
                    "NETWORK",
                    "SELECTOR",
                    "READY",
                    "NOT READY",
                    "OUT",
                    "WHY",
                ),
                rows=tuple(_row(each) for each in views),
                empty=f"No Service with DANM's annotations {where}.",
            ),
        ),
        notes=notes,
    )


def report_service(
    view: ServiceView, errors: tuple[EventView, ...], *, notes: tuple[str, ...] = ()
) -> Report:
    """Return each Pod that could be meant, and why it is in or out."""
    selector = ", ".join(view.selector)
    title = f"Service {view.namespace}/{view.name}"
    if view.network:
        title += f": Pods with {selector} on DanmNet {view.network}, {' and '.join(view.families)}"
    return Report(
        document=ServicesDocument(services=(view,), errors=errors),
        names=(f"service/{view.name}",),
        sections=(
            Section(
                title=title,
                columns=("POD", "NODE", "ADDRESS", "DANMEP", "STATE", "WRITTEN", "WHY"),
                rows=tuple(_endpoint_row(each) for each in view.endpoints),
                empty="no Pod could be meant",
            ),
            Section(
                title="Problems",
                columns=("WHAT",),
                rows=tuple((Cell(each, Tone.BAD),) for each in view.problems),
            ),
            warnings_section(errors),
        ),
        notes=notes,
    )


def _row(view: ServiceView) -> Row:
    return (
        Cell(view.namespace),
        Cell(view.name, Tone.STRONG),
        Cell(view.network or "-"),
        Cell(",".join(view.selector) or "-"),
        Cell(str(view.ready), Tone.GOOD if view.ready else Tone.WARN),
        Cell(str(view.not_ready), Tone.WARN if view.not_ready else Tone.PLAIN),
        Cell(str(view.out), Tone.BAD if view.out else Tone.PLAIN),
        Cell("; ".join(view.problems), Tone.BAD),
    )


def _endpoint_row(view: EndpointView) -> Row:
    return (
        Cell(view.pod, Tone.STRONG),
        Cell(view.node or "-"),
        Cell(view.address or "-"),
        Cell(view.interface or "-"),
        Cell(view.state.value, _TONES[view.state]),
        Cell("yes" if view.written else "no", Tone.PLAIN if view.written else Tone.BAD),
        Cell(view.why),
    )
