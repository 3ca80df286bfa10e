"""Who is gone is written down as gone, whatever they do at that moment."""

import asyncio
from types import SimpleNamespace
from typing import cast

from danm_api.ipam_api import PodOwnerMessage
from danm_api.ipam_client import IpamClient
from tests.lab.chaos.caller import Caller
from tests.lab.chaos.crowd import Crowd
from tests.lab.chaos.danmd import Sandbox
from tests.lab.chaos.history import End
from tests.lab.chaos.recorder import Recorder
from tests.lab.chaos.world import World


class _Objects:
    """An API server that takes everything; no Pod ever runs."""

    async def add_node(self, name: str) -> str:
        return f"token of {name}"

    async def run_pod(self, *_: object) -> None:
        await asyncio.Event().wait()

    async def lose_node(self, *_: object, **__: object) -> None:
        pass

    async def remove_pod(self, *_: object) -> None:
        pass


async def test_a_pod_that_leaves_a_node_as_it_is_lost_is_gone() -> None:
    """It forgets what it has and gives nothing back, so that ipam-svc frees it."""
    recorder = Recorder(wanted=1, apart_s=0.0)
    world = SimpleNamespace(objects=_Objects(), endpoints=list, ca="")
    async with IpamClient(list, str, str) as client:
        crowd = Crowd(
            world=cast(World, world),
            recorder=recorder,
            seed=1,
            tool=Caller(client=client, recorder=recorder),
            keeps_s=0.1,
        )
        try:
            await crowd.come()
            nodes = crowd._nodes  # noqa: SLF001  (nobody else looks into a node)
            name, node = next(iter(nodes.items()))
            owner = PodOwnerMessage(namespace="ns", name="web-0", uid="u1")
            journal = node.danmd.journal
            journal[owner.uid] = Sandbox(owner=owner, attachments=[])

            async def leave() -> None:
                while not node.danmd.lost:
                    await asyncio.sleep(0)
                del journal[owner.uid]

            leaving = asyncio.create_task(leave())
            assert await crowd.lose_node(gone=True) == name
            await leaving
        finally:
            await crowd.end()
    assert [record.owner for record in recorder.history if isinstance(record, End)] == ["u1"]
