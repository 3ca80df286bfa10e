"""Damage to host links, done and watched by a process of its own.

The process that is measured must not share its interpreter with who measures it.
"""

import errno
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from pyroute2 import IPRoute, NetlinkError, netns

from tests.lab.errors import LabError

_POLL_S: Final = 0.001
_TIMEOUT_S: Final = 60.0
_IFF_UP: Final = 0x1


def enter(namespace: str) -> None:
    """Work in a network namespace from now on; in the process's own one if it is empty."""
    if namespace:
        netns.setns(namespace, flags=0)


def _delete(route: IPRoute, name: str) -> None:
    route.link("del", ifname=name)


def _down(route: IPRoute, name: str) -> None:
    route.link("set", ifname=name, state="down")


def _rename(route: IPRoute, name: str) -> None:
    index = route.link_lookup(ifname=name)[0]
    while True:
        # Older kernels rename only what is down, and netwatcher may set it up in between.
        route.link("set", index=index, state="down")
        try:
            route.link("set", index=index, ifname=f"oops{index}")
        except NetlinkError as error:
            if error.code != errno.EBUSY:
                raise
        else:
            return


def _shrink(route: IPRoute, name: str) -> None:
    route.link("set", ifname=name, mtu=1300)


DAMAGES: Final[dict[str, Callable[[IPRoute, str], None]]] = {
    "deleted": _delete,
    "set down": _down,
    "renamed": _rename,
    "of another MTU": _shrink,
}


def repair_s(damage: str, names: list[str], mtu: dict[str, int]) -> float:
    """Damage links, and return the seconds from the first of it until all are as before.

    Raises:
        LabError: They are not repaired.
    """
    with IPRoute() as route:
        began = time.monotonic()
        for name in names:
            DAMAGES[damage](route, name)
        while not _are_whole(route, names, mtu):
            if time.monotonic() - began > _TIMEOUT_S:
                raise LabError(f"Links that were {damage} were not repaired.")
            time.sleep(_POLL_S)
        return time.monotonic() - began


def until_whole(names: list[str]) -> dict[str, int]:
    """Wait until links are there and up, and return their MTUs.

    Raises:
        LabError: They do not come.
    """
    with IPRoute() as route:
        began = time.monotonic()
        while True:
            found = {link.get("ifname"): link for link in route.link("dump")}
            if all(name in found and _is_up(found[name]) for name in names):
                return {name: found[name].get("mtu") for name in names}
            if time.monotonic() - began > _TIMEOUT_S:
                raise LabError("The links were not made.")
            time.sleep(_POLL_S)


def _are_whole(route: IPRoute, names: list[str], mtu: dict[str, int]) -> bool:
    found = {link.get("ifname"): link for link in _links(route, names)}
    return all(
        name in found and _is_up(found[name]) and found[name].get("mtu") == mtu[name]
        for name in names
    )


# pyroute2's messages carry no types.
def _links(route: IPRoute, names: list[str]) -> Iterable[Any]:
    if len(names) > 1:
        return list(route.link("dump"))
    try:
        return list(route.link("get", ifname=names[0]))
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise
        return []


def _is_up(link: Any) -> bool:  # noqa: ANN401
    return bool(link["flags"] & _IFF_UP) and link.get("ifalias") is not None
