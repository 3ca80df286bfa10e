"""The network of Pods that ask for nothing (SPEC B2): another plugin's, passed through.

Installing DANM changes nothing for these Pods: their plugin gets what the runtime would have given
it, and its answer goes back as it is.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from danm_api.codec.cni import decode_result
from danm_api.errors import DelegateError, InvalidNetworkError, InvalidRequestError
from danm_api.telemetry import get_logger
from danm_cni.cni_errors import CniCode
from danm_cni.delegate import add_chain, delete_calls
from danm_cni.delegate_config import PluginChain, render
from danm_cni.edges import PluginRunner
from danm_cni.journal import Journal, PluginCall
from danm_cni.plugin_loading import ConfigFile, load_chain
from danm_cni.progress import Progress
from danm_cni.request import CniRequest, PodIdentity

log = get_logger(__name__)

# The runtime's own patience ends about there.
_DEL_TIMEOUT_S: Final = 30.0


class Fallback:
    """Runs the fallback's plugins."""

    def __init__(
        self, *, find: Callable[[], ConfigFile | None], runner: PluginRunner, journal: Journal
    ) -> None:
        """Ask ``find`` for the configuration at every use: its owner may change it."""
        self._find = find
        self._runner = runner
        self._journal = journal

    def chain(self, pod: PodIdentity | None) -> PluginChain:
        """Return the fallback's plugins.

        Raises:
            InvalidNetworkError: There is no fallback, or its file is not usable.
        """
        file = self._find()
        if file is None:
            namespace = pod.namespace if pod else "..."
            raise InvalidNetworkError(
                f"{pod or 'the Pod'} asks for no network, namespace {namespace} has no DanmNet "
                "'default', and this node has no fallback network; annotate the Pod with "
                "danm.k8s.io/interfaces, create a DanmNet named 'default' in the namespace, or "
                "name a CNI configuration to danmd with --fallback-config"
            )
        return load_chain(file)

    async def add(self, request: CniRequest, chain: PluginChain, progress: Progress) -> bytes:
        """Run ADD; each plugin is journalled before it starts.

        Returns:
            What the last plugin printed, in the chain's version.

        Raises:
            DanmError: A plugin failed, with its own code.
        """

        async def note(call: PluginCall) -> None:
            await self._journal.change(
                request.container_id,
                request.interface,
                lambda record: msgspec.structs.replace(record, calls=(*record.calls, call)),
            )

        output = await add_chain(
            chain,
            runner=self._runner,
            note=note,
            environment=request.environment,
            runtime_config=request.runtime_config,
            progress=progress,
            subject=f"interface {request.interface} on the fallback network",
        )
        try:
            decode_result(output)
        except InvalidRequestError as error:
            raise DelegateError(
                f"{chain.source}: {error.reason}", code=CniCode.UNDECODABLE
            ) from error
        return output

    async def delete_unknown(self, request: CniRequest) -> None:
        """Run DEL for a container that danmd never added: from before the installation.

        A file that cannot be used does not hold up the end of a container that may never have had
        anything to do with it.

        Raises:
            DanmError: A plugin failed, with its own code.
        """
        file = self._find()
        if file is None:
            return
        try:
            chain = load_chain(file)
        except InvalidNetworkError as error:
            log.warning(
                "No DEL of the fallback network",
                container_id=request.container_id,
                error=error.reason,
            )
            return
        calls = [
            PluginCall(
                type=plugin.type,
                config=render(plugin, previous=None, runtime_config=request.runtime_config),
            )
            for plugin in chain.plugins
        ]
        await delete_calls(
            calls,
            output=request.previous,
            runner=self._runner,
            environment=request.environment,
            timeout_s=_DEL_TIMEOUT_S,
        )
