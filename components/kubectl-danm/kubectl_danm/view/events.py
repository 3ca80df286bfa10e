"""The latest warnings about some objects. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from danm_api.model.observed_event import ObservedEvent
from kubectl_danm.view.report import Cell, Section, Tone

_MAX_EVENTS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """Something that happened, perhaps several times.

    Attributes:
        last: When last. None when it does not say.
        about: Kind and name of the object.
    """

    last: datetime | None
    about: str
    reason: str
    count: int
    reporter: str
    note: str


def latest_warnings(
    events: Iterable[ObservedEvent], uids: Collection[str]
) -> tuple[EventView, ...]:
    """Return the latest warnings about the objects with these UIDs, newest first.

    By UID, since what happened to a predecessor of the same name explains nothing.
    """
    about = [each for each in events if each.warning and each.uid in uids]
    dated = sorted(
        (each for each in about if each.last is not None),
        key=lambda each: "" if each.last is None else each.last.isoformat(),
        reverse=True,
    )
    undated = [each for each in about if each.last is None]
    return tuple(
        EventView(
            last=each.last,
            about=f"{each.kind} {each.name}",
            reason=each.reason,
            count=each.count,
            reporter=each.reporter,
            note=each.note,
        )
        for each in (*dated, *undated)[:_MAX_EVENTS]
    )


def warnings_section(views: Iterable[EventView]) -> Section:
    """Return them as a table."""
    return Section(
        title="Last errors",
        columns=("LAST", "ABOUT", "REASON", "COUNT", "BY", "WHAT"),
        rows=tuple(
            (
                Cell("?" if each.last is None else f"{each.last:%Y-%m-%d %H:%M:%SZ}", Tone.FAINT),
                Cell(each.about),
                Cell(each.reason, Tone.BAD),
                Cell(str(each.count)),
                Cell(each.reporter),
                Cell(each.note),
            )
            for each in views
        ),
    )
