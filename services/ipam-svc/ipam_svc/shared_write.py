"""Whose work a write is that carries the changes of many requests: for traces and log lines.

Pure bookkeeping around it: a batch is traced as a child of the first of its requests, with links to
the others, and its log lines carry the ids of all.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from danm_api.telemetry import correlated, shared_by, span
from ipam_svc.waiting import Waiting


@contextmanager
def in_the_name_of(batch: Sequence[Waiting], *, block: str) -> Iterator[None]:
    """Do a batch's work for those who wait for it, and for nobody of an earlier batch."""
    parent, links = shared_by([each.trace for each in batch])
    ids = tuple(dict.fromkeys(one for each in batch for one in each.request_ids))
    with (
        correlated(ids),
        span(
            "commit",
            parent=parent,
            links=links,
            block=block,
            changes=len(batch),
        ),
    ):
        yield
