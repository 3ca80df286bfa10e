"""Which CNI configuration is the fallback, that of Pods that ask for nothing (SPEC B2).

Without the administrator's choice it is the one that was the node's first when DANM came, which is
remembered: what appears later does not take over running nodes by its name.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from danm_api.codec.json_text import decode_foreign
from danm_api.telemetry import get_logger
from danm_cni.durable import write_atomically
from danm_cni.plugin_loading import ConfigDirectory, ConfigFile

log = get_logger(__name__)

# What an administrator writes to have no fallback.
NO_FALLBACK: Final = "none"
# What log lines name to who wants another one.
_SETTING: Final = "--fallback-config (DANM_FALLBACK_CONFIG)"
# A plugin's DaemonSet that starts anew may remove its file and write it again. Pods wait so long
# for it: one that got another network would keep that for its life.
_RETURN_S: Final = 60.0
# A plugin's image may have to be pulled before it writes its file again. After this the file is
# gone for good, as when a cluster has changed its plugin.
_GONE_S: Final = 1800.0


class _Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was the node's first when DANM came."""

    file: str


class FallbackChoice:
    """Chooses the fallback among the files of the node, and remembers it."""

    def __init__(
        self,
        directory: ConfigDirectory,
        *,
        named: str | None,
        memory: Path,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Choose nothing yet.

        Args:
            directory: The runtime's.
            named: The administrator's choice, if any: a file as the host names it, or "none".
            memory: The file that remembers.
            now: Seconds since any time.
        """
        self._directory = directory
        self._named = named
        self._memory = memory
        self._now = now
        # Since when the remembered file is missing; None while it is there.
        self._missing_since_s: float | None = None

    @property
    def named(self) -> ConfigFile | None:
        """Return the file that the administrator names, which may be outside of the directory."""
        if not self._named or self._named == NO_FALLBACK:
            return None
        return self._directory.file_at(self._named)

    def find(self) -> ConfigFile | None:
        """Return the fallback's configuration, or None when there is none.

        While its file is missing for a moment, it is returned all the same, and whoever reads it
        says so.
        """
        if self._named:
            return self.named
        remembered = self._remembered()
        missing_s = self.look_after()
        if remembered is not None and missing_s < _RETURN_S:
            return self._directory.file(remembered)
        chosen = next(iter(self._directory.names()), None)
        if chosen is None:
            return None
        if remembered is not None and missing_s < _GONE_S:
            log.warning(
                "Fallback network is missing, and another one is used until it is back",
                name=remembered,
                instead=chosen,
                missing_s=round(missing_s),
                setting=_SETTING,
            )
            return self._directory.file(chosen)
        self._remember(chosen, instead_of=remembered)
        return self._directory.file(chosen)

    def look_after(self) -> float:
        """Return for how long the remembered file has been missing, in seconds.

        When it goes and comes back is seen here, and no other is chosen.
        """
        remembered = self._remembered()
        if remembered is None or self._directory.file(remembered).path.is_file():
            if self._missing_since_s is not None:
                log.info("Fallback network is back", name=remembered)
            self._missing_since_s = None
            return 0.0
        now_s = self._now()
        # ADDs and the look at the files are in two threads.
        since_s = self._missing_since_s
        if since_s is None:
            since_s = self._missing_since_s = now_s
            log.warning("Fallback network is missing", name=remembered, setting=_SETTING)
        return now_s - since_s

    def tell_earlier(self) -> None:
        """Tell of a configuration that would have been the fallback if it had been there before.

        That of the cluster's plugin, say, on a node that got DANM first.
        """
        remembered = self._remembered()
        first = next(iter(self._directory.names()), None)
        if remembered is not None and first is not None and first < remembered:
            log.info(
                "A CNI configuration that came later would be the first",
                name=first,
                fallback=remembered,
                setting=_SETTING,
            )

    def _remember(self, chosen: str, *, instead_of: str | None) -> None:
        self._memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._memory, msgspec.json.encode(_Remembered(file=chosen)))
        if instead_of is None:
            log.info("Chose fallback network", name=chosen, setting=_SETTING)
            return
        self._missing_since_s = None
        log.warning(
            "Chose another fallback network for one that is gone",
            name=chosen,
            gone=instead_of,
            setting=_SETTING,
        )

    def _remembered(self) -> str | None:
        """Return the name of the remembered file; None where the administrator has chosen."""
        if self._named:
            return None
        try:
            return decode_foreign(self._memory.read_bytes(), _Remembered).file
        except (FileNotFoundError, msgspec.DecodeError):
            return None
