"""GC, passed on to the delegates: what they keep of attachments that are gone (SPEC C6)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from danm_api.errors import InvalidNetworkError
from danm_api.telemetry import get_logger
from danm_cni.concurrency import all_of
from danm_cni.delegate import collect_chain, network_environment
from danm_cni.delegate_config import PluginChain
from danm_cni.edges import EndpointStore, NetworkSource, PluginRunner
from danm_cni.journal import Journal, SandboxRecord
from danm_cni.plugin_loading import ConfigFile, load_chain, load_static_chain
from danm_cni.removal import adopted_record
from danm_cni.request import CniRequest

log = get_logger(__name__)

_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegateCollection:
    """Asks the plugins of all static types in use, and of the fallback.

    Dynamic types keep nothing that danmd does not give back itself: their addresses are ipam-svc's.

    Attributes:
        find_fallback: Returns the fallback's file.
        config_directory: Where static types have their files.
        host_root: The host's root directory, in which links among them lead on.
    """

    journal: Journal
    endpoints: EndpointStore
    networks: NetworkSource
    plugins: PluginRunner
    find_fallback: Callable[[], ConfigFile | None]
    config_directory: Path
    host_root: Path

    async def collect(self, request: CniRequest) -> None:
        """Have everything removed that is not of a sandbox of this node.

        Raises:
            DanmError: A plugin failed; the others were asked all the same.
        """
        valid = self._valid(request)
        environment = network_environment(request.environment)
        await all_of(
            collect_chain(
                chain,
                valid=valid,
                runner=self.plugins,
                environment=environment,
                timeout_s=_TIMEOUT_S,
            )
            for chain in self._chains()
        )

    def _valid(self, request: CniRequest) -> frozenset[tuple[str, str]]:
        """Return what is to stay: rather too much, since a delegate frees what is not there.

        The runtime lists a sandbox by danm's interface alone; what it lists and danmd never added
        is of the time before the installation.
        """
        records: list[SandboxRecord] = [*self.journal.records()]
        listed = request.valid_attachments or frozenset()
        for container_id, _ in listed:
            if self.journal.get(container_id) is None:
                adopted = adopted_record(self.endpoints.of_container(container_id))
                records += [adopted] if adopted is not None else []
        own = {
            (record.container_id, each.interface)
            for record in records
            for each in record.interfaces
        }
        return frozenset(listed | own)

    def _chains(self) -> Iterator[PluginChain]:
        fallback = self.find_fallback()
        names = sorted(self.networks.static_types())
        load = partial(load_static_chain, self.config_directory, root=self.host_root)
        sources = [partial(load, name) for name in names]
        if fallback is not None:
            sources.append(partial(load_chain, fallback))
        # The fallback is often a static type, too. Two files of one name need not be the same.
        seen: list[PluginChain] = []
        for source in sources:
            try:
                chain = source()
            except InvalidNetworkError as error:
                # Its Pods' ADDs say so, too; nothing of it can be collected.
                log.warning("No GC of a network", error=error.reason)
                continue
            if chain not in seen:
                seen.append(chain)
                yield chain
