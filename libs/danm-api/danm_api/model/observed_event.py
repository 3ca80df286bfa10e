"""An Event that somebody has written, as a reader sees it. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedEvent:
    """One thing that happened to an object, perhaps many times.

    Attributes:
        warning: Its type is Warning.
        reason: One CamelCase word for programs.
        note: A sentence for people.
        reporter: Who reports it, such as ``kubelet``; empty when it does not say.
        kind: Of the object that it is about.
        name: Of the object that it is about.
        namespace: Of the object that it is about; empty for cluster-scoped kinds.
        uid: Of the object that it is about; empty when it does not say.
        count: How often it has happened, at least 1.
        last: When it happened last. None when it does not say.
    """

    warning: bool
    reason: str
    note: str
    reporter: str
    kind: str
    name: str
    namespace: str
    uid: str
    count: int
    last: datetime | None
