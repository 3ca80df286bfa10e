"""fakeipam's CHECK, comparison by comparison."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from danm_api.errors import IpamUnavailableError, ReservationNotFoundError
from danm_api.ipam_api import PodOwnerMessage, Reservation
from danm_api.testing.builders import NAMESPACE, NODE
from danm_cni.allocation_check import check_allocation
from danm_cni.allocation_journal import AllocationRecord, AllocationState
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.ipam_request import IpamRequest, decode_ipam_request
from danm_cni.testing.fake_addresses import Entry, FakeAddresses

_OWNER: Final = PodOwnerMessage(namespace=NAMESPACE, name="pod-1", uid="uid-pod-1")
_RECORD: Final = AllocationRecord(
    container_id="c1",
    interface="net1",
    config="cfg",
    owner=_OWNER,
    network="lan",
    netns="/var/run/netns/x",
    state=AllocationState.ADDED,
    ip="10.0.0.9/24",
    ip6="2001:db8::9/64",
)
_ENTRY: Final = Entry(
    owner=_OWNER, interface="net1", network="lan", address="10.0.0.9/24", attempt=1
)
_ENTRY6: Final = Entry(
    owner=_OWNER, interface="net1", network="lan", address="2001:db8::9/64", attempt=1
)
_LOOKS: Final = 4


def _request(*previous: str) -> IpamRequest:
    """Return a CHECK; of a runtime that gives no result where no address is named."""
    environment = {
        "CNI_COMMAND": "CHECK",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/var/run/netns/x",
        "CNI_IFNAME": "net1",
        "CNI_ARGS": f"K8S_POD_NAMESPACE={NAMESPACE};K8S_POD_NAME=pod-1;K8S_POD_UID=uid-pod-1",
    }
    body: dict[str, Any] = {
        "cniVersion": "1.1.0",
        "name": "cfg",
        "type": "macvlan",
        "ipam": {"type": "fakeipam", "network": "lan"},
    }
    if previous:
        body["prevResult"] = {"cniVersion": "1.1.0", "ips": [{"address": e} for e in previous]}
    return decode_ipam_request(environment, msgspec.json.encode(body))


class LaggingAddresses(FakeAddresses):
    """A replica whose watch shows what there is late.

    Attributes:
        looks: How often somebody has looked.
    """

    def __init__(self, *entries: Entry, at_look: int = 1) -> None:
        """Show entries from a look on, the first being 1."""
        super().__init__(NODE)
        self.looks = 0
        self._late = list(entries)
        self._at_look = at_look

    async def node_reservations(self) -> Sequence[Reservation]:
        """Return what is shown by now."""
        self.looks += 1
        self.entries = self._late if self.looks >= self._at_look else []
        return await super().node_reservations()


@pytest.mark.parametrize(
    "previous",
    [
        pytest.param((), id="no result"),
        pytest.param(("10.0.0.9/24", "2001:db8::9/64"), id="the same"),
        pytest.param(("10.0.0.9/16", "2001:db8::9/128", "192.0.2.1/24"), id="more, of others"),
    ],
)
async def test_what_agrees_passes(previous: tuple[str, ...]) -> None:
    """The result may tell more than fakeipam gave; one look is enough then."""
    # SPEC C6
    addresses = LaggingAddresses(_ENTRY, _ENTRY6)
    await check_allocation(_RECORD, _request(*previous), addresses)
    assert addresses.looks == 1


_GONE_OWNER: Final = PodOwnerMessage(namespace="other", name="pod-1", uid="uid-pod-1")


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(None, id="nothing"),
        pytest.param(
            msgspec.structs.replace(_RECORD, state=AllocationState.ADDING), id="not added yet"
        ),
        pytest.param(
            msgspec.structs.replace(_RECORD, state=AllocationState.REMOVING), id="on its way out"
        ),
        pytest.param(msgspec.structs.replace(_RECORD, network="wan"), id="another DanmNet"),
        pytest.param(
            msgspec.structs.replace(_RECORD, owner=_GONE_OWNER), id="a DanmNet of that name"
        ),
    ],
)
async def test_what_danmd_has_not_given_is_an_unknown_container(
    record: AllocationRecord | None,
) -> None:
    """The sentence names the DanmNet that was asked for, and ipam-svc is not even asked."""
    # SPEC C6
    addresses = LaggingAddresses(_ENTRY, _ENTRY6)
    with pytest.raises(CniRequestError) as caught:
        await check_allocation(record, _request(), addresses)
    assert caught.value.code is CniCode.CONTAINER_UNKNOWN
    assert caught.value.reason == (
        f"Pod {NAMESPACE}/pod-1, interface net1: danmd has given no address of DanmNet "
        f"{NAMESPACE}/lan; delete it and add it anew"
    )
    assert addresses.looks == 0


@pytest.mark.parametrize(
    ("previous", "missing"),
    [
        pytest.param(("2001:db8::9/64",), "10.0.0.9", id="one"),
        pytest.param(("192.0.2.1/24",), "10.0.0.9, 2001:db8::9", id="all"),
    ],
)
async def test_a_result_that_lacks_an_address_is_refused(
    previous: tuple[str, ...], missing: str
) -> None:
    """Error 7 names what is missing, in order."""
    # SPEC C6
    with pytest.raises(CniRequestError, match=f"prevResult lacks {missing}, which danmd") as caught:
        await check_allocation(_RECORD, _request(*previous), LaggingAddresses(_ENTRY, _ENTRY6))
    assert caught.value.code is CniCode.INVALID_CONFIG


async def test_a_replica_that_is_behind_is_asked_again() -> None:
    """An ADD of moments ago is no fault."""
    addresses = LaggingAddresses(_ENTRY, _ENTRY6, at_look=_LOOKS)
    await check_allocation(_RECORD, _request(), addresses)
    assert addresses.looks == _LOOKS


@pytest.mark.parametrize(
    ("entries", "lost"),
    [
        pytest.param((), "10.0.0.9, 2001:db8::9", id="no entry"),
        pytest.param((_ENTRY,), "2001:db8::9", id="one of two"),
        pytest.param(
            (
                _ENTRY6,
                Entry(
                    owner=PodOwnerMessage(namespace=NAMESPACE, name="pod-2", uid="uid-pod-2"),
                    interface="net1",
                    network="lan",
                    address="10.0.0.9/24",
                    attempt=2,
                ),
            ),
            "10.0.0.9",
            id="somebody else's by now",
        ),
    ],
)
async def test_an_address_that_is_not_recorded_is_told(
    entries: tuple[Entry, ...], lost: str
) -> None:
    """After as many looks as a replica may be behind; only the owner's own entries count."""
    # SPEC C6
    addresses = LaggingAddresses(*entries)
    with pytest.raises(ReservationNotFoundError, match=f"net1: {lost} of DanmNet {NAMESPACE}/lan"):
        await check_allocation(_RECORD, _request(), addresses)
    assert addresses.looks == _LOOKS


async def test_an_ipam_svc_that_is_away_is_no_lost_address() -> None:
    """Its own error passes, at once."""
    addresses = LaggingAddresses(_ENTRY, _ENTRY6)
    addresses.failures.fail("list", IpamUnavailableError("no replica"))
    with pytest.raises(IpamUnavailableError, match="no replica"):
        await check_allocation(_RECORD, _request(), addresses)
    assert addresses.looks == 1
