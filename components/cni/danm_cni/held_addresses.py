"""Which addresses a network namespace has, whoever gave them (DESIGN, P3)."""

import errno
from collections.abc import Collection
from ipaddress import ip_address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from danm_api.errors import LinkSetupError
from danm_api.model.addresses import IPAddress
from danm_cni.netns import enter_netns


def read_addresses(netns: int) -> frozenset[IPAddress]:
    """Enter a namespace and return the addresses of all its interfaces.

    Raises:
        LinkSetupError: The kernel refused to tell.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    try:
        with IPRoute() as pod:
            return frozenset(_address_of(each) for each in pod.get_addr())
    except (NetlinkError, OSError) as error:
        raise LinkSetupError(f"the addresses of a namespace cannot be read: {error}") from error


def remove_addresses(netns: int, addresses: Collection[IPAddress]) -> None:
    """Enter a namespace and take addresses off its interfaces, where they are there.

    Raises:
        LinkSetupError: The kernel refused.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    try:
        with IPRoute() as pod:
            for each in pod.get_addr():
                if _address_of(each) in addresses:
                    _remove(pod, each)
    except (NetlinkError, OSError) as error:
        raise LinkSetupError(f"addresses of a namespace cannot be removed: {error}") from error


def _address_of(message: Any) -> IPAddress:  # noqa: ANN401  (pyroute2 has no types)
    # On a point-to-point link IFA_ADDRESS is the peer's.
    return ip_address(message.get("local") or message.get("address"))


def _remove(pod: Any, message: Any) -> None:  # noqa: ANN401
    local = {"local": message.get("local")} if message.get("local") else {}
    try:
        pod.addr(
            "del",
            index=message["index"],
            address=message.get("address"),
            prefixlen=message["prefixlen"],
            **local,
        )
    except NetlinkError as error:
        if error.code != errno.EADDRNOTAVAIL:
            raise
