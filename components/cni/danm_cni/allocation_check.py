"""fakeipam's CHECK: journal, result and ipam-svc's record agree (SPEC C6)."""

import asyncio
from typing import Final

from danm_api.errors import ReservationNotFoundError
from danm_cni.allocation_journal import AllocationRecord, AllocationState
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.edges import AddressService
from danm_cni.ipam_request import IpamRequest

# Between looks: a replica's watch may lag behind an ADD.
_LAG_S: Final = 0.2
_LOOKS: Final = 4


async def check_allocation(
    record: AllocationRecord | None, request: IpamRequest, addresses: AddressService
) -> None:
    """Compare an interface's addresses with what else tells of them.

    Raises:
        CniRequestError: danmd gave none, or others than the result says.
        ReservationNotFoundError: ipam-svc does not have them for this owner.
        DanmError: ipam-svc cannot be asked.
    """
    if (
        record is None
        or record.state is not AllocationState.ADDED
        or (record.network, record.owner.namespace) != (request.network, request.namespace)
    ):
        raise CniRequestError(
            f"{request.subject}: danmd has given no address of DanmNet "
            f"{request.namespace}/{request.network}; delete it and add it anew",
            code=CniCode.CONTAINER_UNKNOWN,
        )
    if request.previous is not None and not record.addresses <= request.previous:
        missing = ", ".join(sorted(map(str, record.addresses - request.previous)))
        raise CniRequestError(
            f"{request.subject}: prevResult lacks {missing}, which danmd gave; delete the "
            "container and add it anew",
            code=CniCode.INVALID_CONFIG,
        )
    lost = await _lost_addresses(record, addresses)
    for _ in range(_LOOKS - 1):
        if not lost:
            return
        await asyncio.sleep(_LAG_S)
        lost = await _lost_addresses(record, addresses)
    if lost:
        raise ReservationNotFoundError(
            f"{request.subject}: {', '.join(lost)} of DanmNet {request.namespace}/"
            f"{request.network} is not recorded for it any more; danmd claims it again within "
            "seconds, or says in its log who has it"
        )


async def _lost_addresses(record: AllocationRecord, addresses: AddressService) -> list[str]:
    entries = await addresses.node_reservations()
    present = {entry.address for entry in entries if record.is_of(entry)}
    return sorted(str(each) for each in record.addresses if str(each) not in present)
