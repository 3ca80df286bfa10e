"""Each part one release behind the others: docs/compatibility.md says that they work together.

Needs root for network namespaces, as the other tests with real plugins do.
"""

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from danm_api.kube.client import KubeClient
from tests.ipam.cluster import Cluster
from tests.lab.kube_objects import NAMESPACES
from tests.skew.stage import Part, WholeNode, whole_node
from tests.skew.story import Story

# The sources of the release before this one: build-support/previous-release.
_PREVIOUS: Final = os.environ.get("DANM_PREVIOUS_TREE", "")

# Building Kubernetes, where the cache is empty.
pytestmark = [
    pytest.mark.apiserver(),
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        not _PREVIOUS, reason="DANM_PREVIOUS_TREE does not name the previous release"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a netns"),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeNode]:
    """Have an API server with this release's definitions, and a node, for most tests."""
    with whole_node(tmp_path_factory.mktemp("node")) as made:
        yield made


@pytest.fixture()
def node_of_old_definitions(tmp_path: Path) -> Iterator[WholeNode]:
    """Have an API server with the definitions of the release before, and a node."""
    with whole_node(tmp_path, definitions=Path(_PREVIOUS)) as made:
        yield made


@asynccontextmanager
async def _in_namespace(node: WholeNode) -> AsyncIterator[None]:
    """Give the story a namespace of its own, and all parts of this release afterwards."""
    async with await KubeClient.connect(node.cluster.server.kubeconfig) as api:
        node.cluster = Cluster(
            server=node.cluster.server, api=api, namespace=f"test-{uuid4().hex[:8]}"
        )
        await node.cluster.create(NAMESPACES, {"metadata": {"name": node.cluster.namespace}})
        node.start_all()
        await node.trust_ipam()
        try:
            yield
        finally:
            for container in tuple(node.containers):
                node.end_container(container)
            for part in Part:
                if node.is_behind(part):
                    node.set_release(part, None)
            node.cluster.kubectl("delete", "danmnets", "--all", "--wait=false")


async def _nothing() -> None:
    pass


@pytest.mark.parametrize("part", Part)
async def test_one_part_behind(node: WholeNode, part: Part) -> None:
    """A part of the release before does its work for the others of this one, and they theirs."""
    async with _in_namespace(node):
        node.set_release(part, Path(_PREVIOUS))
        story = Story(node=node, between=_nothing)
        await story.run()
    print(part, {name: round(seconds, 2) for name, seconds in story.seconds.items()})


@pytest.mark.parametrize("part", Part)
async def test_a_part_is_updated_and_set_back_under_a_pod(node: WholeNode, part: Part) -> None:
    """What one release has begun the other one goes on with, in both directions, step by step."""
    releases = itertools.cycle((None, Path(_PREVIOUS)))

    async def between() -> None:
        node.set_release(part, next(releases))

    async with _in_namespace(node):
        node.set_release(part, Path(_PREVIOUS))
        await Story(node=node, between=between).run()


async def test_the_definitions_behind(node_of_old_definitions: WholeNode) -> None:
    """Parts that were updated before their definitions do all that those have words for."""
    async with _in_namespace(node_of_old_definitions):
        await Story(node=node_of_old_definitions, between=_nothing).run()


async def test_all_parts_behind_their_definitions(node: WholeNode) -> None:
    """Definitions are updated first: the release before works with those of this one."""
    async with _in_namespace(node):
        for part in Part:
            node.set_release(part, Path(_PREVIOUS))
        await Story(node=node, between=_nothing).run()
