"""Boots one node of a lab."""

import shutil
from pathlib import Path
from typing import Final

from tests.lab.agent_client import agent_source
from tests.lab.apiserver import Trust
from tests.lab.binaries import CNI_PLUGINS, CONTAINERD, Binaries
from tests.lab.control_plane import place_in
from tests.lab.guest_kernel import (
    guest_python,
    kernel_command,
    kernel_environment,
    write_scripts,
)
from tests.lab.image_store import ImageStore
from tests.lab.namespace import Namespace
from tests.lab.node_files import NodePrograms, node_environment, write_node_files
from tests.lab.process import Background
from tests.lab.topology import Node

_MEMORY: Final = "3G"


def boot_node(
    namespace: Namespace,
    directory: Path,
    node: Node,
    *,
    binaries: Binaries,
    store: ImageStore,
    preload: Path,
    trust: Trust,
    agent_token: str,
) -> Background:
    """Write what a node needs and boot its kernel; returns while it boots.

    Args:
        namespace: Where its wires are.
        directory: The node's own, which does not exist yet.
        node: Which one.
        binaries: Where its programs come from.
        store: The images that it has from the start.
        preload: The library for its kernel.
        trust: Of the API server that it will join.
        agent_token: What its agent wants to see.
    """
    programs = NodePrograms(
        kubernetes=binaries.directory(binaries.release.rest),
        containerd=binaries.directory(CONTAINERD),
        cni_plugins=binaries.directory(CNI_PLUGINS),
        image_store=store.root,
        python=guest_python(),
    )
    write_scripts(directory, node_environment(node, programs))
    write_node_files(
        directory,
        node,
        authority=trust.authority,
        server=place_in(namespace).url,
        agent_token=agent_token,
    )
    shutil.copy(agent_source(), directory / "agent.py")
    store.copy_databases(directory / "images")
    return namespace.start(
        node.name,
        kernel_command(
            directory, name=f"{namespace.name}-{node.name}", memory=_MEMORY, nics=node.nics
        ),
        log=directory / "log" / "console.log",
        env=kernel_environment(preload),
    )
