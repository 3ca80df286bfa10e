"""The unix socket on which the executables call (DESIGN, step 1)."""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

from danm_api.codec.cni import encode_error
from danm_api.errors import DanmError
from danm_api.model.cni import CniError
from danm_api.node_frame import (
    MAX_STDIN_BYTES,
    REQUEST_HEAD_BYTES,
    FrameError,
    decode_request_head,
    encode_answer,
)
from danm_api.telemetry import SpanKind, correlated, extract, get_logger, span
from danm_cni import metrics
from danm_cni.cni_errors import CniCode, CniRequestError, error_object
from danm_cni.failpoints import Effect, effect
from danm_cni.handlers import RequestHandler
from danm_cni.request import (
    Frame,
    Program,
    Verb,
    frame_of,
    requested_version,
)
from danm_cni.steps import on_behalf_of

log = get_logger(__name__)

# An executable sends its request at once; who does not is no executable.
_READ_TIMEOUT_S: Final = 5.0
# SPEC C3.
_DEFAULT_DEADLINE_S: Final = 10.0
# Each is a file descriptor and a task; kubelet starts far fewer Pods at once.
_MAX_CONNECTIONS: Final = 1000
_BACKLOG: Final = 512
# File descriptors may be free again.
_ACCEPT_AGAIN_S: Final = 1.0
# What is counted by its name; a delegate may use any code.
_KNOWN_CODES: Final = frozenset(int(code) for code in CniCode)
_KNOWN_VERBS: Final = frozenset(str(verb) for verb in Verb)


class CniServer:
    """Answers the executables while its ``async with`` block runs."""

    def __init__(
        self,
        path: Path,
        *,
        handlers: Mapping[Program, RequestHandler],
    ) -> None:
        """Listen at a path, and have each executable's requests handled."""
        self._path = path
        self._handlers = handlers
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "CniServer":
        """Listen; only root may connect."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A socket file of an earlier process would make bind fail.
        self._path.unlink(missing_ok=True)
        self._listener.settimeout(0.0)
        before = os.umask(0o177)
        try:
            self._listener.bind(str(self._path))
        finally:
            os.umask(before)
        self._listener.listen(_BACKLOG)
        self._watch_listener()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Accept nobody any more, and answer those who are connected.

        Whoever has connected is answered, accepted or not; who comes later finds no socket and
        waits for the danmd that follows (docs/decisions/0021).
        """
        self._path.unlink(missing_ok=True)
        asyncio.get_running_loop().remove_reader(self._listener)
        self._accept()
        self._listener.close()
        if self._connections:
            connected, since_s = len(self._connections), time.monotonic()
            await asyncio.wait(self._connections)
            took_ms = round((time.monotonic() - since_s) * 1000)
            log.info("Answered the last requests", requests=connected, took_ms=took_ms)

    def _watch_listener(self) -> None:
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Accept all who are waiting.

        Not asyncio's server: when it is closed, it cuts off those whom it has not accepted yet.
        """
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("Cannot accept", error=str(error))
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._listener)
                loop.call_later(_ACCEPT_AGAIN_S, self._watch_listener)
                return
            task = asyncio.create_task(self._connected(connection))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _connected(self, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        try:
            if len(self._connections) <= _MAX_CONNECTIONS:
                await self._serve(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                frame = await _read_frame(reader)
        except (TimeoutError, asyncio.IncompleteReadError, FrameError, OSError) as error:
            log.warning("Unreadable request", error=str(error))
            return
        status, output = await self._answer(frame)
        try:
            with effect(Effect.ANSWER):
                writer.write(encode_answer(status=status, stdout=output))
                await writer.drain()
        except OSError as error:
            log.warning("Nobody waits for the answer", error=str(error))
            if status == 0 and frame.environment.get("CNI_COMMAND") == Verb.ADD:
                # The runtime was told a failure, so it will never use what was made.
                await self._handler(frame).abandon(frame)

    async def _answer(self, frame: Frame) -> tuple[int, bytes]:
        verb = frame.environment.get("CNI_COMMAND", "")
        verb = verb if verb in _KNOWN_VERBS else "other"
        if frame.program is Program.FAKEIPAM:
            verb = f"fakeipam {verb}"
        container_id = frame.environment.get("CNI_CONTAINERID", "")
        parent = extract({"traceparent": frame.environment.get("TRACEPARENT", "")})
        with (
            correlated([container_id]),
            on_behalf_of(verb),
            span(
                f"CNI {verb}", parent=parent, kind=SpanKind.SERVER, container_id=container_id
            ) as traced,
        ):
            status, output = await self._answer_verb(frame, verb)
            traced.set_attribute("cni.status", status)
            return status, output

    async def _answer_verb(self, frame: Frame, verb: str) -> tuple[int, bytes]:
        started = time.monotonic()
        output, failure = b"", None
        try:
            frame.require_readable()
            deadline_s = frame.deadline_s or started + _DEFAULT_DEADLINE_S
            output = await self._handler(frame).answer(frame, deadline_s=deadline_s)
        except DanmError as error:
            failure = error_object(error)
        except OSError as error:
            failure = CniError(code=CniCode.IO_FAILURE, message=f"danmd: {error}")
        except Exception as error:
            # The runtime is owed an answer.
            log.exception("Request failed", verb=verb, error=error)
            failure = CniError(
                code=CniCode.INTERNAL,
                message="danmd failed internally; the log of this node's danm-cni Pod says why",
            )
        if failure is not None:
            code = int(failure.code)
            metrics.ERRORS.labels(verb, str(code) if code in _KNOWN_CODES else "other").inc()
            log.warning(
                "Refused request",
                verb=verb,
                container_id=frame.environment.get("CNI_CONTAINERID", ""),
                code=code,
                error=failure.message,
            )
            output = encode_error(failure, requested_version(frame.stdin))
        result = "ok" if failure is None else "error"
        metrics.REQUESTS.labels(verb, result).observe(time.monotonic() - started)
        return (0 if failure is None else 1), output

    def _handler(self, frame: Frame) -> RequestHandler:
        handler = self._handlers.get(frame.program)
        if handler is None:
            raise CniRequestError(
                f"this node's danmd does not serve {frame.program.name.lower()}: with --ipam-only "
                "it serves fakeipam alone; install all of DANM to use its networks",
                code=CniCode.NOT_AVAILABLE,
            )
        return handler


async def _read_frame(reader: asyncio.StreamReader) -> Frame:
    head = await reader.readexactly(REQUEST_HEAD_BYTES)
    program, deadline_ns, environment_length = decode_request_head(head)
    environment = await reader.readexactly(environment_length)
    stdin_length = int.from_bytes(await reader.readexactly(4), "big")
    if stdin_length > MAX_STDIN_BYTES:
        raise FrameError(f"standard input of {stdin_length} bytes is too large")
    stdin = await reader.readexactly(stdin_length)
    return frame_of(program=program, deadline_ns=deadline_ns, environment=environment, stdin=stdin)
