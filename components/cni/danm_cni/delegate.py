"""Running other CNI plugins (SPEC E; DESIGN, step 7)."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from danm_api.codec.cni import decode_error
from danm_api.errors import DanmError, DeadlineExceededError, DelegateError, InvalidNetworkError
from danm_api.telemetry import get_logger
from danm_cni.cni_errors import CniCode
from danm_cni.delegate_config import PluginChain, file_chain, render, require_plain_name
from danm_cni.edges import PluginRunner
from danm_cni.journal import PluginCall
from danm_cni.netns import resolve_in_root
from danm_cni.request import Verb

log = get_logger(__name__)

# A result with hundreds of interfaces has some ten kilobytes; what prints more is broken.
_MAX_OUTPUT_BYTES: Final = 4 << 20
# Enough of a plugin's complaint to understand it.
_MAX_ERROR_TEXT: Final = 2000
_MAX_CONFIG_BYTES: Final = 1 << 20
_CHUNK: Final = 1 << 16

# Tells danmd's own plugins from those of others with the same CNI variables.
_MARK: Final = "DANM_SANDBOX"

# Static types and the fallback are looked up by these names, the list first (SPEC E2).
_CONFIG_SUFFIXES: Final = (".conflist", ".conf")


def load_static_chain(directory: Path, network_type: str) -> PluginChain:
    """Read the configuration of a static type.

    Raises:
        InvalidNetworkError: The name is not plain, there is no such file, or it is not usable.
    """
    require_plain_name(network_type)
    for suffix in _CONFIG_SUFFIXES:
        path = directory / f"{network_type}{suffix}"
        if path.exists():
            return load_chain(path)
    raise InvalidNetworkError(
        f"NetworkType {network_type!r}: this node's CNI configuration directory has neither "
        f"{network_type}.conflist nor {network_type}.conf; install that plugin's configuration"
    )


def load_chain(path: Path) -> PluginChain:
    """Read a configuration file.

    Raises:
        InvalidNetworkError: It cannot be read, or is not usable.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise InvalidNetworkError(f"{path.name} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_CONFIG_BYTES:
        raise InvalidNetworkError(f"{path.name} has more than {_MAX_CONFIG_BYTES} bytes")
    return file_chain(data, source=path.name)


def plugin_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a delegate inherits of the runtime's environment (SPEC E3)."""
    return {
        key: value for key, value in environment.items() if key.startswith("CNI_") or key == "PATH"
    }


def _groups_with(entry: bytes) -> set[int]:
    """Return the process groups whose processes have a line in their environment."""
    groups = set()
    for directory in Path("/proc").iterdir():
        if not directory.name.isdecimal():
            continue
        # A process may end, or become another user's, while it is looked at.
        with suppress(OSError):
            if entry in (directory / "environ").read_bytes().split(b"\0"):
                groups.add(os.getpgid(int(directory.name)))
    return groups - {os.getpgrp()}


class PluginProcesses:
    """Starts plugins as processes, in the host's mount namespace when danmd is in a container."""

    def __init__(self, *, host_root: Path, in_host_mounts: bool) -> None:
        """Find executables below ``host_root``; run them here, or in the host's mounts."""
        self._host_root = host_root
        self._prefix = ("nsenter", "-t", "1", "-m", "--") if in_host_mounts else ()

    async def run(self, call: PluginCall, *, verb: Verb, environment: Mapping[str, str]) -> bytes:
        """Run a plugin and return what it printed.

        Cancelling kills the plugin with everything that it started.

        Raises:
            DelegateError: It is not there, failed, or printed too much.
        """
        executable = self._find(call.type, environment.get("CNI_PATH", ""))
        marked = {_MARK: environment.get("CNI_CONTAINERID", ""), "CNI_COMMAND": verb}
        process = await self._start(executable, {**environment, **marked})
        try:
            output, complaint = await _communicate(process, call.config)
        except _TooMuchOutputError as error:
            raise DelegateError(
                f"plugin {call.type} printed more than {_MAX_OUTPUT_BYTES} bytes",
                code=CniCode.DELEGATE,
            ) from error
        finally:
            await _end(process)
        if process.returncode != 0:
            raise _failure(call.type, process.returncode, output, complaint)
        return output

    async def end_strays(self, container_id: str) -> None:
        """Kill the plugins of a sandbox that an earlier danmd started and did not outlive.

        Otherwise their ADD could go on after the DEL that follows.
        """
        mine = f"{_MARK}={container_id}".encode()
        for group in await asyncio.to_thread(_groups_with, mine):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
                log.warning("Killed stray plugin", container_id=container_id, group=group)

    async def _start(
        self, executable: str, environment: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self._prefix,
                executable,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # asyncio itself would kill the plugin alone, and not what it has started by now.
            await _end(await starting)
            raise

    def _find(self, plugin: str, cni_path: str) -> str:
        require_plain_name(plugin)
        for directory in cni_path.split(os.pathsep):
            candidate = os.path.join(directory, plugin)  # noqa: PTH118  (a path of the host)
            if directory and resolve_in_root(self._host_root, candidate).is_file():
                return candidate
        raise DelegateError(
            f"plugin {plugin} is not in CNI_PATH ({cni_path or 'empty'}) of this node; "
            "install it there",
            code=CniCode.INVALID_CONFIG,
        )


class _TooMuchOutputError(Exception):
    """A plugin printed without end."""


async def _communicate(process: asyncio.subprocess.Process, config: bytes) -> tuple[bytes, bytes]:
    assert process.stdin is not None  # noqa: S101  (all three are pipes)
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    try:
        async with asyncio.TaskGroup() as tasks:
            output = tasks.create_task(_read(process.stdout, _MAX_OUTPUT_BYTES))
            complaint = tasks.create_task(_read(process.stderr, _MAX_OUTPUT_BYTES))
            # A plugin that ends without reading its input has its own answer.
            with suppress(BrokenPipeError, ConnectionResetError):
                process.stdin.write(config)
                await process.stdin.drain()
            process.stdin.close()
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    await process.wait()
    return output.result(), complaint.result()


async def _read(stream: asyncio.StreamReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await stream.read(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise _TooMuchOutputError
    return bytes(data)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a plugin that has not ended, with everything in its process group, and reap it."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(_reap(process))


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Read the pipes to their ends, which closes them; nobody of the group writes any more."""
    streams = [each for each in (process.stdout, process.stderr) if each is not None]
    await asyncio.gather(*(_discard(each) for each in streams), process.wait())


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(_CHUNK):
        continue


def _failure(plugin: str, status: int | None, output: bytes, complaint: bytes) -> DelegateError:
    told = decode_error(output)
    if told is not None:
        details = f" ({told.details})" if told.details else ""
        return DelegateError(f"plugin {plugin}: {told.message}{details}", code=told.code)
    text = (complaint or output).decode("utf-8", "replace").strip()[-_MAX_ERROR_TEXT:]
    how = (
        f"was killed by signal {-status}"
        if status is not None and status < 0
        else f"exited with {status}"
    )
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
) -> bytes:
    """Run ADD of all plugins, each with the result of the one before it.

    Args:
        chain: What to run.
        runner: Starts the processes.
        note: Makes durable that a plugin is about to be started.
        environment: With CNI_IFNAME of the attachment.
        runtime_config: From the runtime.

    Returns:
        The last plugin's result.

    Raises:
        DelegateError: A plugin failed; those before it are to be undone from what was noted.
    """
    previous: bytes | None = None
    for plugin in chain.plugins:
        config = render(plugin, previous=previous, runtime_config=runtime_config)
        call = PluginCall(type=plugin.type, config=config)
        await note(call)
        try:
            output = await runner.run(call, verb=Verb.ADD, environment=environment)
        except DelegateError as error:
            raise DelegateError(f"{chain.source}: {error.reason}", code=error.code) from error
        previous = _checked(chain, call, output)
    if previous is None:
        raise InvalidNetworkError(f"{chain.source} has no plugin")
    return previous


def _checked(chain: PluginChain, call: PluginCall, output: bytes) -> bytes:
    """Refuse rubbish before it gets into the next plugin's configuration."""
    try:
        return bytes(msgspec.json.decode(output, type=msgspec.Raw))
    except msgspec.DecodeError as error:
        raise DelegateError(
            f"{chain.source}: plugin {call.type} printed no JSON: {error}", code=CniCode.UNDECODABLE
        ) from error


async def delete_calls(
    calls: Sequence[PluginCall],
    *,
    runner: PluginRunner,
    environment: Mapping[str, str],
    timeout_s: float,
) -> None:
    """Run DEL of all plugins in reverse, each with its own ADD's configuration.

    All are tried; the first error is raised afterwards.

    Raises:
        DanmError: A plugin failed, or did not end in time.
    """
    first: DanmError | None = None
    for call in reversed(calls):
        try:
            async with asyncio.timeout(timeout_s):
                await runner.run(call, verb=Verb.DEL, environment=environment)
        except TimeoutError:
            error: DanmError = DeadlineExceededError(
                f"DEL of plugin {call.type} did not end within {timeout_s:g} s"
            )
            first = first or error
        except DanmError as error:
            first = first or error
    if first is not None:
        raise first
