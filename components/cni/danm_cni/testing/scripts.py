"""Plugins that are shell scripts."""

import os
from collections.abc import Mapping
from pathlib import Path


def write_plugin(directory: Path, name: str, script: str) -> None:
    """Have a plugin that is a shell script."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def environment_of(directory: Path) -> Mapping[str, str]:
    """Return an environment in which the plugins of a directory are found."""
    return {"CNI_PATH": f"/nonexistent:{directory}", "PATH": os.environ["PATH"], "CNI_IFNAME": "x"}
