"""Write the CustomResourceDefinitions: ``python -m danm_api.crd [DIRECTORY]``."""

import sys
from pathlib import Path

from danm_api.crd.definitions import ALL, render


def main(arguments: list[str]) -> None:
    """Write one file for each kind into a directory, ``deploy/crds`` by default."""
    directory = Path(arguments[0] if arguments else "deploy/crds")
    for definition in ALL:
        (directory / definition.file_name).write_text(render(definition))


if __name__ == "__main__":
    main(sys.argv[1:])
