"""Who takes addresses of a network. Pure."""

from dataclasses import dataclass

from danm_api.model.danmnet import NetworkSpec
from danm_api.model.ip_block import Owner
from danm_api.names import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who takes an address, and until when.

    Attributes:
        attempt: DESIGN, "Attempts fence".
        deadline: In the clock's seconds.
        keep_only: Nothing new: the network is being deleted (SPEC A5).
        cooldown_s: The network's, for entries that the claim makes superfluous.
        basis: The spec that the request was judged by.
    """

    owner: Owner
    node: NodeName
    attempt: int
    deadline: float
    keep_only: bool = False
    cooldown_s: int = 0
    basis: NetworkSpec | None = None
