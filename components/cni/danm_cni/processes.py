"""Other CNI plugins as processes (DESIGN, step 7).

danmd is large, so nothing is forked: a thread enters the host's mount namespace and starts the
plugin from there by vfork (subprocess). An event loop's own way of starting processes, and nsenter,
cost three times as much, and much more on slow machines.
"""

import asyncio
import math
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Final

from danm_api.errors import DelegateError
from danm_api.telemetry import get_logger
from danm_cni.cni_errors import CniCode
from danm_cni.concurrency import ChainTurns
from danm_cni.delegate import plugin_failure
from danm_cni.delegate_config import require_plain_name
from danm_cni.journal import PluginCall
from danm_cni.netns import resolve_in_root
from danm_cni.request import Verb
from danm_cni.threads import CLONE_NEWNS, Threads, enter_namespace

log = get_logger(__name__)

# A result with hundreds of interfaces has some ten kilobytes; what prints more is broken.
_MAX_OUTPUT_BYTES: Final = 4 << 20
_CHUNK: Final = 1 << 16
# The end of what a plugin writes to standard error says what it did last.
_MAX_LOGGED_BYTES: Final = 2000
# A plugin that has ended and left somebody with its output is not waited for longer. No less than
# what a pipe holds is read at once, so nothing of its own is lost.
_QUIET_S: Final = 0.5

# Tells danmd's own plugins from those of others with the same CNI variables.
_MARK: Final = "DANM_SANDBOX"
_HOST_MOUNTS: Final = "/proc/1/ns/mnt"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """How a plugin ended, and what it printed; None when it was too much."""

    status: int
    output: bytes | None
    complaint: bytes


class _Running:
    """A plugin that may be killed from another thread, before or after it has started."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def started(self, process: subprocess.Popen[bytes]) -> None:
        """Note the process; kill it if that was wanted already."""
        with self._lock:
            self._process = process
            if self._killed:
                _kill_group(process)

    def kill(self) -> None:
        """Kill the plugin with everything in its process group."""
        with self._lock:
            self._killed = True
            # After it was waited for, its number may be another's.
            if self._process is not None and self._process.returncode is None:
                _kill_group(self._process)

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the plugin's end; from then on it cannot be killed any more."""
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            return process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class PluginProcesses:
    """Starts plugins, in the host's mount namespace when danmd is in a container."""

    def __init__(self, *, host_root: Path, in_host_mounts: bool, max_chains: int) -> None:
        """Find executables below ``host_root``; run them here, or in the host's mounts.

        Args:
            host_root: The host's root directory as danmd sees it.
            in_host_mounts: Run them in the mount namespace of process 1.
            max_chains: Chains of ADDs at once, and as many of all other verbs.
        """
        self._host_root = host_root
        self._in_host_mounts = in_host_mounts
        self._turns = ChainTurns(limit=max_chains)
        # Plugins may take long; each has a thread that waits for it, and a chain has one plugin.
        self._threads = Threads(limit=2 * max_chains, name="plugin")

    def require(self, plugin: str, environment: Mapping[str, str]) -> None:
        """Refuse a plugin that is not there.

        Raises:
            DelegateError: CNI_PATH has no executable of that name.
        """
        self._find(plugin, environment.get("CNI_PATH", ""))

    def turn(self, verb: Verb) -> AbstractAsyncContextManager[None]:
        """Return what waits until one chain more may run, and is held while it does."""
        return self._turns.turn(verb)

    async def run(self, call: PluginCall, *, verb: Verb, environment: Mapping[str, str]) -> bytes:
        """Run a plugin and return what it printed.

        Cancelling kills the plugin with everything that it started.

        Raises:
            DelegateError: It is not there, failed, or printed too much.
        """
        executable = self._find(call.type, environment.get("CNI_PATH", ""))
        marked = {_MARK: environment.get("CNI_CONTAINERID", ""), "CNI_COMMAND": str(verb)}
        running = _Running()
        outcome = await self._threads.run(
            lambda: self._execute(running, executable, {**environment, **marked}, call.config),
            cancel=running.kill,
        )
        if outcome.complaint:
            # What danmd raises or answers holds little of it, and nothing where all went well.
            log.info(
                "Plugin wrote to standard error",
                plugin=call.type,
                verb=str(verb),
                container_id=environment.get("CNI_CONTAINERID", ""),
                text=outcome.complaint[-_MAX_LOGGED_BYTES:].decode("utf-8", "replace"),
            )
        if outcome.output is None:
            raise DelegateError(
                f"plugin {call.type} printed more than {_MAX_OUTPUT_BYTES} bytes",
                code=CniCode.DELEGATE,
            )
        if outcome.status != 0:
            raise plugin_failure(call.type, outcome.status, outcome.output, outcome.complaint)
        return outcome.output

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

    def _execute(
        self, running: _Running, executable: str, environment: Mapping[str, str], config: bytes
    ) -> _Outcome:
        if self._in_host_mounts:
            descriptor = os.open(_HOST_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
            try:
                enter_namespace(descriptor, CLONE_NEWNS)
            finally:
                os.close(descriptor)
        try:
            started = subprocess.Popen(
                [executable],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise DelegateError(
                f"plugin {executable} cannot be started: {error.strerror}", code=CniCode.IO_FAILURE
            ) from error
        with started as process:
            running.started(process)
            output, complaint = _talk(process, config)
            if output is None:
                running.kill()
            return _Outcome(status=running.wait(process), output=output, complaint=complaint)

    async def end_strays(self, container_id: str) -> None:
        """Kill the plugins of a sandbox that an earlier danmd started and did not outlive.

        Otherwise their ADD could go on after the DEL that follows.
        """
        mine = f"{_MARK}={container_id}".encode()
        for group in await asyncio.to_thread(_groups_with, mine):
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
                log.warning("Killed stray plugin", container_id=container_id, group=group)


def _talk(process: subprocess.Popen[bytes], config: bytes) -> tuple[bytes | None, bytes]:
    """Write the configuration and read both outputs until they end; None for too much output."""
    assert process.stdin is not None  # noqa: S101  (all three are pipes)
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    read: dict[int, bytearray] = {
        process.stdout.fileno(): bytearray(),
        process.stderr.fileno(): bytearray(),
    }
    todo = memoryview(config)
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            selector.register(stream, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        give_up_s = math.inf
        while selector.get_map():
            # Asked first: what a plugin that has ended wrote is in the pipes, which are read below.
            if _has_ended(process):
                give_up_s = min(give_up_s, time.monotonic() + _QUIET_S)
            ready = selector.select(_QUIET_S)
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    todo = _write_some(process.stdin, todo)
                    if not todo:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                chunk = os.read(key.fd, _CHUNK)
                read[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fileobj)
                if len(read[key.fd]) > _MAX_OUTPUT_BYTES:
                    return None, bytes(read[process.stderr.fileno()])
            if give_up_s < math.inf and (not ready or time.monotonic() >= give_up_s):
                # Whoever holds its output open is not the plugin, and may write for ever.
                break
    output, complaint = read.values()
    return bytes(output), bytes(complaint)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    options = os.WEXITED | os.WNOWAIT | os.WNOHANG
    return os.waitid(os.P_PID, process.pid, options) is not None


def _write_some(stdin: IO[bytes], todo: memoryview) -> memoryview:
    """Return what is left to write; a plugin that ends without reading has its own answer."""
    try:
        return todo[os.write(stdin.fileno(), todo) :]
    except BlockingIOError:
        return todo
    except BrokenPipeError:
        return memoryview(b"")


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
