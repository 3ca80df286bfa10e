"""DELs that nobody could finish at once: files that the `danm` executable, or danmd itself, leaves.

A tombstone of `danm` beats every later ADD of its container id (DESIGN, "An ADD", step 1).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from danm_api.names import ContainerId
from danm_api.node_frame import FrameError, decode_request, encode_request
from danm_api.node_tombstone import attachment_name
from danm_api.telemetry import get_logger
from danm_cni.cni_errors import CniRequestError
from danm_cni.durable import TEMPORARY_PREFIX, remove_durably, write_atomically
from danm_cni.metrics import TOMBSTONES
from danm_cni.request import CniRequest, Program, frame_of
from danm_cni.request import decode_request as decode_cni_request

log = get_logger(__name__)

# Executables write while danmd is away or just starting, and are not to lose what they write. No
# write takes so long, and a few small files are in no hurry.
_ABANDONED_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """One DEL to finish."""

    path: Path
    request: CniRequest


class Tombstones:
    """The directory of DELs to finish that one executable leaves."""

    def __init__(
        self,
        directory: Path,
        *,
        program: Program = Program.DANM,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Create the directory.

        Args:
            directory: Where both write.
            program: Whose DELs are left there.
            now: Seconds since the epoch, as the disk's files have them.
        """
        self._directory = directory
        self._program = program
        self._now = now
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def has(self, container_id: ContainerId) -> bool:
        """Say whether a container's DEL waits; looks at the disk, where executables write."""
        return (self._directory / container_id).exists()

    def path(self, request: CniRequest) -> Path:
        """Return where the DEL is that a request is, or comes after."""
        if self._program is Program.FAKEIPAM:
            return self._directory / attachment_name(request.container_id, request.interface)
        return self._directory / request.container_id

    async def put(self, request: CniRequest) -> None:
        """Leave a DEL for later, durably.

        Raises:
            OSError: The disk refuses it.
        """
        frame = encode_request(
            program=self._program,
            deadline_ns=0,
            environment=b"\0".join(
                f"{key}={value}".encode() for key, value in request.environment.items()
            ),
            stdin=request.config,
        )
        await asyncio.to_thread(write_atomically, self.path(request), frame)

    async def remove(self, path: Path) -> None:
        """The DEL is finished."""
        await asyncio.to_thread(remove_durably, path)

    async def waiting(self) -> Sequence[Tombstone]:
        """Return the DELs to finish; what is none is removed, if the disk allows it.

        Raises:
            OSError: The directory cannot be read.
        """
        found = []
        for path in await asyncio.to_thread(lambda: sorted(self._directory.iterdir())):
            if path.name.startswith(TEMPORARY_PREFIX):
                self._remove_if_abandoned(path)
                continue
            try:
                found.append(Tombstone(path=path, request=_read(path)))
            except (FrameError, CniRequestError) as error:
                log.exception("Unreadable tombstone", name=path.name, error=error)
                with suppress(OSError):
                    path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                # The others are not to wait for a file that a broken disk, or a hand, has spoilt.
                log.warning("Tombstone cannot be read", name=path.name, error=str(error))
        TOMBSTONES.labels(self._program.name.lower()).set(len(found))
        return found

    def _remove_if_abandoned(self, temporary: Path) -> None:
        """Remove what a crash has cut off, and never what an executable is writing now."""
        with suppress(OSError):
            if temporary.stat().st_mtime < self._now() - _ABANDONED_S:
                temporary.unlink()
                log.info("Removed an unfinished tombstone", name=temporary.name)


def _read(path: Path) -> CniRequest:
    program, deadline_ns, environment, stdin = decode_request(path.read_bytes())
    frame = frame_of(program=program, deadline_ns=deadline_ns, environment=environment, stdin=stdin)
    return decode_cni_request(frame.environment, frame.stdin)
