"""Which attachment gets which device of its network's pool. Pure.

The kubelet has given the devices to the Pod's containers before the runtime asks for networks; who
gets which is fixed by the order of the containers and of their devices' ids, so a repeated ADD
finds the same.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from danm_api.errors import DanmError, InvalidAttachmentError, SeveralErrors
from danm_api.names import InterfaceName
from danm_cni.plan import PlannedAttachment
from danm_cni.request import PodIdentity


def wants_devices(planned: Sequence[PlannedAttachment]) -> bool:
    """Say whether any attachment takes a device of a pool."""
    return any(each.spec.device_pool for each in planned)


def assign_devices(
    pod: PodIdentity,
    planned: Sequence[PlannedAttachment],
    given: Mapping[str, Sequence[str]],
) -> Mapping[InterfaceName, str]:
    """Return each attachment's device, in the order of the annotation.

    Args:
        pod: Names the Pod in errors.
        planned: All attachments; those of networks without a pool get none.
        given: Resource name -> ids of the devices that the Pod's containers have.

    Raises:
        SeveralErrors: A pool of which the Pod has fewer devices than attachments (SPEC E1).
    """
    by_pool: dict[str, list[PlannedAttachment]] = defaultdict(list)
    for each in planned:
        if each.spec.device_pool:
            by_pool[each.spec.device_pool].append(each)
    errors: list[DanmError] = []
    assigned: dict[InterfaceName, str] = {}
    for pool, takers in by_pool.items():
        devices = given.get(pool, ())
        if len(devices) < len(takers):
            entries = ", ".join(f"{each.attachment.index} ({each.network.name})" for each in takers)
            errors.append(
                InvalidAttachmentError(
                    f"{pod}: entries {entries} take a device of {pool} each, and the Pod's "
                    f"containers have {len(devices)}; request {len(takers)} in a container's "
                    f"resources.limits[{pool!r}]"
                )
            )
        assigned |= {each.interface: device for each, device in zip(takers, devices, strict=False)}
    if errors:
        raise SeveralErrors(errors)
    return assigned
