"""What is said where the program itself is at fault."""

import traceback
from pathlib import Path
from typing import Final

from danm_api.errors import leaves

# Calls that are named: enough to find the place by.
_CALLS: Final = 4


def describe_fault(error: Exception) -> str:
    """Return one sentence by which whoever mends the program finds the place."""
    return " And: ".join(_describe(each) for each in leaves(error)) + (
        " This is a fault of the program: please report it with this line, and with what you did"
    )


def _describe(error: BaseException) -> str:
    calls = traceback.extract_tb(error.__traceback__)[-_CALLS:]
    places = ", ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(calls))
    return f"{type(error).__name__}: {error} ({places})."
