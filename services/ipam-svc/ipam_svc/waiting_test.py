"""What a change was brought by a write whose answer was lost."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from danm_api.errors import AddressTakenError, DanmError
from danm_api.model.ip_block import Cooling
from danm_api.testing.builders import a_held_entry
from ipam_svc.block_change import GaveBack, NoSpace, NotHeld, Outcome, Swept, Took
from ipam_svc.waiting import as_first_tried

_OWN = a_held_entry("10.0.0.1", attempt=7)
_COOLED = Cooling(address=_OWN.address, free_at=datetime(2026, 1, 1, tzinfo=UTC))
_TAKEN = AddressTakenError("somebody else has it")


@pytest.mark.parametrize(
    ("tried", "verdict", "expected"),
    [
        pytest.param(
            Took(held=_OWN, new=True),
            Took(held=_OWN, new=False),
            Took(held=_OWN, new=True),
            id="its own entry is there",
        ),
        pytest.param(
            Took(held=_OWN, new=True, cooled=_COOLED),
            Took(held=_OWN, new=False),
            Took(held=_OWN, new=True, cooled=_COOLED),
            id="it took the place of what cooled",
        ),
        pytest.param(
            Took(held=_OWN, new=True, cooled=_COOLED),
            Took(held=replace(_OWN, born=3), new=False),
            Took(held=replace(_OWN, born=3), new=False),
            id="an earlier attempt's was there before",
        ),
        pytest.param(
            Took(held=_OWN, new=True),
            Took(held=a_held_entry("10.0.0.2", attempt=7), new=False),
            Took(held=a_held_entry("10.0.0.2", attempt=7), new=False),
            id="another address",
        ),
        pytest.param(
            GaveBack(held=_OWN), NotHeld(holder=None), GaveBack(held=_OWN), id="it was freed"
        ),
        pytest.param(Swept(held=(_OWN,)), Swept(held=()), Swept(held=(_OWN,)), id="it was swept"),
        pytest.param(Took(held=_OWN, new=True), _TAKEN, _TAKEN, id="it was not written"),
        pytest.param(None, NoSpace(), NoSpace(), id="nothing was tried"),
    ],
)
def test_a_write_without_an_answer_counts_when_it_is_done(
    tried: Outcome | None, verdict: Outcome | DanmError, expected: Outcome | DanmError
) -> None:
    """What the record shows of one's own lost write is its outcome, and nobody else's is."""
    # DESIGN, "Attempts fence"; P3
    assert as_first_tried(tried, verdict) == expected
