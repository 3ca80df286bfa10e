"""The host_devices that links hang on, read once for all of them.

A hundred links on one NIC ask for it a hundred times, as often as something happens to them all.
"""

from danm_api.names import InterfaceName
from netwatcher.kernel import Kernel
from netwatcher.links import ObservedLink


class Parents:
    """What the kernel said of host_devices, until an event tells that one has changed."""

    def __init__(self, kernel: Kernel) -> None:
        """Ask this kernel."""
        self._kernel = kernel
        self._known: dict[InterfaceName, ObservedLink] = {}
        # Who asks last of a name, as long as no event has told of it since.
        self._reading: dict[InterfaceName, object] = {}

    async def read(self, name: InterfaceName) -> ObservedLink | None:
        """Return a host_device, or None if there is none of the name.

        Raises:
            LinkSetupError: The kernel refused to answer.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        self._reading[name] = reading = object()
        try:
            link = await self._kernel.link_by_name(name)
            # An event meanwhile may tell of a change that the kernel made after it answered.
            if link is not None and self._reading.get(name) is reading:
                self._known[name] = link
            return link
        finally:
            if self._reading.get(name) is reading:
                del self._reading[name]

    def forget(self, name: InterfaceName) -> None:
        """Take in that a link has changed, come or gone."""
        self._known.pop(name, None)
        self._reading.pop(name, None)

    def forget_all(self) -> None:
        """Take in that anything may have changed."""
        self._known.clear()
        self._reading.clear()
