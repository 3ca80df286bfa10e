"""Making one interface of a sandbox, with whichever backend its network names.

What is done for all of them, and in which order, is ``making``'s; ``unmaking`` removes them.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any, Literal

import msgspec

from danm_api.codec.cni import decode_result
from danm_api.errors import DelegateError, InvalidRequestError
from danm_api.model.danmep import DanmEp
from danm_api.model.danmnet import BuiltInType, StaticDelegate
from danm_api.names import ContainerId, InterfaceName
from danm_cni.capabilities import for_interface
from danm_cni.child_link import is_own_type
from danm_cni.cni_errors import CniCode
from danm_cni.concurrency import all_of, succeeded
from danm_cni.delegate import add_chain
from danm_cni.delegate_config import (
    DpdkSettings,
    DynamicAddresses,
    PluginChain,
    SriovRequest,
    plugin_routes,
    sriov_chain,
)
from danm_cni.edges import EndpointStore, InterfaceMaker, PluginRunner
from danm_cni.failpoints import Effect, effect
from danm_cni.interface_setup import Address, InterfaceSetup, policy_rules
from danm_cni.journal import Journal, PluginCall
from danm_cni.own_interface import own_link, own_result, own_setup
from danm_cni.plan import PlannedAttachment
from danm_cni.plugin_loading import load_static_chain
from danm_cni.progress import Progress
from danm_cni.result import (
    InterfaceResult,
    complete_result,
    is_own,
    own_addresses,
    with_mtu,
)

DelegatedType = Literal[BuiltInType.SRIOV] | StaticDelegate


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxContext:
    """What all interfaces of one ADD share.

    Attributes:
        environment: The runtime's.
        asked: CNI_IFNAME.
        runtime_config: The runtime's, for plugins that declare capabilities.
        progress: The ADD's.
    """

    container_id: ContainerId
    netns: str
    environment: Mapping[str, str]
    asked: InterfaceName
    runtime_config: Mapping[str, Any]
    progress: Progress

    def environment_of(self, interface: InterfaceName) -> Mapping[str, str]:
        """Return what the plugins of an interface are called with."""
        return {**self.environment, "CNI_IFNAME": interface}

    def runtime_config_of(self, interface: InterfaceName) -> Mapping[str, Any]:
        """Return what the plugins of an interface may get of the runtime's."""
        return for_interface(self.runtime_config, is_asked=interface == self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyAttachment:
    """A planned attachment with its addresses, its parent's facts, its device and its DanmEp."""

    planned: PlannedAttachment
    addresses: DynamicAddresses
    endpoint: DanmEp
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSettings:
    """What the administrator sets for delegates.

    Attributes:
        config_directory: Where static types have their files.
    """

    config_directory: Path
    host_root: Path
    dpdk: DpdkSettings


class InterfaceBackends:
    """Makes interfaces; what it starts is journalled before."""

    def __init__(
        self,
        *,
        journal: Journal,
        kernel: InterfaceMaker,
        plugins: PluginRunner,
        endpoints: EndpointStore,
        settings: BackendSettings,
    ) -> None:
        """Work with these edges."""
        self._journal = journal
        self._kernel = kernel
        self._plugins = plugins
        self._endpoints = endpoints
        self._settings = settings

    def chain(self, ready: ReadyAttachment, network_type: DelegatedType) -> PluginChain:
        """Return the plugins that make an interface.

        Raises:
            InvalidNetworkError: The administrator's file is not there, or is not usable.
        """
        match network_type:
            case StaticDelegate(name=name):
                directory, root = self._settings.config_directory, self._settings.host_root
                return load_static_chain(directory, name, root=root)
            case BuiltInType.SRIOV:
                return sriov_chain(
                    SriovRequest(
                        spec=ready.planned.spec,
                        interface=ready.planned.interface,
                        addresses=ready.addresses,
                        routes=ready.planned.routes,
                        device=ready.device,
                        dpdk=self._settings.dpdk,
                    )
                )

    async def make_own(
        self, context: SandboxContext, group: Sequence[ReadyAttachment]
    ) -> Sequence[InterfaceResult]:
        """Make the links of DANM's own backends, all at once.

        Raises:
            DanmError: It failed; what was made stays, for the caller to undo.
        """
        wanted = [
            (
                own_link(own_type, each.planned, mac=each.addresses.mac),
                own_setup(each.planned, each.addresses.both),
            )
            for each in group
            if is_own_type(own_type := each.planned.spec.network_type)
        ]
        with context.progress.failing():
            made = await self._kernel.create(wanted, context.netns)
        return [
            own_result(ready.planned, setup.addresses, facts, netns=context.netns)
            for ready, (_, setup), facts in zip(group, wanted, made, strict=True)
        ]

    async def make_sriov(
        self, context: SandboxContext, ready: ReadyAttachment, chain: PluginChain
    ) -> Sequence[InterfaceResult]:
        """Have an interface made by the plugin sriov, and complete it.

        The plugin gets one address through fakeipam; the node adds the rest (SPEC E1, E4).

        Raises:
            DanmError: It failed; what was made stays, for the caller to undo.
        """
        planned, addresses = ready.planned, ready.addresses.both
        made = await self.run_plugins(context, ready, chain)
        if planned.spec.dpdk:
            # A user-space driver owns the device: the kernel has no interface to set up.
            return [made]
        # The address that the plugin has given it is in the way of nothing, and is announced.
        by_plugin = plugin_routes(planned.routes, ready.addresses.delegated)
        setup = InterfaceSetup(
            name=planned.interface,
            mtu=planned.spec.mtu,
            addresses=addresses,
            routes=tuple(each for each in planned.routes if each not in by_plugin),
            rules=policy_rules(planned.routes, addresses),
        )
        with context.progress.failing():
            facts = await self._kernel.set_up(setup, context.netns)
        own = own_result(planned, addresses, facts, netns=context.netns).result
        foreign = tuple(each for each in made.result.interfaces if each.name != planned.interface)
        result = replace(own, interfaces=own.interfaces + foreign, dns=made.result.dns)
        return [replace(made, result=result)]

    async def complete_static(
        self,
        context: SandboxContext,
        ready: ReadyAttachment,
        made: InterfaceResult,
        told: "asyncio.Future[bool]",
    ) -> Sequence[InterfaceResult]:
        """Record what the plugins of a static type reported, and add what is the node's to add.

        Args:
            context: The sandbox's.
            ready: What was made.
            made: What they reported.
            told: Ends when its DanmEp is written; its failure is told by another.

        Raises:
            DanmError: It failed; what was made stays, for the caller to undo.
        """
        planned = ready.planned
        result = complete_result(made, netns=context.netns)
        addresses = own_addresses(result, planned.interface)
        mac = next(each.mac for each in result.interfaces if is_own(each, planned.interface))
        ip, ip6 = _first(addresses, IPv4Interface), _first(addresses, IPv6Interface)
        interface = replace(ready.endpoint.interface, address=ip, address_ipv6=ip6, mac_address=mac)

        async def record_and_route() -> None:
            # First the journal: rules are removed by the addresses that it has.
            with effect(Effect.WRITE_TOLD):
                await self._journal.change(
                    context.container_id,
                    planned.interface,
                    lambda record: msgspec.structs.replace(
                        record, ip=ip and str(ip), ip6=ip6 and str(ip6), mac=mac
                    ),
                )
            families = {address.version for address in addresses}
            routes = tuple(each for each in planned.routes if each.destination.version in families)
            if routes or planned.spec.mtu is not None:
                setup = InterfaceSetup(
                    name=planned.interface,
                    mtu=planned.spec.mtu,
                    routes=routes,
                    rules=policy_rules(routes, addresses),
                )
                await self._kernel.set_up(setup, context.netns)
            await self._kernel.announce(planned.interface, addresses, context.netns)

        async def tell() -> None:
            # The DanmEp says already that there is an interface (a DanmNet stays while it does, and
            # a lost journal is made up for); now it says with what.
            if await succeeded(told):
                with effect(Effect.UPDATE_ENDPOINT):
                    await self._endpoints.update(replace(ready.endpoint, interface=interface))

        await all_of([record_and_route(), tell()])
        return [replace(made, result=with_mtu(result, planned.interface, planned.spec.mtu))]

    async def run_plugins(
        self,
        context: SandboxContext,
        ready: ReadyAttachment,
        chain: PluginChain,
        *,
        starting: Callable[[], None] = lambda: None,
    ) -> InterfaceResult:
        """Run the plugins of an interface, and return what they report.

        Args:
            context: The sandbox's.
            ready: What to make.
            chain: The plugins.
            starting: Called whenever the journal knows of one of them, which is about to start.

        Raises:
            DanmError: It failed; what was made stays, for the caller to undo.
        """
        interface, network = ready.planned.interface, ready.planned.network

        async def note(call: PluginCall) -> None:
            await self._journal.change(
                context.container_id,
                interface,
                lambda record: msgspec.structs.replace(record, calls=(*record.calls, call)),
            )
            starting()

        with context.progress.failing():
            output = await add_chain(
                chain,
                runner=self._plugins,
                note=note,
                environment=context.environment_of(interface),
                runtime_config=context.runtime_config_of(interface),
                progress=context.progress,
                subject=f"interface {interface} on DanmNet {network.namespace}/{network.name}",
            )
            try:
                result = decode_result(output)
            except InvalidRequestError as error:
                raise DelegateError(
                    f"{chain.source}: {error.reason}", code=CniCode.UNDECODABLE
                ) from error
        return InterfaceResult(interface=interface, result=result, output=output)


def _first(addresses: tuple[Address, ...], family: type[Any]) -> Any:  # noqa: ANN401
    return next((each for each in addresses if isinstance(each, family)), None)
