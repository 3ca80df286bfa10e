"""A chaos run's danmd does no more than a real one could."""

from danm_api.ipam_api import AttachmentRequest, PodOwnerMessage
from danm_api.ipam_client import IpamClient
from tests.lab.chaos.caller import Caller
from tests.lab.chaos.danmd import Danmd
from tests.lab.chaos.recorder import Recorder


async def test_a_lost_node_asks_for_nothing() -> None:
    """Nobody would hear of what it gets, and ipam-svc frees it."""
    recorder = Recorder(wanted=1, apart_s=0.0)
    async with IpamClient(list, str, str) as client:
        danmd = Danmd(node="n1", caller=Caller(client=client, recorder=recorder), lost=True)
        owner = PodOwnerMessage(namespace="ns", name="web-0", uid="u1")
        attachment = AttachmentRequest(network="net", interface="eth0", ip="dynamic", ip6="none")
        assert not await danmd.add(owner, [attachment], fresh=False)
    assert recorder.history == []
    assert danmd.journal == {}
