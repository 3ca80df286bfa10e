"""When the refusal of a claim is final, so that the interface must lose its address.

AddressTakenError comes from the record of addresses. PodNotFoundError comes from a consistent read
of the Pod by its name, whose UID is compared with the owner's (ipam_svc/access.py): a Pod that is
there is never missed, and a UID that is gone does not come back. When ipam-svc or the API server
cannot tell, that is another error, and the interface stays. So a list of entries that is behind
takes nothing from a Pod that is there: its claim is granted. One that is gone is ended by its
kubelet, and anybody may get its address meanwhile.
"""

import re
from typing import Final

from danm_api.errors import AddressTakenError, PodNotFoundError
from danm_api.ipam_api import OwnerMessage, PodOwnerMessage

# How kubelet names static Pods: a hash of 128 bits (pkg/kubelet/config/common.go). The API server
# gives other Pods UUIDs, which have hyphens.
_STATIC_UID: Final = re.compile(r"[0-9a-f]{32}")


def is_final(error: AddressTakenError | PodNotFoundError, owner: OwnerMessage) -> bool:
    """Say whether an owner whose claim was refused so can never have the address again.

    A static Pod lives while its kubelet runs it, whether the API server has its mirror or not.
    Kubelet creates a missing mirror again (within a minute or so), and then the claim is judged;
    when the Pod ends there is a DEL. A container without a Pod is never asked for one.
    """
    if isinstance(error, AddressTakenError):
        return True
    return isinstance(owner, PodOwnerMessage) and not _STATIC_UID.fullmatch(owner.uid)
