"""Other CNI plugins: chains of them, and what they say (SPEC E)."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from danm_api.codec.cni import decode_error
from danm_api.codec.json_text import decode_foreign
from danm_api.errors import DanmError, DeadlineExceededError, DelegateError, InvalidNetworkError
from danm_api.model.cni import CniVersion
from danm_api.telemetry import inject, span
from danm_cni.cni_errors import CniCode
from danm_cni.delegate_config import (
    PluginChain,
    knows,
    render,
    result_for,
    with_previous,
    with_valid_attachments,
)
from danm_cni.edges import PluginRunner
from danm_cni.failpoints import Effect, effect
from danm_cni.journal import InterfaceRecord, PluginCall, SandboxRecord
from danm_cni.progress import Progress
from danm_cni.request import Verb

# Enough of a plugin's complaint to understand it.
_MAX_ERROR_TEXT: Final = 2000


def network_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what plugins of a whole network are called with: variables of no attachment.

    Source: CNI specification 1.1.0, section 2, GC.

    Args:
        environment: The runtime's.
    """
    return {
        key: value
        for key, value in environment.items()
        if key == "CNI_PATH" or not key.startswith("CNI_")
    }


def traced_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Add what makes a fakeipam that the plugin calls part of the present trace, if there is one.

    Source: OpenTelemetry's specification of environment variables as carriers.
    """
    carrier: dict[str, str] = {}
    inject(carrier)
    return {**environment, **{key.upper(): value for key, value in carrier.items()}}


def attachment_environment(
    sandbox: SandboxRecord, interface: InterfaceRecord, *, netns: str
) -> dict[str, str]:
    """Return what plugins of an interface that is there are called with.

    Args:
        sandbox: As the journal knows it.
        interface: One of it.
        netns: Its path; empty when it is gone.
    """
    return {
        **sandbox.environment,
        "CNI_CONTAINERID": sandbox.container_id,
        "CNI_IFNAME": interface.interface,
        "CNI_NETNS": netns,
    }


def plugin_failure(plugin: str, status: int, output: bytes, complaint: bytes) -> DelegateError:
    """Return the error of a plugin that failed: its own, or what it printed.

    Args:
        plugin: Its type.
        status: Its exit status; negative for the signal that killed it.
        output: What it printed as its answer.
        complaint: What it printed on standard error.
    """
    told = decode_error(output)
    if told is not None:
        details = f" ({told.details})" if told.details else ""
        return DelegateError(f"plugin {plugin}: {told.message}{details}", code=told.code)
    text = (complaint or output).decode("utf-8", "replace").strip()[-_MAX_ERROR_TEXT:]
    how = f"was killed by signal {-status}" if status < 0 else f"exited with {status}"
    return DelegateError(
        f"plugin {plugin} {how} without a CNI error: {text or 'it printed nothing'}",
        code=CniCode.DELEGATE,
    )


async def add_chain(
    chain: PluginChain,
    *,
    runner: PluginRunner,
    note: Callable[[PluginCall], Awaitable[None]],
    environment: Mapping[str, str],
    runtime_config: Mapping[str, Any],
    progress: Progress,
    subject: str,
) -> bytes:
    """Run ADD of all plugins, each with the result of the one before it; the caller has its turn.

    None is started unless all are there: one that was noted and is not there could not be undone.

    Args:
        chain: What to run.
        runner: Starts the processes.
        note: Makes durable that a plugin is about to be started.
        environment: With CNI_IFNAME of the attachment.
        runtime_config: From the runtime.
        progress: Of the ADD whose part this is; it knows for which plugin the time was over.
        subject: For which interface, on which network.

    Returns:
        The last plugin's result.

    Raises:
        DelegateError: A plugin failed; those before it are to be undone from what was noted.
    """
    previous: bytes | None = None
    try:
        for plugin in chain.plugins:
            runner.require(plugin.type, environment)
        for plugin in chain.plugins:
            config = render(plugin, previous=previous, runtime_config=runtime_config)
            call = PluginCall(type=plugin.type, config=config, checks=chain.checks)
            with effect(Effect.WRITE_PLUGIN):
                await note(call)
            with (
                progress.waiting(_wait_for(plugin.type, chain, subject)),
                span("plugin ADD", plugin=plugin.type),
                effect(Effect.RUN_ADD),
            ):
                output = await runner.run(
                    call, verb=Verb.ADD, environment=traced_environment(environment)
                )
            previous = result_for(config, _checked(call, output))
    except DelegateError as error:
        raise DelegateError(f"{chain.source}: {error.reason}", code=error.code) from error
    if previous is None:
        raise InvalidNetworkError(f"{chain.source} has no plugin")
    return previous


def _wait_for(plugin: str, chain: PluginChain, subject: str) -> str:
    return (
        f"{subject} needs plugin {plugin} of {chain.source}, which has not ended (find out on the "
        "node what it waits for, or correct its configuration)"
    )


def _checked(call: PluginCall, output: bytes) -> bytes:
    """Refuse rubbish before it gets into the next plugin's configuration."""
    try:
        return bytes(decode_foreign(output, msgspec.Raw))
    except msgspec.DecodeError as error:
        raise DelegateError(
            f"plugin {call.type} printed no JSON: {error}", code=CniCode.UNDECODABLE
        ) from error


