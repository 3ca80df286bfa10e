"""Node: what DANM needs to know of one. Pure."""

from dataclasses import dataclass

from danm_api.names import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node.

    Attributes:
        out_of_service: Somebody declared it lost by the taint
            ``node.kubernetes.io/out-of-service``: nothing runs there any more.
    """

    name: NodeName
    uid: str
    out_of_service: bool = False
