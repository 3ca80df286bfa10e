"""Which Kubernetes a lab runs: chosen when it is started, known as long as its state is there."""

from pathlib import Path
from typing import Final

from tests.lab.binaries import NEWEST, RELEASES, KubernetesRelease
from tests.lab.errors import LabError

# In a lab's state directory.
_FILE: Final = "kubernetes"


def note_release(state: Path, release: KubernetesRelease) -> None:
    """Write down what a lab is started with."""
    (state / _FILE).write_text(release.minor)


def release_of(name: str, state: Path, asked: str | None) -> KubernetesRelease:
    """Return the Kubernetes of a lab.

    Args:
        name: The lab's.
        state: Its state directory, which may be missing.
        asked: A minor version, such as 1.34; None for what it was started with, and the newest
            where it was not.

    Raises:
        LabError: It was started with another one.
    """
    try:
        started = (state / _FILE).read_text()
    except FileNotFoundError:
        return RELEASES[asked or NEWEST.minor]
    if asked is not None and asked != started:
        raise LabError(
            f"The lab {name} was started with Kubernetes {started}, not {asked}. "
            f"End it first: ./lab down --name {name}"
        )
    return RELEASES[started]
