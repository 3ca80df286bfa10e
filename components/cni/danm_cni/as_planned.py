"""Whether a DanmNet is still the one that an ADD was planned with. Pure.

danmd plans with what its watch has shown, and a watch may have died without anybody noticing yet:
the Pod would be on a wire that its DanmNet names no more, and nothing would tell of it.
"""

from collections.abc import Iterable

from danm_api.errors import ConflictError
from danm_api.ipam_api import AttachmentAnswer
from danm_api.model.danmnet import DanmNet
from danm_api.validation import wire_text
from danm_cni.plan import PlannedAttachment


def is_answer_as_planned(planned: PlannedAttachment, answer: AttachmentAnswer) -> bool:
    """Say whether ipam-svc has judged by the same DanmNet and, where it tells it, the same wire."""
    same_wire = answer.wire is None or answer.wire == wire_text(planned.spec)
    return same_wire and answer.network_uid == planned.network.uid


def is_as_planned(planned: PlannedAttachment, net: DanmNet) -> bool:
    """Say whether a DanmNet that was read now gives an attachment the same wire.

    Raises:
        InvalidNetworkError: It is refused by now.
        NetworkNotReadyError: It is not judged yet.
    """
    spec = net.spec_in_force()
    return (
        net.uid == planned.network.uid
        and not net.deleting
        and spec.network_type == planned.spec.network_type
        and wire_text(spec) == wire_text(planned.spec)
    )


def not_as_planned(networks: Iterable[DanmNet]) -> ConflictError:
    """Return the error of an ADD whose DanmNets are others than it was planned with."""
    names = ", ".join(f"{each.namespace}/{each.name}" for each in networks)
    return ConflictError(
        f"DanmNet {names} was changed or made anew, which not all of DANM has heard of; what was "
        "done is undone, and the runtime will try again"
    )
