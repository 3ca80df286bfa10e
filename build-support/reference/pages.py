"""All pages of docs/reference that are written from the code."""

from collections.abc import Callable, Mapping
from typing import Final

from reference import custom_resources, error_codes, programs

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "custom-resources.md": custom_resources.page,
    "errors.md": error_codes.page,
    "programs.md": programs.page,
}
