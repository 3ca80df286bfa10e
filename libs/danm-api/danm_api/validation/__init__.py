"""The semantic rules of DanmNets and of what Pods ask of them. Pure.

``network`` judges one object (SPEC N1), ``wire`` several that share a link or a parent (SPEC N1,
N3), ``request`` what an attachment asks (SPEC B3, G2 to G5, D3); ``pools`` and ``links`` say what
follows from a spec, ``hostless`` which addresses nobody can have. All parts judge by these
functions, so that the validator, ipam-svc and danmd never disagree.
"""

from danm_api.validation.links import host_link_name, interface_name_fault, parent_link_name
from danm_api.validation.network import validate_network
from danm_api.validation.pools import (
    effective_pool,
    effective_pool6,
    hands_out_addresses,
    is_excluded,
)
from danm_api.validation.request import check_attachment, check_ip_request
from danm_api.validation.wire import conflicts, same_wire, shares_wire, wire_text

__all__ = [
    "check_attachment",
    "check_ip_request",
    "conflicts",
    "effective_pool",
    "effective_pool6",
    "hands_out_addresses",
    "host_link_name",
    "interface_name_fault",
    "is_excluded",
    "parent_link_name",
    "same_wire",
    "shares_wire",
    "validate_network",
    "wire_text",
]
