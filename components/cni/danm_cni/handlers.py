"""From the executables' frames to what does the work: one handler for each executable."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from danm_cni.allocations import Allocations
from danm_cni.cni_errors import CniCode, CniRequestError
from danm_cni.delegate_addresses import DelegateAddresses
from danm_cni.durable import write_atomically
from danm_cni.ipam_request import decode_ipam_request
from danm_cni.request import Frame, Verb, decode_request
from danm_cni.sandbox import Sandboxes


class RequestHandler(Protocol):
    """Answers one executable's requests."""

    async def answer(self, frame: Frame, *, deadline_s: float) -> bytes:
        """Do what is asked and return what the executable is to print.

        Raises:
            DanmError: What went wrong.
        """
        ...

    async def abandon(self, frame: Frame) -> None:
        """Undo an ADD whose answer nobody took: the runtime was told a failure."""
        ...


class Readiness:
    """Whether danmd can serve."""

    def __init__(self, marker: Path) -> None:
        """Begin as not ready.

        Args:
            marker: A file that is there since danmd was first ready after the node's boot.
        """
        self._marker = marker
        self._ended = False
        # Nobody waits (any more): it is ready, or ends.
        self._settled = asyncio.Event()
        self.reason: str | None = "the API server has not been read yet"

    @property
    def was_set(self) -> bool:
        """Whether this danmd, or one before it, has been ready since the node booted."""
        return self._marker.exists()

    def set(self) -> None:
        """Be ready."""
        write_atomically(self._marker, b"")
        self.reason = None
        self._settled.set()

    def refuse(self, reason: str) -> None:
        """Say why it is not ready."""
        self.reason = reason
        if not self._ended:
            self._settled.clear()

    def end(self) -> None:
        """Let go who waits, and who comes still: this danmd is told to stop.

        One that has been ready goes on serving those who have connected.
        """
        self._ended = True
        self._settled.set()

    async def wait(self, *, until_s: float) -> None:
        """Wait for a danmd that is starting, since the runtime would wait longer to try again.

        Args:
            until_s: When the request's time is over, by the monotonic clock.

        Raises:
            CniRequestError: danmd is still starting then, or ends before it is ready.
        """
        if self.reason is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(until_s - time.monotonic()):
                await self._settled.wait()
        self.require(CniCode.TRY_AGAIN)

    def require(self, code: CniCode) -> None:
        """Refuse what cannot be served yet.

        Raises:
            CniRequestError: danmd is still starting, or ends before it is ready.
        """
        if self.reason is None:
            return
        if self._ended:
            raise CniRequestError(
                f"danmd of this node was stopped before it could serve ({self.reason}); the "
                "runtime will try again, with the danmd that comes next",
                code=code,
            )
        raise CniRequestError(f"danmd of this node is still starting: {self.reason}", code=code)

    def require_once(self) -> None:
        """Refuse STATUS until danmd has once been ready since the node booted.

        A runtime that sees STATUS fail makes the whole node NotReady, and its Pods leave.

        Raises:
            CniRequestError: It has not been.
        """
        if not self.was_set:
            self.require(CniCode.NOT_AVAILABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequests:
    """Answers `danm`."""

    sandboxes: Sandboxes
    readiness: Readiness

    async def answer(self, frame: Frame, *, deadline_s: float) -> bytes:
        """Do what is asked and return what `danm` is to print."""
        request = decode_request(frame.environment, frame.stdin)
        match request.verb:
            case Verb.ADD:
                await self.readiness.wait(until_s=deadline_s)
                return await self.sandboxes.add(request, deadline_s=deadline_s)
            case Verb.DEL:
                informed = self.readiness.reason is None
                await self.sandboxes.ending.delete(
                    request, deadline_s=deadline_s, informed=informed
                )
            case Verb.CHECK:
                await self.sandboxes.check(request, deadline_s=deadline_s)
            case Verb.GC:
                self.readiness.require(CniCode.TRY_AGAIN)
                await self.sandboxes.collect(request)
            case Verb.STATUS:
                self.readiness.require_once()
        return b""

    async def abandon(self, frame: Frame) -> None:
        """Remove what an ADD made."""
        await self.sandboxes.ending.abandon(decode_request(frame.environment, frame.stdin))


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRequests:
    """Answers `fakeipam` where its configuration names a DanmNet (SPEC F2)."""

    allocations: Allocations
    delegates: DelegateAddresses
    readiness: Readiness

    async def answer(self, frame: Frame, *, deadline_s: float) -> bytes:
        """Do what is asked and return what `fakeipam` is to print."""
        request = decode_ipam_request(frame.environment, frame.stdin)
        match request.call.verb:
            case Verb.ADD:
                await self.readiness.wait(until_s=deadline_s)
                return await self.delegates.add(request, deadline_s=deadline_s)
            case Verb.DEL:
                await self.delegates.delete(request, deadline_s=deadline_s)
            case Verb.CHECK:
                await self.allocations.check(request)
            case Verb.GC:
                await self.allocations.collect(request)
            case Verb.STATUS:
                self.readiness.require_once()
        return b""

    async def abandon(self, frame: Frame) -> None:
        """Give back what an ADD got."""
        await self.allocations.abandon(decode_ipam_request(frame.environment, frame.stdin))
