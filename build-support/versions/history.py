"""What git says of a part since the tag of its version."""

import subprocess
from pathlib import Path

from versions.parts import Part


def tag_of(part: Part, version: str) -> str:
    """Return the tag of a part's release."""
    return f"{part.name}/v{version}"


def changed_since_tag(root: Path, part: Part, version: str) -> bool:
    """Say whether a part's version is tagged, and the part is not what was tagged.

    A version without tag is one that is still to be released.
    """
    tag = tag_of(part, version)
    if _git(root, "rev-parse", "--quiet", "--verify", f"refs/tags/{tag}").returncode != 0:
        return False
    done = _git(root, "diff", "--quiet", tag, "--", part.root, *part.uses)
    if done.returncode not in (0, 1):
        done.check_returncode()
    return done.returncode == 1


def _git(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
    )
