"""What a danmd tries before it takes another one's place (docs/decisions/0021).

Whatever would end it in its turn is to end it now: that one still serves, and serves on. What it
has on the disk is read, and nothing of that is changed.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.errors import DanmError
from danm_api.kube.backoff import delay_after
from danm_api.kube.informer import Informer
from danm_api.telemetry import get_logger
from danm_cni.allocation_journal import AllocationRecord
from danm_cni.attempts import AttemptCounter
from danm_cni.config import Config
from danm_cni.durable import records_under, try_writing
from danm_cni.installation import EXECUTABLES, FAKEIPAM_ALONE, Installation
from danm_cni.journal import SandboxRecord

log = get_logger(__name__)

# A disk may have room for nothing and still take an empty file.
_TRIAL: Final = bytes(4096)
# One record may be spoilt by a disk or a hand, and is set aside; so it is in the one danmd's turn
# as in the other's.
_TOLERATED: Final = 1
_BASE_DELAY_S: Final = 0.1
_MAX_DELAY_S: Final = 10.0


async def rehearse(
    config: Config, *, installation: Installation, to_read: Sequence[Informer[Any]]
) -> None:
    """Try what this danmd will do in its turn.

    Args:
        config: Its settings.
        installation: What it puts onto the host.
        to_read: What it has not read yet.

    Raises:
        DanmError: The API server refuses what it has to read, or the journal is in a form that it
            does not know.
        OSError: The disk does not let it read or write.
    """
    try:
        await asyncio.to_thread(_try_disk, config, installation)
        for informer in to_read:
            await _try_reading(informer)
    except (DanmError, OSError) as error:
        log.warning("Cannot take the other danmd's place, which goes on serving", error=str(error))
        raise


def _try_disk(config: Config, installation: Installation) -> None:
    paths = config.paths
    _require_readable(paths.journal, SandboxRecord)
    _require_readable(paths.allocations, AllocationRecord)
    AttemptCounter(paths.attempts, clock_ms=lambda: 0).bound()
    for directory in (paths.state, paths.run):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try_writing(directory / "rehearsal", _TRIAL)
    if config.install:
        installation.rehearse(
            FAKEIPAM_ALONE if config.ipam_only else EXECUTABLES, configuration=not config.ipam_only
        )


def _require_readable(directory: Path, kind: type[SandboxRecord] | type[AllocationRecord]) -> None:
    """Refuse a journal of which most is in a form that this release does not know.

    All of it would be set aside, and what Pods have would be nobody's. The danmd that serves has
    read it, or written it.
    """
    known, unknown = 0, []
    for path in records_under(directory):
        try:
            decode_foreign(path.read_bytes(), kind)
        except FileNotFoundError:
            # That one is done with it.
            continue
        except (msgspec.DecodeError, OSError) as error:
            log.warning("Unreadable journal record", path=str(path), error=str(error))
            unknown.append(path.name)
        else:
            known += 1
    if len(unknown) > max(known, _TOLERATED):
        raise DanmError(
            f"{len(unknown)} of {len(unknown) + known} records of {directory} cannot be read, such "
            f"as {unknown[0]}: the danmd that serves knows a form of them that this one does not; "
            "go back to that one's release"
        )


async def _try_reading(informer: Informer[Any]) -> None:
    failures = 0
    while True:
        try:
            await informer.try_reading()
        except DanmError as error:
            if not error.transient:
                raise
            failures += 1
            plural = informer.resource.plural
            log.warning("Not read yet", resource=plural, error=error.reason)
            await asyncio.sleep(delay_after(failures, base_s=_BASE_DELAY_S, max_s=_MAX_DELAY_S))
        else:
            return
