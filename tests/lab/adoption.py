"""Gives a running node images that this machine has unpacked.

Unpacking an image of 200 MB takes a node minutes. So its containerd gets the snapshots by
reference, as a node does that boots: one is prepared, its directory is replaced by a link to the
files of this machine, and it is committed. Then images without layers can be imported.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.lab.agent_client import Completed
from tests.lab.errors import LabError
from tests.lab.stored_image import Layer, StoredImage


def adopt(
    run: Callable[[Sequence[str]], Completed],
    ctr: Sequence[str],
    images: Sequence[StoredImage],
    files: Mapping[str, Path],
    documents: Path,
) -> None:
    """Make a node have images.

    Args:
        run: Runs a command in the node.
        ctr: The start of a command line for its containerd.
        images: What it shall have.
        files: Chain of a layer -> directory with its files, which the node sees.
        documents: An archive of the images without their layers, which the node sees.

    Raises:
        LabError: Its containerd refused.
    """
    rows = _checked(run, [*ctr, "snapshots", "list"]).splitlines()[1:]
    known = {row.split()[0] for row in rows}
    for image in images:
        for layer in image.layers:
            if layer.chain not in known:
                _adopt_layer(run, ctr, layer, files[layer.chain])
                known.add(layer.chain)
    _checked(run, [*ctr, "images", "import", "--local", str(documents)])


def _adopt_layer(
    run: Callable[[Sequence[str]], Completed], ctr: Sequence[str], layer: Layer, files: Path
) -> None:
    key = f"adopt-{layer.chain}"
    parent = [layer.parent] if layer.parent else []
    prepared = _checked(run, [*ctr, "snapshots", "prepare", "--mounts", key, *parent])
    own = _own_directory(json.loads(prepared)[0])
    _checked(run, ["sh", "-c", 'rmdir "$1" && ln -s "$2" "$1"', "sh", own, str(files)])
    _checked(run, [*ctr, "snapshots", "commit", layer.chain, key])


def _own_directory(mount: Mapping[str, object]) -> str:
    """Return the directory of a prepared snapshot itself, without its parents."""
    if mount["Type"] == "bind":
        return str(mount["Source"])
    options = mount["Options"]
    assert isinstance(options, list)
    return next(
        str(option).removeprefix("upperdir=")
        for option in options
        if str(option).startswith("upperdir=")
    )


def _checked(run: Callable[[Sequence[str]], Completed], argv: Sequence[str]) -> str:
    done = run(argv)
    if done.status != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise LabError(f"`{' '.join(argv)}` failed in a node: {said}")
    return done.text
