"""Write the pages: ``python -m reference [DIRECTORY]``, docs/reference by default."""

import sys
from pathlib import Path
from typing import Final

from reference.pages import PAGES

DIRECTORY: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"


def main(arguments: list[str]) -> None:
    """Write them.

    Raises:
        SystemExit: What is given is no directory's name.
    """
    if len(arguments) > 1 or any(each.startswith("-") for each in arguments):
        raise SystemExit("usage: python -m reference [DIRECTORY]   (by default docs/reference)")
    directory = Path(arguments[0]) if arguments else DIRECTORY
    directory.mkdir(parents=True, exist_ok=True)
    for name, write in PAGES.items():
        (directory / name).write_text(write())


if __name__ == "__main__":
    main(sys.argv[1:])
