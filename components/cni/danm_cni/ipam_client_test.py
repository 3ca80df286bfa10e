"""The attempts of what danmd sends to ipam-svc."""

import asyncio
import time
from pathlib import Path

import pytest

from danm_api.errors import IpamUnavailableError
from danm_api.ipam_api import AttachmentRequest, PodOwnerMessage
from danm_api.ipam_client import IpamClient
from danm_api.names import NodeName
from danm_cni.attempts import AttemptCounter
from danm_cni.ipam_client import NodeAddresses


async def test_attempt_is_noted_before_anything_is_sent(tmp_path: Path) -> None:
    """Whatever becomes of a send, its attempt is one that the journal knows."""
    # DESIGN, "Attempts fence"
    noted: list[int] = []
    counter = AttemptCounter(tmp_path / "attempts", clock_ms=lambda: 1000)
    async with IpamClient(lambda: ["127.0.0.1:1"], lambda: "", lambda: "token") as client:
        addresses = NodeAddresses(client, node=NodeName("n1"), attempts=counter)

        async def reserve(for_s: float) -> None:
            await addresses.reserve(
                PodOwnerMessage(namespace="ns", name="p", uid="u"),
                [AttachmentRequest(network="net", interface="eth0", ip="dynamic")],
                deadline_s=time.monotonic() + for_s,
                note_attempt=noted.append,
                fresh=True,
            )

        # More than one send, since nobody answers: each with a larger number.
        reserving = asyncio.create_task(reserve(60))
        async with asyncio.timeout(30):
            while len(noted) < 3:
                await asyncio.sleep(0.005)
        reserving.cancel()
        await asyncio.gather(reserving, return_exceptions=True)
        with pytest.raises(IpamUnavailableError):
            await reserve(0.1)
    assert sorted(set(noted)) == noted