async def delete_calls(
    calls: Sequence[PluginCall],
    *,
    output: bytes = b"",
    runner: PluginRunner,
    environment: Mapping[str, str],
    timeout_s: float,
) -> None:
    """Run DEL of all plugins in reverse, each with its own ADD's configuration.

    It waits for the chain's turn. All are tried; the first error is raised afterwards.

    Args:
        calls: As they were started.
        output: What their ADD answered, where it came to an end: plugins of 0.4.0 and later get it.
        runner: Starts the processes.
        environment: With CNI_IFNAME of the attachment.
        timeout_s: For each plugin.

    Raises:
        DanmError: A plugin failed, or did not end in time.
    """
    first: DanmError | None = None
    async with runner.turn(Verb.DEL):
        for call in reversed(calls):
            try:
                async with asyncio.timeout(timeout_s):
                    with span("plugin DEL", plugin=call.type), effect(Effect.RUN_DEL):
                        await runner.run(
                            _with_output(call, output),
                            verb=Verb.DEL,
                            environment=traced_environment(environment),
                        )
            except TimeoutError:
                error: DanmError = DeadlineExceededError(
                    f"DEL of plugin {call.type} did not end within {timeout_s:g} s"
                )
                first = first or error
            except DanmError as error:
                first = first or error
    if first is not None:
        raise first


async def check_calls(
    calls: Sequence[PluginCall],
    *,
    output: bytes,
    runner: PluginRunner,
    environment: Mapping[str, str],
    timeout_s: float,
) -> None:
    """Run CHECK of all plugins in order, each with its own ADD's configuration and the result.

    Plugins whose configuration is older than CHECK (0.4.0), or whose list forbids it, are left out.

    Args:
        calls: As they were started.
        output: What their ADD answered.
        runner: Starts the processes.
        environment: With CNI_IFNAME of the attachment.
        timeout_s: For each plugin.

    Raises:
        DanmError: The first plugin that finds something, or does not end in time.
    """
    for call in calls:
        if not (call.checks and output and knows(call.config, CniVersion.V0_4_0)):
            continue
        try:
            async with asyncio.timeout(timeout_s), runner.turn(Verb.CHECK):
                await runner.run(
                    _with_output(call, output), verb=Verb.CHECK, environment=environment
                )
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"CHECK of plugin {call.type} did not end within {timeout_s:g} s"
            ) from error


def _with_output(call: PluginCall, output: bytes) -> PluginCall:
    if not output or not knows(call.config, CniVersion.V0_4_0):
        return call
    told = result_for(call.config, output)
    return msgspec.structs.replace(call, config=with_previous(call.config, told))


async def collect_chain(
    chain: PluginChain,
    *,
    valid: Collection[tuple[str, str]],
    runner: PluginRunner,
    environment: Mapping[str, str],
    timeout_s: float,
) -> None:
    """Run GC of all plugins that know it (1.1.0), each with its file's configuration.

    All are tried; the first error is raised afterwards.

    Args:
        chain: Of one network.
        valid: (container id, interface) of everything that is to stay.
        runner: Starts the processes.
        environment: With CNI_PATH.
        timeout_s: For each plugin.

    Raises:
        DanmError: A plugin failed, or did not end in time.
    """
    first: DanmError | None = None
    for plugin in chain.plugins if chain.collects else ():
        config = render(plugin, previous=None, runtime_config={})
        if not knows(config, CniVersion.V1_1_0):
            continue
        call = PluginCall(type=plugin.type, config=with_valid_attachments(config, valid))
        try:
            async with asyncio.timeout(timeout_s), runner.turn(Verb.GC):
                await runner.run(call, verb=Verb.GC, environment=environment)
        except TimeoutError:
            error: DanmError = DeadlineExceededError(
                f"{chain.source}: GC of plugin {plugin.type} did not end within {timeout_s:g} s"
            )
            first = first or error
        except DelegateError as error:
            told = DelegateError(f"{chain.source}: {error.reason}", code=error.code)
            first = first or told
    if first is not None:
        raise first
