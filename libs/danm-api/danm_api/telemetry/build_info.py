"""Which version of which part runs: a line in the log, and a metric to join others with."""

from typing import Final

from prometheus_client import Gauge

from danm_api.telemetry.logs import get_logger

BUILD_INFO: Final = Gauge(
    "danm_build_info", "1, with the part that runs and its version.", ["part", "version"]
)

_log = get_logger(__name__)


def tell_version(part: str, version: str) -> None:
    """Say once, when a process starts, what it is."""
    BUILD_INFO.labels(part=part, version=version).set(1)
    _log.info("Starting", version=version)
