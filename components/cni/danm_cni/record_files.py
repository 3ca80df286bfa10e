"""Records of a journal, one a file: what cannot be read stops nobody (DESIGN, "An ADD", step 5)."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.telemetry import get_logger

log = get_logger(__name__)

T = TypeVar("T")

# A file that holds no record is kept for people, out of the way.
_UNREADABLE_SUFFIX: Final = ".unreadable"


def readable_records(paths: Iterable[Path], kind: type[T]) -> Iterator[T]:
    """Read records, and tell of those that cannot be read.

    The comparison with the API objects and the namespaces makes up for what they would have told.

    Args:
        paths: Their files.
        kind: What they hold. A file with anything else is set aside: renames are atomic, so this is
            a broken disk or a hand. One that the disk does not give stays for the next danmd.
    """
    for path in paths:
        try:
            record = decode_foreign(path.read_bytes(), kind)
        except msgspec.DecodeError as error:
            log.exception("Set unreadable record aside", path=str(path), error=error)
            _set_aside(path)
        except OSError as error:
            log.exception("Record cannot be read", path=str(path), error=error)
        else:
            yield record


def _set_aside(path: Path) -> None:
    try:
        path.rename(path.with_name(path.name + _UNREADABLE_SUFFIX))
    except OSError as error:
        log.warning("Record cannot be set aside", path=str(path), error=str(error))
