"""Which addresses a network namespace has, whoever gave them (DESIGN, P3)."""

import errno
from collections.abc import Collection

from danm_api.errors import LinkSetupError
from danm_api.model.addresses import IPAddress
from danm_api.netlink_socket import KernelRefusedError
from danm_cni.netns import enter_netns
from danm_cni.rtnetlink import LinkAddress, RouteSocket


def read_addresses(netns: int) -> frozenset[IPAddress]:
    """Enter a namespace and return the addresses of all its interfaces.

    Raises:
        LinkSetupError: The kernel refused to tell.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    try:
        with RouteSocket() as pod:
            return frozenset(each.address for each in pod.addresses())
    except (KernelRefusedError, OSError) as error:
        raise LinkSetupError(f"the addresses of a namespace cannot be read: {error}") from error


def remove_addresses(netns: int, addresses: Collection[IPAddress]) -> None:
    """Enter a namespace and take addresses off its interfaces, where they are there.

    Raises:
        LinkSetupError: The kernel refused.
        NetnsGoneError: The namespace is gone.
    """
    enter_netns(netns)
    try:
        with RouteSocket() as pod:
            for each in tuple(pod.addresses()):
                if each.address in addresses:
                    _remove(pod, each)
    except (KernelRefusedError, OSError) as error:
        raise LinkSetupError(f"addresses of a namespace cannot be removed: {error}") from error


def _remove(pod: RouteSocket, held: LinkAddress) -> None:
    try:
        pod.delete_address(held)
    except KernelRefusedError as error:
        if error.number != errno.EADDRNOTAVAIL:
            raise
