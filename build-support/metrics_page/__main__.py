"""Write the page: ``python -m metrics_page [FILE]``, docs/metrics.md by default."""

import sys
from pathlib import Path
from typing import Final

from metrics_page.inventory import parts
from metrics_page.page import page

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def main(arguments: list[str]) -> None:
    """Write it.

    Raises:
        SystemExit: What is given is no file's name.
    """
    if len(arguments) > 1 or any(each.startswith("-") for each in arguments):
        raise SystemExit("usage: python -m metrics_page [FILE]   (by default docs/metrics.md)")
    (Path(arguments[0]) if arguments else PAGE).write_text(page(parts()))


if __name__ == "__main__":
    main(sys.argv[1:])
