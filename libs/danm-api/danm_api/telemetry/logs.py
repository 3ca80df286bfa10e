"""Structured logs: a constant message plus keys, on standard error.

    log = get_logger(__name__)
    log.info("Deleted DanmEp", namespace="example-vnf", name="...")

Machines get one JSON object a line, people on a terminal a short coloured line. Records of other
libraries go the same way. Inside a span the trace's id is added, and inside of ``correlated`` the
request's.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from danm_api.telemetry.correlation import shown_request_ids
from danm_api.telemetry.traces import current_trace_id

# The attribute of a LogRecord that carries the keys of a call.
_KEYS: Final = "danm_keys"
_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_RESET: Final = "\x1b[0m"

# Libraries that log each request at INFO.
_CHATTY: Final = ("aiohttp.access", "urllib3", "opentelemetry")


class Logger:
    """Writes constant messages with keys; ``bind`` fixes some of the keys."""

    def __init__(self, name: str, keys: dict[str, object] | None = None) -> None:
        """Write under ``name``; every call adds ``keys``."""
        self._logger = logging.getLogger(name)
        self._keys = keys or {}

    def bind(self, **keys: object) -> "Logger":
        """Return a logger whose calls all carry these keys."""
        return Logger(self._logger.name, {**self._keys, **keys})

    def debug(self, message: str, /, **keys: object) -> None:
        """Say what only the one who searches an error wants to know."""
        self._write(logging.DEBUG, message, keys)

    def info(self, message: str, /, **keys: object) -> None:
        """Say what changed in the world."""
        self._write(logging.INFO, message, keys)

    def warning(self, message: str, /, **keys: object) -> None:
        """Say what went wrong and will be tried again."""
        self._write(logging.WARNING, message, keys)

    def error(self, message: str, /, **keys: object) -> None:
        """Say what went wrong and needs somebody."""
        self._write(logging.ERROR, message, keys)

    def exception(self, message: str, /, **keys: object) -> None:
        """Say what went wrong, with a traceback: of ``error``, or of what is being handled."""
        error = keys.get("error")
        exc_info = error if isinstance(error, BaseException) else True
        self._write(logging.ERROR, message, keys, exc_info=exc_info)

    def _write(
        self,
        level: int,
        message: str,
        keys: dict[str, object],
        *,
        exc_info: BaseException | bool = False,
    ) -> None:
        if self._logger.isEnabledFor(level):
            extra = {_KEYS: {**self._keys, **keys}}
            # The message is no format: a percent sign in it stays one, since there are no args.
            self._logger.log(level, message, extra=extra, exc_info=exc_info, stacklevel=3)


def get_logger(name: str) -> Logger:
    """Return a module's logger; pass ``__name__``."""
    return Logger(name)


def configure_logging(component: str, *, level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logs of the process to ``stream`` (standard error), in the form that fits it.

    Args:
        component: The process's name, such as ``ipam-svc``; on every line.
        level: debug, info, warning or error, in any case.
        stream: Where to; a terminal gets the human form.

    Raises:
        ValueError: There is no such level.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    human = stream.isatty()
    handler.setFormatter(_HumanFormatter() if human else _JsonFormatter(component))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    logging.captureWarnings(capture=True)


def _keys_of(record: logging.LogRecord) -> dict[str, object]:
    keys: dict[str, object] = getattr(record, _KEYS, {})
    return keys


def _time_of(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, tz=UTC)


class _JsonFormatter(logging.Formatter):
    """One JSON object a line; a key that is taken gets an underscore."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time_of(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "component": self._component,
            "logger": record.name,
            "message": record.getMessage(),
        }
        trace_id = current_trace_id()
        if trace_id:
            line["trace_id"] = trace_id
        line |= shown_request_ids()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        for key, value in _keys_of(record).items():
            line[f"{key}_" if key in line else key] = _plain(value)
        return self._encoder.encode(line).decode()


class _HumanFormatter(logging.Formatter):
    """``12:30:01.123 warning  Message  key=value``, coloured."""

    def format(self, record: logging.LogRecord) -> str:
        clock = _time_of(record).astimezone().strftime("%H:%M:%S")
        keys = " ".join(f"{key}={_plain(value)}" for key, value in _keys_of(record).items())
        colour = _COLOURS.get(record.levelname, "")
        level = f"{colour}{record.levelname.lower():8}{_RESET if colour else ''}"
        line = f"{clock}.{int(record.msecs):03} {level} {record.getMessage()}"
        if keys:
            line = f"{line}  {keys}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


def _plain(value: object) -> object:
    """Keep what JSON knows; an exception without text is named by its class."""
    if isinstance(value, BaseException):
        return str(value) or type(value).__name__
    if value is None or isinstance(value, str | int | float | bool | list | tuple | dict):
        return value
    return str(value)
