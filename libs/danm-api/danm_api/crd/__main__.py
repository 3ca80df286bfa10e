"""Write the definitions and the policy for DanmNets: ``python -m danm_api.crd [DIRECTORY]``."""

import sys
from pathlib import Path

from danm_api.crd import admission
from danm_api.crd.definitions import ALL, render, render_policy


def main(arguments: list[str]) -> None:
    """Write ``crds/`` and ``policies/`` below a directory, ``deploy`` by default."""
    directory = Path(arguments[0] if arguments else "deploy")
    for definition in ALL:
        (directory / "crds" / definition.file_name).write_text(render(definition))
    (directory / "policies" / admission.FILE_NAME).write_text(render_policy())


if __name__ == "__main__":
    main(sys.argv[1:])
