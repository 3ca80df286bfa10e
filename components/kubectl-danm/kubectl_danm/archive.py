"""Writes the archive for a bug report: all of it, or none."""

import io
import os
import tarfile
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from kubectl_danm.bundle.censor import Censor
from kubectl_danm.bundle.shapes import censored

# For its owner alone: no secret is in it, and yet it tells of a cluster.
_MODE = 0o600


class Archive:
    """A tar.gz that appears under its name when it is whole; an error leaves nothing behind.

    Attributes:
        files: The paths in it.
    """

    def __init__(self, path: Path, *, top: str, written: datetime, censor: Censor) -> None:
        """Prepare.

        Args:
            path: Where it is to be.
            top: The one directory in it.
            written: The time of its files.
            censor: All that is added goes through it, wherever it comes from.
        """
        self.files: list[str] = []
        self._path = path
        self._top = top
        self._written = int(written.timestamp())
        self._censor = censor

    def __enter__(self) -> Self:
        """Begin.

        Raises:
            OSError: Nothing can be written there.
        """
        # Made for the owner alone, and beside its later place, so that it can take it at once.
        descriptor, partial = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        os.close(descriptor)
        self._partial = Path(partial)
        try:
            self._tar = tarfile.open(partial, "w:gz")  # (closed in __exit__)
        except BaseException:
            self._partial.unlink()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give it its name, or take it away.

        Raises:
            OSError: The rest of it cannot be written.
        """
        try:
            if error is None:
                self._tar.close()
                self._partial.replace(self._path)
            else:
                # What is left to write is not wanted; the error of the block says more.
                with suppress(OSError):
                    self._tar.close()
        finally:
            self._partial.unlink(missing_ok=True)

    def add_text(self, path: str, text: str) -> None:
        """Add a text; ``path`` is below the one directory."""
        self._add(path, self._censor.text(text))

    def add_json(self, path: str, value: object) -> None:
        """Add a value as JSON; text by text, so that it stays JSON."""
        clean = censored(msgspec.to_builtins(value), self._censor)
        self._add(path, msgspec.json.format(msgspec.json.encode(clean), indent=1).decode() + "\n")

    def _add(self, path: str, text: str) -> None:
        content = text.encode()
        info = tarfile.TarInfo(f"{self._top}/{path}")
        info.size = len(content)
        info.mtime = self._written
        info.mode = _MODE
        self._tar.addfile(info, io.BytesIO(content))
        self.files.append(path)
