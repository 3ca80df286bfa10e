"""Removing interfaces of a sandbox, each with what has made it: the opposite of ``interfaces``."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from danm_api.errors import DanmError, SeveralErrors
from danm_cni.concurrency import outcomes_of
from danm_cni.delegate import attachment_environment, delete_calls
from danm_cni.edges import InterfaceMaker, PluginRunner
from danm_cni.flannel import FLANNEL, clean_flannel
from danm_cni.interface_records import recorded_setup
from danm_cni.interface_setup import TakeDown
from danm_cni.journal import InterfaceRecord, SandboxRecord
from danm_cni.netns import NetnsGoneError

# A DEL that a plugin does not finish in this time is killed and tried again later.
_DELEGATE_DEL_TIMEOUT_S: Final = 30.0


class InterfacesLeftError(SeveralErrors):
    """Something of interfaces may be left.

    Attributes:
        interfaces: Their names; of all others nothing is.
    """

    def __init__(self, errors: Sequence[DanmError], *, interfaces: frozenset[str]) -> None:
        """Keep the names beside what went wrong."""
        super().__init__(errors)
        self.interfaces = interfaces


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceUnmaking:
    """Removes interfaces, by what the journal has of them.

    Attributes:
        host_root: The node's root directory.
        flannel_bridge: The name under which flannel's host-local state is kept.
    """

    kernel: InterfaceMaker
    plugins: PluginRunner
    host_root: Path
    flannel_bridge: str

    async def end_strays(self, sandbox: SandboxRecord) -> None:
        """End delegates of a sandbox half made or removed that an earlier danmd left running."""
        if any(each.calls for each in sandbox.interfaces):
            await self.plugins.end_strays(sandbox.container_id)

    async def unmake(self, sandbox: SandboxRecord, interfaces: Sequence[InterfaceRecord]) -> None:
        """Remove interfaces, whatever of them there is; repeating it is harmless.

        All are tried. What danmd does itself in the namespace is judged as one.

        Raises:
            InterfacesLeftError: Something of one or more may be left.
        """
        identity = sandbox.netns_identity
        there = self.kernel.has_netns(sandbox.netns, identity=identity)
        netns = sandbox.netns if there else ""
        downs = [
            TakeDown(
                name=each.interface, rules=recorded_setup(each).rules, delete_link=not each.calls
            )
            for each in interfaces
        ]
        own = [each for each in downs if each.rules or each.delete_link]
        delegated = [each for each in interfaces if each.calls]
        outcomes = await outcomes_of(
            [
                self._take_down(own, netns, identity),
                *(self._delete(sandbox, each, netns) for each in delegated),
            ]
        )
        concerned = [{each.name for each in own}, *({each.interface} for each in delegated)]
        failed = [
            (error, names)
            for error, names in zip(outcomes, concerned, strict=True)
            if error is not None
        ]
        if failed:
            raise InterfacesLeftError(
                [error for error, _ in failed],
                interfaces=frozenset(name for _, names in failed for name in names),
            )

    async def _take_down(self, downs: Sequence[TakeDown], netns: str, identity: str) -> None:
        if netns and downs:
            with suppress(NetnsGoneError):
                await self.kernel.take_down(downs, netns, identity=identity)

    async def _delete(self, sandbox: SandboxRecord, interface: InterfaceRecord, netns: str) -> None:
        """Have an interface removed by the plugins that made it."""
        await delete_calls(
            interface.calls,
            output=interface.output,
            runner=self.plugins,
            environment=attachment_environment(sandbox, interface, netns=netns),
            timeout_s=_DELEGATE_DEL_TIMEOUT_S,
        )
        if interface.network_type == FLANNEL:
            for address in interface.addresses:
                clean_flannel(
                    self.host_root,
                    bridge=self.flannel_bridge,
                    container_id=sandbox.container_id,
                    address=address,
                )
