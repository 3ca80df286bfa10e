"""Lists that the server forgets while they are read."""

import pytest

from danm_api.errors import ApiError, ApiUnavailableError, DanmError
from danm_api.kube.relisting import begin_anew

EXPIRED = ApiError("the continue token has expired", status=410)


class Reading:
    """Fails as planned, and then finds something."""

    def __init__(self, *errors: DanmError) -> None:
        """Fail with these first."""
        self._errors = list(errors)

    async def __call__(self) -> str:
        """Read."""
        if self._errors:
            raise self._errors.pop(0)
        return "all of it"


@pytest.mark.parametrize("times", [0, 1, 2])
async def test_what_was_forgotten_is_read_anew(times: int) -> None:
    """The answer is one of a single reading."""
    assert await begin_anew(Reading(*[EXPIRED] * times)) == "all of it"


async def test_what_is_forgotten_each_time_is_an_error() -> None:
    """Nobody reads for ever."""
    with pytest.raises(ApiError, match="has expired"):
        await begin_anew(Reading(*[EXPIRED] * 3))


async def test_other_errors_are_not_tried_again() -> None:
    """They are the reader's."""
    with pytest.raises(ApiUnavailableError):
        await begin_anew(Reading(ApiUnavailableError("away", status=0)))
