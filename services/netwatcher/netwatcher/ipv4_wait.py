"""How long a tunnel waits for an IPv4 address of its parent before it starts at an IPv6 one.

Pure. The tunnels of all nodes meet in one multicast group, of one family, and a link that Pods use
cannot be made anew in the other one. A node that boots has its IPv6 address by router
advertisements some seconds before it has its IPv4 address by DHCP: a tunnel that was made in
between would stay cut off from all others, since the records of the Pods from before the boot keep
it (SPEC N2).
"""

from collections.abc import Callable, Iterable
from typing import Final

from netwatcher.links import ObservedAddress, source_of

# DHCP clients ask several times within it. A node without any IPv4 waits once, as it boots.
IPV4_WAIT_S: Final = 60.0

_IPV4: Final = 4

# The kernel tells times of addresses in hundredths of a second since the boot, in 32 bits.
_PER_SECOND: Final = 100
_TIMES: Final = 2**32
# It counts them by another of its clocks; ten seconds are more than those ever differ by.
_AHEAD: Final = 1000


def since_s(created: int, now_s: float) -> float:
    """Return since when an address is there, by the monotonic clock.

    Args:
        created: What the kernel says (``cstamp`` of linux/if_addr.h).
        now_s: The present time.
    """
    now = int(now_s * _PER_SECOND)
    # The kernel's number begins at 0 again every 497 days.
    age = (now - created) % _TIMES
    return (now if age > _TIMES - _AHEAD else now - age) / _PER_SECOND


class Ipv4Wait:
    """What is remembered of the parents of tunnels, by index."""

    def __init__(self, *, wait_s: float, clock: Callable[[], float]) -> None:
        """Wait this long, by the clock that tells since when an address is there."""
        self._wait_s = wait_s
        self._clock = clock
        self._with_ipv4: set[int] = set()
        self._lost_at: dict[int, float] = {}

    def saw(self, index: int, addresses: Iterable[ObservedAddress]) -> None:
        """Take in the addresses that a parent has now."""
        source = source_of(addresses)
        if source is not None and source.version == _IPV4:
            self._with_ipv4.add(index)
            self._lost_at.pop(index, None)
        elif index in self._with_ipv4:
            self._with_ipv4.remove(index)
            self._lost_at[index] = self._clock()

    def forget(self, index: int) -> None:
        """Take in that a parent is gone."""
        self._with_ipv4.discard(index)
        self._lost_at.pop(index, None)

    def left_s(self, index: int, addresses: Iterable[ObservedAddress]) -> float:
        """Return for how long no tunnel may be made on a parent; 0 when one may at once.

        It ends when the oldest IPv6 address has been there long enough, or when an IPv4 address
        that was there has been gone for as long.
        """
        usable = [each for each in addresses if each.is_global and each.is_stable]
        if not usable or any(each.address.version == _IPV4 for each in usable):
            return 0.0
        began = max(min(each.since_s for each in usable), self._lost_at.get(index, float("-inf")))
        return max(0.0, began + self._wait_s - self._clock())
