"""What an archive lacks, in words."""

import pytest

from kubectl_danm.view.gaps import Gaps


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "log 0: no right"),
        (3, "log 0, log 1, log 2: no right"),
        (4, "log 0, log 1, log 2 and 1 more: no right"),
        (30, "log 0, log 1, log 2 and 27 more: no right"),
    ],
)
def test_one_reason_is_one_sentence(count: int, said: str) -> None:
    """A right that is lacking for each log of a large cluster fills no screen."""
    gaps = Gaps()
    for number in range(count):
        gaps.add(f"log {number}", "no right")
    assert gaps.sentences() == (said,)
    assert len(gaps) == count


def test_each_reason_is_told() -> None:
    """In the order in which they came."""
    gaps = Gaps()
    assert (gaps.sentences(), len(gaps)) == ((), 0)
    for what, why in (("a", "away"), ("b", "no right"), ("c", "away")):
        gaps.add(what, why)
    assert gaps.sentences() == ("a, c: away", "b: no right")
