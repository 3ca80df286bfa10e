"""How danmd tells what happened to addresses."""

from danm_api.errors import AddressTakenError
from danm_api.ipam_api import PodOwnerMessage
from danm_api.kube.api import EVENTS
from danm_api.kube.events import EventRecorder, ObjectReference
from danm_api.names import NodeName
from danm_api.testing.builders import NAMESPACE
from danm_api.testing.fake_kube import FakeKube
from danm_cni.news import CLAIMED, NO_DEL, AddressNews, NamedAddress
from danm_cni.pods import NodePods, PodEvents

_NODE = NodeName("n1")


def _news(kube: FakeKube) -> AddressNews:
    events = PodEvents(EventRecorder(kube, component="danmd", instance=_NODE))
    return AddressNews(node=_NODE, pods=NodePods(kube, _NODE), events=events)


def _address(number: int, *, network: str = "net", owner: str = "pod") -> NamedAddress:
    reference = ObjectReference(
        api_version="danm.k8s.io/v1",
        kind="DanmNet",
        namespace=NAMESPACE,
        name=network,
        uid=f"uid-{network}",
    )
    return NamedAddress(
        network=reference, address=f"10.0.0.{number}", owner=owner, interface="eth0"
    )


async def test_many_addresses_are_one_event() -> None:
    """A node that boots with a hundred Pods gone loses none of its Events: it writes few."""
    kube = FakeKube()
    news = _news(kube)
    for number in range(200):
        news.note(NO_DEL, [_address(number, network=f"net-{number % 2}", owner="x" * 100)])
    await news.tell()
    notes = {each["regarding"]["name"]: each["note"] for each in kube.all_stored(EVENTS)}
    assert set(notes) == {"net-0", "net-1"}
    for first, note in enumerate(notes.values()):
        assert f"node n1 gave back 10.0.0.{first} of {NAMESPACE}/xx" in note
        # All of it is there: the API server takes 1024 bytes.
        assert note.endswith(" more: the network namespace is gone, and no DEL came")
        told = note.count("10.0.0.")
        assert f" and {100 - told} more:" in note


async def test_each_thing_is_told_once() -> None:
    """What was told is not told again, and different things are different Events."""
    kube = FakeKube()
    news = _news(kube)
    news.note(NO_DEL, [_address(1)])
    news.note(CLAIMED, [_address(2)])
    for _ in range(2):
        await news.tell()
    told = sorted(
        (each["reason"], each["type"], each.get("series")) for each in kube.all_stored(EVENTS)
    )
    assert told == [("ClaimedAddress", "Warning", None), ("GaveBackAddress", "Normal", None)]


async def test_what_a_missing_pod_lost_is_told_all_the_same() -> None:
    """A Pod that has just gone cannot be told, so its DanmNet's owner is."""
    kube = FakeKube()
    news = _news(kube)
    owner = PodOwnerMessage(namespace=NAMESPACE, name="pod", uid="uid-pod")
    await news.lost([_address(1)], owner, AddressTakenError("held by y"), message="to the Pod")
    await news.tell()
    (event,) = kube.all_stored(EVENTS)
    assert (event["reason"], event["regarding"]["kind"]) == ("AddressLost", "DanmNet")
    assert "somebody else has the address now" in event["note"]
