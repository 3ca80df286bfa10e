"""CHECK: a sandbox compared with its record, by the node and by its delegates (SPEC C6)."""

import time
from dataclasses import dataclass, replace
from typing import Final

from danm_api.errors import DanmError, LinkSetupError
from danm_api.model.cni import CniResult
from danm_cni.concurrency import all_of, raise_together
from danm_cni.delegate import attachment_environment, check_calls
from danm_cni.delegate_config import with_later_changes
from danm_cni.edges import InterfaceMaker, PluginRunner
from danm_cni.interface_records import recorded_setup
from danm_cni.interface_setup import InterfaceSetup
from danm_cni.journal import InterfaceRecord, SandboxRecord

# So much before the runtime's patience ends a delegate that says nothing is given up.
_TELL_S: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxVerification:
    """Looks whether everything that an ADD made is still there."""

    kernel: InterfaceMaker
    plugins: PluginRunner

    async def check(
        self, record: SandboxRecord, *, deadline_s: float, final: CniResult | None = None
    ) -> None:
        """Compare all interfaces, side by side.

        Args:
            record: Of the sandbox.
            deadline_s: When the runtime is to have its answer.
            final: What the runtime says that its whole list has made.

        Raises:
            LinkSetupError: An interface, address, route or rule is missing.
            DelegateError: A delegate is not content, with its own code.
            SeveralErrors: More than one of these.
        """
        errors: list[DanmError] = []
        setups = [as_told(recorded_setup(each), final, record.netns) for each in record.interfaces]
        faults = await self.kernel.faults(setups, record.netns)
        if faults:
            errors.append(
                LinkSetupError(
                    f"Pod {record.namespace}/{record.pod}: {'; '.join(faults)}; delete the Pod to "
                    "have it made anew"
                )
            )
        try:
            await all_of(self._ask(record, each, final, deadline_s) for each in record.interfaces)
        except DanmError as error:
            errors.append(error)
        raise_together(errors)

    async def _ask(
        self,
        record: SandboxRecord,
        interface: InterfaceRecord,
        final: CniResult | None,
        deadline_s: float,
    ) -> None:
        output = interface.output
        await check_calls(
            interface.calls,
            output=with_later_changes(output, final) if output and final else output,
            runner=self.plugins,
            environment=attachment_environment(record, interface, netns=record.netns),
            timeout_s=max(deadline_s - _TELL_S - time.monotonic(), 0.0),
        )


def as_told(setup: InterfaceSetup, final: CniResult | None, netns: str) -> InterfaceSetup:
    """Return what an interface is to have after plugins behind danm in its list have changed it.

    They may set its MAC, and take addresses and routes away: what the final result does not list
    is nobody's fault. Policy routes and rules are in no result. Pure.

    Source: CNI specification 1.1.0, section 2, "CHECK".

    Args:
        setup: What danm has made of it.
        final: What the runtime says that its whole list has made; None for nothing.
        netns: The Pod's.
    """
    if final is None:
        return setup
    macs = [
        each.mac.lower()
        for each in final.interfaces
        if (each.name, each.sandbox) == (setup.name, netns) and each.mac
    ]
    addresses = {ip.address for ip in final.ips}
    routes = {(each.destination, each.gateway) for each in final.routes}
    return replace(
        setup,
        mac=macs[0] if setup.mac is not None and macs else setup.mac,
        addresses=tuple(each for each in setup.addresses if each in addresses),
        routes=tuple(
            each
            for each in setup.routes
            if each.table is not None or (each.destination, each.gateway) in routes
        ),
    )
