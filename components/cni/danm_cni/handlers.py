"""From the executables' frames to what does the work: one handler for each executable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from danm_cni.allocations import Allocations
from danm_cni.cni_errors import CniCode, CniRequestError
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether danmd can serve.

    Attributes:
        unready: Why it cannot serve ADDs now, or None when it can.
        was_ready: Whether it has been ready since the node booted.
    """

    unready: Callable[[], str | None]
    was_ready: Callable[[], bool]

    def require(self, code: CniCode) -> None:
        """Refuse what cannot be served yet.

        Raises:
            CniRequestError: danmd is still starting.
        """
        why = self.unready()
        if why is not None:
            raise CniRequestError(f"danmd of this node is still starting: {why}", code=code)

    def require_once(self) -> None:
        """Refuse STATUS until danmd has once been ready since the node booted.

        A runtime that sees STATUS fail makes the whole node NotReady, and its Pods leave.

        Raises:
            CniRequestError: It has not been.
        """
        if not self.was_ready():
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
                self.readiness.require(CniCode.TRY_AGAIN)
                return await self.sandboxes.add(request, deadline_s=deadline_s)
            case Verb.DEL:
                informed = self.readiness.unready() is None
                await self.sandboxes.delete(request, deadline_s=deadline_s, informed=informed)
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
        await self.sandboxes.abandon(decode_request(frame.environment, frame.stdin))


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationRequests:
    """Answers `fakeipam` where its configuration names a DanmNet (SPEC F2)."""

    allocations: Allocations
    readiness: Readiness

    async def answer(self, frame: Frame, *, deadline_s: float) -> bytes:
        """Do what is asked and return what `fakeipam` is to print."""
        request = decode_ipam_request(frame.environment, frame.stdin)
        match request.call.verb:
            case Verb.ADD:
                self.readiness.require(CniCode.TRY_AGAIN)
                return await self.allocations.add(request, deadline_s=deadline_s)
            case Verb.DEL:
                await self.allocations.delete(request, deadline_s=deadline_s)
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
